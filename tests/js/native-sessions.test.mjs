// Sessions of devices with the real client: tokens that are refreshed, connections that go on with them, and sessions that end at
// once when a refresh token is used again.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import { io } from 'socket.io-client';

import { request } from './support/http.mjs';
import { password, text, unique } from './support/names.mjs';
import { secret, startServer } from './support/server.mjs';
import { ask, assertAccepted, assertRefused, closeSockets, connect, once, within, LIMIT } from './support/wait.mjs';

let server;
beforeEach(async () => {
  server = await startServer({ CHAT_DIALECTS: 'native,push' });
});
afterEach(async () => {
  closeSockets();
  await server.finish();
});
after(closeSockets);

const post = (path, body, headers = {}) => request(server, { method: 'POST', path: `/api/auth${path}`, body, headers });
const keep = ({ json }) => {
  assert.equal(json.token, json.accessToken);
  return { token: secret(json.token), refreshToken: secret(json.refreshToken) };
};

/** A new account, and what its log-in on a device gives. */
async function register(word, device, headers) {
  const person = { username: unique(word), password: password() };
  const made = await post('/register', { ...person, device }, headers);
  assert.equal(made.status, 201, made.text);
  return { ...person, id: made.json.user.userId, ...keep(made) };
}

async function logIn({ username, password, id }, device) {
  const answer = await post('/login', { username, password, device });
  assert.equal(answer.status, 200, answer.text);
  return { username, password, id, ...keep(answer) };
}

/** The next tokens of a session. */
async function refresh(person) {
  const answer = await post('/refresh', { refreshToken: person.refreshToken });
  assert.equal(answer.status, 200, answer.text);
  return { ...person, ...keep(answer) };
}

const refused = async (person) => {
  const answer = await post('/refresh', { refreshToken: person.refreshToken });
  assert.deepEqual([answer.status, answer.json.error.code], [401, 'unauthenticated'], answer.text);
};

const enter = (person, transports = ['websocket']) =>
  connect(io, server.url, { auth: { token: person.token }, transports, reconnection: true }, ['sessionEnded', 'error']);

/** Waits until the server has sent a socket away, which then does not come back by itself. */
const gone = (socket) =>
  within(
    new Promise((resolve) => (socket.connected ? socket.once('disconnect', resolve) : resolve(socket.drops.at(-1)))),
    LIMIT,
    'the end of a socket',
  );

for (const transports of [['websocket'], ['polling', 'websocket']]) {
  test(`a used refresh token ends its session over ${transports.join(' and ')}, and no other one`, async () => {
    const desk = await register('anna', 'desk');
    const phone = await logIn(desk, 'phone');
    const [desks, phones] = [await enter(desk, transports), await enter(phone, transports)];
    const next = await refresh(desk);
    const last = await refresh(next);
    assert.notEqual(last.refreshToken, next.refreshToken);
    const [ended, told] = [gone(desks), once(phones, 'sessionEnded')];
    await refused(desk);
    assert.equal(await ended, 'io server disconnect', 'it does not come back');
    const { sessions } = await ask(phones, 'session.list');
    assert.deepEqual(sessions.map(({ device, current }) => [device, current]), [['phone', true]]);
    assert.notEqual((await told).sessionId, sessions[0].sessionId);
    // Neither the newest tokens nor the first are good any more.
    for (const person of [desk, next, last]) {
      await refused(person);
      await assert.rejects(enter(person, transports), /Authentication error/);
    }
    await refresh(phone);
    assert.ok(phones.connected);
  });
}

test('an answer that was lost is given again', async () => {
  const anna = await register('anna');
  const [once, again] = [await refresh(anna), await refresh(anna)];
  assert.equal(once.refreshToken, again.refreshToken);
  await refresh(again);
  await refused(anna);
});

test('a connection goes on with the next token', async () => {
  const anna = await register('anna', undefined, { 'user-agent': `  Chat/1.0   (${'x'.repeat(200)})` });
  const socket = await enter(anna);
  const next = await refresh(anna);
  const { expiresAt, ok } = await ask(socket, 'session.renew', { token: next.token });
  const { exp } = JSON.parse(Buffer.from(next.token.split('.')[1], 'base64url'));
  assert.deepEqual([ok, expiresAt], [true, exp * 1000]);
  assert.ok(Math.abs(expiresAt - Date.now() - 15 * 60_000) < 60_000, 'an access token is good for a quarter of an hour');
  assertRefused(await ask(socket, 'session.renew', { token: (await register('bert')).token }), 'that of somebody else');
  const { sessions } = await ask(socket, 'session.list');
  assert.equal(sessions[0].device, `Chat/1.0 (${'x'.repeat(90)}`, 'named by the browser');
});

test('devices are logged out one by one, or all others', async () => {
  const desk = await register('anna', 'desk');
  const others = await Promise.all(['phone', 'tablet', 'car'].map((device) => logIn(desk, device)));
  const [desks, ...rest] = await Promise.all([desk, ...others].map((person) => enter(person)));
  const { sessions } = await ask(desks, 'session.list');
  assert.deepEqual(sessions.map(({ device }) => device).sort(), ['car', 'desk', 'phone', 'tablet']);
  const { sessionId } = sessions.find(({ device }) => device === 'phone');
  const left = gone(rest[0]);
  assertAccepted(await ask(desks, 'session.end', { sessionId }), 'session.end');
  await left;
  await refused(others[0]);
  const bert = await enter(await register('bert'));
  const hidden = await ask(bert, 'session.end', { sessionId: sessions[0].sessionId });
  assert.deepEqual(hidden, await ask(bert, 'session.end', { sessionId: '65a1b2c3d4e5f60718293a4b' }), 'as if it were not there');
  assertRefused(hidden, 'the session of somebody else');

  const all = Promise.all(rest.slice(1).map(gone));
  const answer = await request(server, { method: 'DELETE', path: '/api/v1/sessions', headers: { authorization: `Bearer ${desk.token}` } });
  assert.deepEqual([answer.status, answer.json.ended], [200, 2]);
  await all;
  // One's own is answered, and then it is over.
  const [own] = (await ask(desks, 'session.list')).sessions;
  const over = gone(desks);
  assert.equal((await ask(desks, 'session.end', { sessionId: own.sessionId })).ended, 1);
  await over;
  await refused(desk);
});

test('a session outlives a restart, and its end too', async () => {
  const [anna, bert] = [await register('anna'), await register('bert')];
  const next = await refresh(anna);
  const ended = await refresh(await refresh(bert));
  await refused(bert);
  await server.restart();
  await refused(ended);
  await assert.rejects(enter(ended), /Authentication error/);
  const socket = await enter(next);
  const words = text();
  const arrived = once(socket, 'messageSent');
  assertAccepted(await ask(socket, 'message.send', { userId: bert.id, content: words }), 'message.send');
  assert.equal((await arrived).message.content, words);
  await refresh(next);
});
