// Runs the real chat-server binary as a child process: on a free port, with a data folder of its own.
//
// Whoever starts a server ends it with `finish()`, which also reads the log: no panic, and none of the
// passwords, tokens and message texts the tests used (they are registered with `secret()`).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { LIMIT, within } from './wait.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
export const binary = process.env.CHAT_SERVER_BIN
  ? path.resolve(process.env.CHAT_SERVER_BIN)
  : path.resolve(here, '../../../target/debug/chat-server');

/** Where logs and screenshots are left for a look afterwards; ignored by git. */
export const artifacts = path.resolve(here, '../../artifacts');

const secrets = new Set();

/** Registers a text that must never be found in a log, and returns it. Short ones would be found by chance. */
export function secret(text) {
  if (text.length >= 8) secrets.add(text);
  return text;
}

/** The secret that the servers sign with, known to the tests so that they can forge and expire tokens. */
export const JWT_SECRET = secret('e2e-secret-0123456789abcdef0123456789abcdef0123456789abcdef01234');

const READY_WITHIN = 30_000;
const STOP_WITHIN = 10_000;

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/**
 * Starts a server. `env` adds to or (with `undefined`) removes from its environment; with a `supervisor` it listens on
 * that one's socket; `ulimits` are options of the shell's `ulimit` that it is to run under.
 */
export async function startServer(env = {}, supervisor, ulimits = []) {
  assert.ok(existsSync(binary), `there is no server to test at ${binary}: run "cargo build -p chat-server"`);
  const server = new Server(supervisor?.port ?? (await freePort()), env, supervisor, ulimits);
  await server.launch();
  return server;
}

class Server {
  constructor(port, env, supervisor, ulimits) {
    this.port = port;
    this.ulimits = ulimits;
    this.supervisor = supervisor;
    this.url = `http://127.0.0.1:${port}`;
    this.dataDir = mkdtempSync(path.join(os.tmpdir(), 'chat-e2e-'));
    this.log = '';
    this.env = {
      PATH: process.env.PATH,
      HOME: this.dataDir,
      RUST_BACKTRACE: '1',
      PORT: String(port),
      CHAT_HOST: '127.0.0.1',
      CHAT_DATA_DIR: this.dataDir,
      JWT_SECRET,
      CHAT_BCRYPT_COST: '4',
      CHAT_LOG: 'warn',
      ...env,
    };
    for (const name of Object.keys(this.env)) {
      if (this.env[name] === undefined) delete this.env[name];
    }
  }

  #keep = (chunk) => (this.log += chunk);

  /** Starts it and waits until it answers `GET /readyz` with one of these statuses. */
  async launch(statuses = [200]) {
    // The working folder is the data folder, so that no `.env` of the checkout gets in.
    const surroundings = { env: this.env, cwd: this.dataDir };
    const child = this.supervisor
      ? this.supervisor.spawn(binary, surroundings)
      : spawn('/bin/sh', ['-c', [...this.ulimits.map((limit) => `ulimit ${limit}`), 'exec "$0"'].join(' && '), binary], {
          ...surroundings,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
    this.child = child;
    running.add(child);
    for (const output of [child.stdout, child.stderr]) {
      output.off('data', this.#keep).on('data', this.#keep);
    }
    this.exited = new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        running.delete(child);
        this.child = undefined;
        resolve({ code, signal });
      });
    });
    await this.#ready(statuses);
  }

  /** Runs a command of the program in the server's surroundings. */
  async run(...args) {
    const child = spawn(binary, args, { env: this.env, cwd: this.dataDir, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const output of ['stdout', 'stderr']) child[output].on('data', (chunk) => (said[output] += chunk));
    const code = await within(new Promise((resolve) => child.once('close', resolve)), LIMIT, `the end of ${args[0]}`);
    this.log += said.stderr;
    return { code, ...said };
  }

  /** Polls GET /readyz; there is no event to wait for before the server listens. */
  async #ready(statuses) {
    const deadline = Date.now() + READY_WITHIN;
    while (Date.now() < deadline) {
      assert.ok(this.child, `the server ended while starting:\n${this.log}`);
      const status = await fetch(`${this.url}/readyz`).then((answer) => answer.status, () => 0);
      if (statuses.includes(status)) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.fail(`GET /readyz was not 200 within ${READY_WITHIN} ms:\n${this.log}`);
  }

  /** The process dies at once, without a chance to write anything down. */
  async kill9() {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Asks it to end. It must do so in time and with code 0, whoever is still connected. */
  async stop() {
    this.child.kill('SIGTERM');
    const { code, signal } = await within(this.exited, STOP_WITHIN, 'the end of the server after SIGTERM');
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `SIGTERM must end the server with code 0:\n${tail(this.log)}`);
  }

  /** The same data and the same port again. */
  async restart() {
    if (this.child) await this.stop();
    await this.launch();
  }

  /** Memory in use now and at its highest, in MiB. */
  memory() {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    const mebibytes = (field) => Number(status.match(new RegExp(`${field}:\\s+(\\d+) kB`))[1]) / 1024;
    return { now: mebibytes('VmRSS'), peak: mebibytes('VmHWM') };
  }

  async finish() {
    try {
      if (this.child) await this.stop();
      this.checkLog();
    } finally {
      this.child?.kill('SIGKILL');
      this.#keepLog();
      rmSync(this.dataDir, { recursive: true, force: true });
    }
  }

  checkLog() {
    assert.ok(!this.log.includes('panicked'), `the server panicked:\n${tail(this.log)}`);
    const leaks = [...secrets].filter((text) => this.log.includes(text)).map((text) => text.slice(0, 80));
    assert.deepEqual(leaks, [], 'passwords, tokens and message texts must never reach a log');
  }

  #keepLog() {
    if (!this.log) return;
    mkdirSync(artifacts, { recursive: true });
    const file = path.basename(process.argv[1] ?? 'server', '.test.mjs');
    writeFileSync(path.join(artifacts, `${file}-${this.port}.log`), this.log);
  }
}

/**
 * A port nobody listens on, below the range the kernel gives to outgoing connections: a server that is
 * restarted must find its port free.
 */
export async function freePort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    const free = await new Promise((resolve) => {
      const probe = net.createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

function tail(log) {
  return log.slice(-4000);
}
