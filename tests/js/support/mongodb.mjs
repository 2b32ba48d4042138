// A MongoDB server of a test's own: the program of MONGO_TEST_SERVER, which takes the options of SecantusDB: --port, --storage-path,
// --enable-test-commands and --sync-on-commit.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { answers } from './redis.mjs';
import { freePort } from './server.mjs';
import { until } from './wait.mjs';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export async function startMongo() {
  const mongo = new Mongo(await freePort());
  await mongo.start();
  return mongo;
}

class Mongo {
  constructor(port) {
    this.port = port;
    this.url = `mongodb://127.0.0.1:${port}/chat`;
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'chat-mongo-'));
  }

  async start() {
    const program = process.env.MONGO_TEST_SERVER;
    assert.ok(program, 'MONGO_TEST_SERVER must be a program that starts a MongoDB server: ./test installs one');
    // Without this it does not do what `j: true` asks for, and loses what it has acknowledged when it is killed.
    const durable = '--sync-on-commit';
    const args = ['--port', String(this.port), '--storage-path', path.join(this.folder, 'data'), '--enable-test-commands', durable];
    this.child = spawn(program, args, { stdio: 'ignore' });
    running.add(this.child);
    await until(() => answers(this.port), 'the MongoDB server', 60_000);
  }

  async kill9() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
    running.delete(this.child);
  }

  async finish() {
    if (running.has(this.child)) await this.kill9();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
