// What an owner learns from the log of a page that asks for what is not served, or whose socket brings no log-in.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, afterEach, beforeEach, test } from 'node:test';
import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { signup } from './support/push.mjs';
import { binary, freePort, secret, startServer } from './support/server.mjs';
import { ask, assertRefused, closeSockets, connect, refusal, until } from './support/wait.mjs';

let server;
beforeEach(async () => {
  server = await startServer({ CHAT_LOG: 'info', NO_COLOR: undefined });
});
afterEach(async () => {
  closeSockets();
  await server.finish();
});
after(closeSockets);

const lines = (words) => server.log.split('\n').filter((line) => line.includes(words));
const logged = (words) => until(() => lines(words).length > 0, `"${words}" in the log`);

test('a route that is not served is logged once, with the nearest one, and answered so', async () => {
  const anna = await signup(server, 'anna');
  for (let n = 0; n < 3; n++) {
    const answer = await anna.get(`/message/${anna.id}`);
    assert.equal(answer.status, 404);
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.deepEqual(answer.data, {
      message: 'Not found: there is no GET /api/message/:id, but GET /api/messages/:id',
      nearest: 'GET /api/messages/:id',
    });
  }
  await logged('GET /api/message/:id');
  assert.equal(lines('GET /api/message/:id').length, 1);
  assert.match(lines('GET /api/message/:id')[0], /INFO .*GET \/api\/messages\/:id/);
  assert.ok(!server.log.includes(anna.id) || !lines('not served').join().includes(anna.id), 'no ids');

  assert.deepEqual((await anna.post('/payments/invoices', {})).data, { message: 'Not found' });
  await logged('POST /api/:id/:id');
  assert.deepEqual((await anna.put('/auth/check', {})).data, { message: 'Method not allowed' });
  await logged('PUT /api/auth/check');
});

test('strangers cannot flood the log, and what they ask for is not shown', async () => {
  const hidden = secret('zebra-crossing-zebra');
  for (let n = 0; n < 150; n++) {
    await request(server, { path: `/api/users/${hidden}${n}/${'messages/'.repeat(n % 7)}x` });
    await request(server, { method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'][n % 5], path: `/api/${['read', 'seen', 'edit', 'pin', 'poll'][n % 5]}/${['chat', 'group', 'room', 'user', 'story', 'video', 'voice'][n % 7]}/${['add', 'remove', 'all', 'last'][n % 4]}` });
  }
  await logged('is not logged any more');
  assert.equal(lines('a page asks for a route').length, 100);
  assert.equal(lines('is not logged any more').length, 1);
});

test('an event that is not served is logged once, with the nearest one', async () => {
  const anna = await signup(server, 'anna');
  const page = await anna.open();
  for (let n = 0; n < 3; n++) assertRefused(await ask(page, 'stop_typing', { to: anna.id }), 'stop_typing');
  page.emit(`zebra:${anna.id}`, 'secret words');
  page.emit('webrtc-offer', {});
  await logged('webrtc-offer');
  assert.equal(lines('stop_typing').length, 1);
  assert.match(lines('stop_typing')[0], /INFO .*stopTyping/);
  assert.match(lines('zebra::id')[0], /nothing like it/);
  const names = lines('sends an event').join();
  assert.ok(!names.includes(anna.id) && !names.includes('secret words'));
});

test('a page that comes without a log-in is warned of once, with the remedy', async () => {
  const anna = await signup(server, 'anna');
  const from = (origin, cookie) => ({ extraHeaders: { origin, ...(cookie && { cookie }) }, query: { userId: anna.id } });
  for (let n = 0; n < 3; n++) {
    for (const transports of [['polling'], ['websocket']]) {
      await refusal(connect(io, server.url, { transports, ...from('http://localhost:5173') }));
    }
  }
  await logged('withCredentials: true');
  // One a minute, so that nobody floods the log.
  await refusal(connect(io, server.url, from('https://evil.example', anna.cookie)));
  assert.equal(lines('a page was refused').length, 1);
  assert.match(lines('a page was refused')[0], /WARN .*http:\/\/localhost:5173.*SameSite=None/);
});

test('a page whose cookie does not count is told to be named in CLIENT_URL', async () => {
  const anna = await signup(server, 'anna');
  await refusal(connect(io, server.url, { extraHeaders: { origin: 'https://page.example', cookie: anna.cookie } }));
  await logged('CLIENT_URL');
  assert.match(lines('a page was refused')[0], /https:\/\/page\.example/);
  assert.ok(!server.log.includes(anna.token));
});

test('a page with a token that is no good is not told to bring one', async () => {
  const anna = await camel.register(server, 'anna');
  await refusal(connect(io, server.url, { auth: { token: `${anna.token}x` } }));
  await camel.enter(server, anna);
  assert.deepEqual(lines('a page was refused'), []);
});

test('there are colours in a terminal alone, and none for who wants none', async () => {
  const escape = String.fromCharCode(27);
  assert.ok(server.log.includes('INFO') && !server.log.includes(escape), 'a pipe has no colours');
  // In a terminal of its own, until it listens.
  const terminal = `
import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
shown = b''
while b'listening' not in shown: shown += os.read(terminal, 65536)
os.kill(pid, signal.SIGKILL)
sys.stdout.buffer.write(shown)`;
  const port = String(await freePort());
  for (const [value, coloured] of [[undefined, true], ['1', false], ['', true]]) {
    const env = { ...server.env, PORT: port, CHAT_DATA_DIR: `${server.dataDir}/terminal`, CHAT_STORE: 'memory:', ...(value !== undefined && { NO_COLOR: value }) };
    const run = spawnSync('python3', ['-c', terminal, binary], { env, encoding: 'utf8', timeout: 20_000 });
    assert.match(run.stdout, /INFO/, run.stderr);
    assert.equal(run.stdout.includes(escape), coloured, `NO_COLOR=${value}`);
  }
});
