// Several sockets that a service manager hands over (`LISTEN_FDS`, see sd_listen_fds(3)): of TCP and Unix ones, all are served.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, test } from 'node:test';
import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import { binary, startServer } from './support/server.mjs';
import { startSupervisor } from './support/supervisor.mjs';
import { LIMIT, closeSockets, connect, leaveSockets, until, within } from './support/wait.mjs';

const folder = mkdtempSync(path.join(os.tmpdir(), 'chat-sockets-'));
const unixPath = path.join(folder, 'chat.sock');

let server;
let supervisor;
const proxies = [];
afterEach(async () => {
  closeSockets();
  await server?.finish();
  await supervisor?.close();
  [server, supervisor] = [];
  for (const proxy of proxies.splice(0)) proxy.close();
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
  leaveSockets();
});

/** Like a proxy that reaches the server by the Unix socket: hands on what comes as it is. */
async function startProxy() {
  const proxy = net.createServer((client) => {
    const upstream = net.connect(unixPath);
    client.pipe(upstream).pipe(client);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
  });
  proxies.push(proxy);
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return proxy.address().port;
}

const statusOver = (options) =>
  new Promise((resolve, reject) => {
    http.get({ path: '/readyz', agent: false, ...options }, (answer) => resolve(answer.resume().statusCode)).on('error', reject);
  });

test('all of them are served, also after a restart', async () => {
  supervisor = await startSupervisor(['tcp', 'tcp', `unix:${unixPath}`]);
  server = await startServer({ CHAT_LOG: 'info', LISTEN_FDNAMES: 'web:web:local' }, supervisor);
  for (const address of [`127.0.0.1:${supervisor.ports[0]}`, `127.0.0.1:${supervisor.ports[1]}`, unixPath]) {
    assert.ok(server.log.split('\n').some((line) => line.includes('listening') && line.includes(address)), `${address}: ${server.log}`);
  }
  const entrances = [...supervisor.ports, await startProxy()].map((port) => `http://127.0.0.1:${port}`);
  const people = [];
  for (const url of entrances) {
    for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
      const account = await camel.register(server, 'user');
      const options = { transports, auth: { token: account.token }, reconnection: true, reconnectionDelay: 50 };
      people.push({ account, transports, page: await connect(io, url, options) });
    }
  }
  const upgraded = people.filter(({ transports }) => transports.length === 2);
  await until(() => upgraded.every(({ page }) => page.io.engine.transport.name === 'websocket'), 'the upgrades');
  const talk = async () => {
    for (const [i, { page, account }] of people.entries()) {
      const next = people[(i + 1) % people.length];
      const words = text('words');
      const came = camel.heard(next.page, words);
      assert.equal((await camel.sayAcked(page, next.account.name, words)).ok, true, account.name);
      await came;
    }
  };
  await talk();
  await server.restart();
  for (const place of [{ port: supervisor.ports[1], host: '127.0.0.1' }, { socketPath: unixPath }]) assert.equal(await statusOver(place), 200);
  await until(() => people.every(({ page }) => page.connected), 'all are back');
  await talk();
});

test('one that cannot be used is named, and so is what it is called', async () => {
  supervisor = await startSupervisor(['tcp', 'udp']);
  const child = supervisor.spawn(binary, {
    env: { PATH: process.env.PATH, CHAT_DATA_DIR: folder, LISTEN_FDNAMES: 'web:odd one' },
    cwd: folder,
  });
  let log = '';
  child.stderr.on('data', (chunk) => (log += chunk));
  const code = await within(new Promise((resolve) => child.on('exit', resolve)), LIMIT, 'the end of the server');
  await until(() => log.includes('LISTEN_FDS'), 'what it says');
  assert.match(log, /LISTEN_FDS: socket 2 of 2 \(oddone\) is neither a TCP socket nor a Unix stream socket/);
  assert.equal(code, 2);
});
