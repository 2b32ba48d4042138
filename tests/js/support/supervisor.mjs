// A supervisor that holds the listening sockets while servers come and go: see supervisor.py.

import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'supervisor.py');

/** Starts one that holds such sockets; `port` is where its servers are reached from now on, `ports` are all of TCP. */
export async function startSupervisor(sockets = ['tcp']) {
  const holder = spawn('python3', [script, ...sockets], { stdio: ['pipe', 'pipe', 'pipe'] });
  const supervisor = new Supervisor(holder, sockets.filter((kind) => kind === 'tcp').length);
  const lines = createInterface({ input: holder.stdout }).on('line', (line) => supervisor.hear(Number(line)));
  while (!supervisor.isComplete) await once(lines, 'line');
  return supervisor;
}

/** It is told numbers: the ports, then of each server the process id, and how it ended. */
class Supervisor {
  #child;
  #expected;
  ports = [];

  constructor(holder, expected) {
    this.holder = holder;
    this.#expected = expected;
  }

  get port() {
    return this.ports[0];
  }

  get isComplete() {
    return this.ports.length === this.#expected;
  }

  hear(number) {
    if (!this.isComplete) {
      this.ports.push(number);
    } else if (this.#child.pid === undefined) {
      this.#child.pid = number;
      this.#child.emit('spawn');
    } else {
      this.#child.emit('exit', number < 0 ? null : number, number < 0 ? signalOf(-number) : null);
    }
  }

  /** Starts a server on the socket; like `spawn`, as far as tests need it. The one before must have ended. */
  spawn(program, { env, cwd }) {
    const child = new EventEmitter();
    Object.assign(child, { stdout: new EventEmitter(), stderr: this.holder.stderr, kill: (signal) => process.kill(child.pid, signal) });
    this.#child = child;
    this.holder.stdin.write(`${JSON.stringify({ program, env, cwd })}\n`);
    return child;
  }

  /** Ends it and what it has started. */
  async close() {
    const ended = once(this.holder, 'exit');
    this.holder.stdin.end();
    await ended;
  }
}

function signalOf(number) {
  return Object.entries(os.constants.signals).find(([, signal]) => signal === number)[0];
}
