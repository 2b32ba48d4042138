// What a review once found broken: people who hold each other up, requests that nobody waits for, connections that end
// while much waits for them.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, afterEach, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { join } from './support/raw.mjs';
import { startServer } from './support/server.mjs';
import { assertAccepted, closeSockets, once, until, within } from './support/wait.mjs';

let server;
afterEach(async () => {
  closeSockets();
  await server?.finish();
});
after(closeSockets);

test('messages to many new people at once are all acknowledged, and hold nobody else up', async () => {
  server = await startServer();
  const [anna, bert, carl] = [await camel.register(server, 'anna'), await camel.register(server, 'bert'), await camel.register(server, 'carl')];
  const strangers = await Promise.all(Array.from({ length: 60 }, () => camel.register(server, 'stranger')));
  const [annas, berts] = [await camel.enter(server, anna), await camel.enter(server, bert)];
  await camel.sayAcked(berts, carl.name, text());
  const known = Array.from({ length: 60 }, () => camel.sayAcked(berts, carl.name, text()));
  const fresh = strangers.flatMap((stranger) => [text(), text()].map((body) => camel.sayAcked(annas, stranger.name, body)));
  const acks = await within(Promise.all([...known, ...fresh]), 15_000, 'all acknowledgements');
  acks.forEach((ack) => assertAccepted(ack));
});

test('what was stored is announced, even when whoever sent it has hung up', async () => {
  server = await startServer();
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const berts = await bert.open();
  const heard = new Set();
  berts.on('newMessage', (message) => heard.add(message.text));
  for (let i = 0; i < 60; i++) {
    const body = JSON.stringify({ text: `${i}-${text()}`, image: null });
    const head = `POST /api/messages/send/${bert.id} HTTP/1.1\r\nhost: x\r\ncookie: ${anna.cookie}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    const socket = net.connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    await new Promise((written) => socket.write(head + body, written));
    socket.destroy();
  }
  // Whatever was stored by now must come without anything else happening.
  const stored = (await bert.history(anna)).map((message) => message.text);
  assert.ok(stored.length > 0, 'some of them were stored');
  await until(() => stored.every((one) => heard.has(one)), 'every stored message', 5_000);
});

test('a connection that times out while much waits for it is shown offline', async () => {
  // Not so short that the sender, who is busy, times out too.
  server = await startServer({ CHAT_PING_INTERVAL: '1500', CHAT_PING_TIMEOUT: '1500', CHAT_STALL_TIMEOUT: '60000' });
  const [slow, sender] = [await camel.register(server, 'slow'), await camel.register(server, 'sender')];
  const senders = await camel.enter(server, sender);
  const raw = await join(server, { token: slow.token });
  const online = async () => (await camel.get(server, '/api/users', sender.token)).json.find((user) => user.username === slow.name).online;
  await until(online, 'online');
  raw.pause();
  const file = text('file '.repeat(400_000));
  for (let i = 0; i < 6; i++) {
    assertAccepted(await camel.sayAcked(senders, slow.name, file, { isFile: true, fileName: `${i}.txt` }));
  }
  await until(async () => !(await online()), 'offline', 15_000);
});

test('a token is void as soon as its log-out is answered, for sockets that are just coming too', async () => {
  server = await startServer();
  for (let round = 0; round < 10; round++) {
    const anna = await push.signup(server, 'anna');
    const cookie = anna.cookie;
    const coming = Array.from({ length: 5 }, () => join(server, { cookie }).catch(() => undefined));
    await anna.post('/auth/logout');
    for (const raw of await Promise.all(coming)) if (raw) await within(raw.closed, 10_000, 'the end of a socket');
  }
});

test('a page of another origin can neither log in nor act with the cookie', async () => {
  server = await startServer();
  const anna = await push.signup(server, 'anna');
  const foreign = { origin: 'http://evil.example' };
  const credentials = { email: anna.email, password: 'whatever' };
  for (const path of ['/api/auth/login', '/api/auth/signup', '/api/auth/logout']) {
    const answer = await request(server, { method: 'POST', path, headers: foreign, body: credentials });
    assert.deepEqual([answer.status, typeof answer.json.message], [403, 'string'], path);
  }
  const check = (headers) => request(server, { path: '/api/auth/check', headers: { cookie: anna.cookie, ...headers } });
  assert.equal((await check(foreign)).status, 401);
  for (const own of [{}, { origin: server.url }, { origin: 'http://localhost:5173' }]) assert.equal((await check(own)).status, 200);
});
