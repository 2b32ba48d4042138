// A supervisor that holds the listening socket while servers come and go: see supervisor.py.

import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'supervisor.py');

/** Starts one; `port` is where its servers are reached from now on. */
export async function startSupervisor() {
  const holder = spawn('python3', [script], { stdio: ['pipe', 'pipe', 'pipe'] });
  const supervisor = new Supervisor(holder);
  await once(createInterface({ input: holder.stdout }).on('line', (line) => supervisor.hear(Number(line))), 'line');
  return supervisor;
}

/** It is told numbers: the port, then of each server the process id, and how it ended. */
class Supervisor {
  #child;

  constructor(holder) {
    this.holder = holder;
  }

  hear(number) {
    if (this.port === undefined) {
      this.port = number;
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
