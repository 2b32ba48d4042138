// A redis-server of a test's own. It keeps nothing on disk: after a restart it is empty.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { freePort, secret } from './server.mjs';
import { until } from './wait.mjs';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export async function startRedis() {
  const redis = new Redis(await freePort());
  await redis.start();
  return redis;
}

class Redis {
  constructor(port) {
    this.port = port;
    this.password = secret('redis-5f0c8d1e7a3b4c6d');
    this.url = `redis://:${this.password}@127.0.0.1:${port}`;
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'chat-redis-'));
  }

  async start() {
    const program = process.env.REDIS_SERVER_BIN;
    assert.ok(program, 'REDIS_SERVER_BIN must be a redis-server: ./test installs one');
    const settings = { bind: '127.0.0.1', port: this.port, save: '', appendonly: 'no', requirepass: this.password, dir: this.folder };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.child = spawn(program, args, { stdio: 'ignore' });
    running.add(this.child);
    await until(() => answers(this.port), 'redis-server');
  }

  async kill9() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
    running.delete(this.child);
  }

  async finish() {
    await this.kill9();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Whether somebody listens on a port of this machine. */
export function answers(port) {
  return new Promise((resolve) => {
    const probe = net.connect(port, '127.0.0.1');
    probe.once('connect', () => resolve(true)).once('error', () => resolve(false));
    probe.once('connect', () => probe.destroy());
  });
}
