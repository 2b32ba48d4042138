// nginx with the configuration of examples/deploy, with other ports.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { answers } from './redis.mjs';
import { freePort } from './server.mjs';
import { until } from './wait.mjs';

const example = fileURLToPath(new URL('../../../examples/deploy/nginx.conf', import.meta.url));

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export async function startNginx(a, b) {
  const program = process.env.NGINX_BIN;
  assert.ok(program, 'NGINX_BIN must be nginx: ./test installs it');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'chat-nginx-'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  const config = readFileSync(example, 'utf8')
    .replaceAll('127.0.0.1:3001', `127.0.0.1:${a.port}`)
    .replaceAll('127.0.0.1:3002', `127.0.0.1:${b.port}`)
    .replace('listen 8080', `listen 127.0.0.1:${port}`)
    .replace('http {', `http {\n access_log off; ${temporary.join(' ')}`);
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(file, config);
  // Workers of another user could not write into the folder.
  const directives = `daemon off; pid ${folder}/pid; ${process.getuid() === 0 ? 'user root;' : ''}`;
  const child = spawn(program, ['-e', `${folder}/log`, '-c', file, '-g', directives], { stdio: 'ignore' });
  running.add(child);
  await until(() => answers(port), 'nginx');
  return {
    url: `http://127.0.0.1:${port}`,
    async finish() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
      running.delete(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
