// Blocks with the real client: of two people one of whom blocks the other neither is told anything of the other one, whatever
// their pages speak.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import { io } from 'socket.io-client';

import { request } from './support/http.mjs';
import { password, text, unique } from './support/names.mjs';
import { secret, startServer } from './support/server.mjs';
import { ask, assertAccepted, closeSockets, connect, once, until } from './support/wait.mjs';

let server;
beforeEach(async () => {
  server = await startServer({ CHAT_DIALECTS: 'native,push' });
});
afterEach(async () => {
  closeSockets();
  await server.finish();
});
after(closeSockets);

const KEPT = ['presence', 'relationChanged', 'messageSent', 'typingChanged', 'messagesRead', 'getOnlineUsers', 'newMessage', 'error'];

async function register(word) {
  const body = { username: unique(word), password: password() };
  const made = await request(server, { method: 'POST', path: '/api/auth/register', body });
  assert.equal(made.status, 201, made.text);
  return { id: made.json.user.userId, token: secret(made.json.token) };
}

/** Somebody whose page is of the push family. */
async function signUp(word) {
  const body = { fullName: word, email: `${unique(word)}@example.org`, password: password() };
  const made = await request(server, { method: 'POST', path: '/api/auth/signup', body });
  assert.equal(made.status, 201, made.text);
  const cookie = made.headers['set-cookie'][0].split(';')[0];
  return { id: made.json._id, token: secret(cookie.slice('jwt='.length)), cookie };
}

const enter = (person, transports = ['websocket']) => connect(io, server.url, { auth: { token: person.token }, transports }, KEPT);

for (const transports of [['websocket'], ['polling', 'websocket']]) {
  test(`a block cuts two people off from each other over ${transports.join(' and ')}`, async () => {
    const [anna, bert, carl] = [await register('anna'), await register('bert'), await register('carl')];
    const [annas, other, carls] = [await enter(anna, transports), await enter(anna, transports), await enter(carl, transports)];
    const berts = await enter(bert, transports);
    await until(() => annas.seen.presence.some(({ userId }) => userId === bert.id), 'bert is online to anna');

    const told = once(other, 'relationChanged');
    const gone = [
      once(annas, 'presence', ({ userId, status }) => userId === bert.id && status === 'offline'),
      once(berts, 'presence', ({ userId, status }) => userId === anna.id && status === 'offline'),
    ];
    assertAccepted(await ask(annas, 'user.block', { userId: bert.id }), 'user.block');
    assert.deepEqual([(await told).user.userId, (await told).blocked], [bert.id, true], 'on all devices');
    await Promise.all(gone);

    for (const [socket, person] of [[annas, bert], [berts, anna]]) {
      const refused = await ask(socket, 'message.send', { userId: person.id, content: text() });
      assert.deepEqual([refused.ok, refused.error.code], [false, 'forbidden']);
      assertAccepted(await ask(socket, 'typing.set', { userId: person.id, typing: true }), 'typing.set');
    }
    // Coming and going is not told either; that of somebody else is the fence.
    other.disconnect();
    annas.disconnect();
    await once(carls, 'presence', ({ userId, status }) => userId === anna.id && status === 'offline');
    const back = await enter(anna, transports);
    await once(carls, 'presence', ({ userId, status }) => userId === anna.id && status === 'online');
    const fence = once(berts, 'messageSent');
    assertAccepted(await ask(carls, 'message.send', { userId: bert.id, content: text() }), 'message.send');
    await fence;
    assert.deepEqual(berts.seen.presence.filter(({ userId }) => userId === anna.id).map(({ status }) => status).slice(-1), ['offline']);
    assert.deepEqual([berts.seen.relationChanged, berts.seen.typingChanged, berts.seen.error], [[], [], []]);
    const { users } = await ask(back, 'user.list');
    assert.deepEqual(users.map(({ userId, status }) => [userId, status]).sort(), [[bert.id, 'offline'], [carl.id, 'online']].sort());

    const again = once(berts, 'presence', ({ userId, status }) => userId === anna.id && status === 'online');
    assertAccepted(await ask(back, 'user.unblock', { userId: bert.id }), 'user.unblock');
    await again;
    const words = text();
    const arrived = once(back, 'messageSent', ({ message }) => message.content === words);
    assertAccepted(await ask(berts, 'message.send', { userId: anna.id, content: words }), 'message.send');
    await arrived;
  });
}

test('a page of the push family does not see who blocks its user, and shows nothing else of it', async () => {
  const [anna, bert] = [await register('anna'), await signUp('bert')];
  const [annas, berts] = [await enter(anna), await enter(bert)];
  const shows = () => berts.seen.getOnlineUsers.at(-1)?.includes(anna.id);
  await until(shows, 'anna is online to bert');
  assertAccepted(await ask(annas, 'user.block', { userId: bert.id }), 'user.block');
  await until(() => !shows(), 'anna is offline to bert');
  const headers = { cookie: bert.cookie };
  const sent = await request(server, { method: 'POST', path: `/api/messages/send/${anna.id}`, headers, body: { text: text() } });
  assert.deepEqual([sent.status, sent.json.message], [403, 'This person cannot be reached']);
  const contacts = await request(server, { path: '/api/messages/contacts', headers });
  assert.deepEqual(contacts.json.map(({ _id, online }) => [_id, online]), [[anna.id, false]]);
  const second = await enter(bert);
  await until(() => second.seen.getOnlineUsers.length > 0, 'the list');
  assert.ok(!second.seen.getOnlineUsers.some((list) => list.includes(anna.id)), 'not for a moment');
  assertAccepted(await ask(annas, 'user.unblock', { userId: bert.id }), 'user.unblock');
  await until(shows, 'anna is online to bert again');
  assert.deepEqual([berts.seen.error, berts.seen.relationChanged], [[], []]);
});
