// How far people have read and what is unread to them: the same on all their tabs, over sockets and by REST, in both
// families, after a reconnect and after a restart.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { ask, assertAccepted, assertRefused, closeSockets, once, until } from './support/wait.mjs';

let server;
beforeEach(async () => {
  server = await startServer();
});
afterEach(async () => {
  closeSockets();
  await server.finish();
});
after(closeSockets);

/** The answer over a socket, without what every answer has. */
async function over(socket, event, ...args) {
  const ack = await ask(socket, event, ...args);
  assertAccepted(ack, event);
  const { ok, success, ...answer } = ack;
  return answer;
}

/** The marks that a page is told of from now on. */
function recorded(page) {
  const marks = [];
  page.on('messagesRead', (mark) => marks.push(mark));
  return marks;
}

async function unreadByRest(token) {
  const answer = await camel.get(server, '/api/unread', token);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

/** What is unread, which must be the same however it is asked for. */
async function unread(token, ...sockets) {
  const answer = await unreadByRest(token);
  for (const socket of sockets) assert.deepEqual(await over(socket, 'unread'), answer, 'the same on every tab');
  return answer.unread;
}

const counts = (list) => list.map(({ username, readSeq, lastSeq, unread: count }) => [username, readSeq, lastSeq, count]);

test('camel: two people with two tabs each', async () => {
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const [annas, berts] = [[], []];
  for (let i = 0; i < 2; i++) {
    annas.push(await camel.enter(server, anna));
    berts.push(await camel.enter(server, bert));
  }
  assert.deepEqual(await unread(bert.token, ...berts), []);
  for (let i = 0; i < 3; i++) await camel.say(annas[0], bert.name, text());
  await camel.say(berts[1], anna.name, text());
  const list = await unread(bert.token, ...berts);
  assert.deepEqual(counts(list), [[anna.name, 0, 4, 3]]);
  assert.deepEqual(Object.keys(list[0]).sort(), ['lastSeq', 'name', 'readSeq', 'roomId', 'unread', 'userId', 'username']);
  assert.deepEqual(counts(await unread(anna.token, ...annas)), [[bert.name, 0, 4, 1]]);

  const { roomId, userId } = list[0];
  assert.deepEqual(await over(berts[0], 'read', { username: anna.name, seq: 2 }), { roomId, seq: 2 });
  assert.deepEqual(counts(await unread(bert.token, ...berts)), [[anna.name, 2, 4, 1]]);
  assert.deepEqual(await over(berts[1], 'read', { userId, seq: 1 }), { roomId, seq: 2 }, 'it does not go back');
  assert.deepEqual(await over(berts[1], 'read', { roomId }), { roomId, seq: 4 });
  assert.deepEqual(await unread(bert.token, ...berts), []);
  assert.deepEqual(counts(await unread(anna.token, ...annas)), [[bert.name, 0, 4, 1]], 'hers is hers');

  // Without a callback the answer is an event.
  const answer = once(annas[0], 'read');
  annas[0].emit('read', { username: bert.name });
  assert.deepEqual(await answer, { roomId, seq: 4 });
  const nothing = once(annas[1], 'unread');
  annas[1].emit('unread');
  assert.deepEqual(await nothing, { unread: [] });
  for (const page of [...annas, ...berts]) assert.deepEqual(page.seen.error, []);
});

test('push: by REST with the cookie, named by message; the log tells the others', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const { next: since } = (await anna.get('/sync')).data;
  const berts = [await bert.open(), await bert.open()];
  const annas = await anna.open();
  const marksOf = new Map([annas, ...berts].map((page) => [page, recorded(page)]));
  const [one, two] = [await anna.send(bert, text()), await anna.send(bert, text())];
  assert.deepEqual(counts(await unread(bert.token, ...berts)), [[anna.email, 0, 2, 2]]);
  const { data } = await bert.post('/read', { userId: anna.id, messageId: one._id });
  assert.equal(data.seq, 1);
  assert.deepEqual(counts(await unread(bert.token, ...berts)), [[anna.email, 1, 2, 1]]);
  await anna.delete(`/messages/${two._id}`);
  assert.deepEqual(await unread(bert.token, ...berts), [], 'what is deleted is not unread');
  await anna.put(`/messages/${two._id}/restore`);
  assert.deepEqual(counts(await unread(bert.token, ...berts)), [[anna.email, 1, 2, 1]]);
  assert.deepEqual((await bert.post('/read', { roomId: data.roomId })).data, { roomId: data.roomId, seq: 2 });
  assert.deepEqual((await bert.post('/read', { roomId: data.roomId })).data, { roomId: data.roomId, seq: 2 });

  const told = (await anna.get('/sync', { params: { since } })).data.changes;
  const marks = told.filter(({ type }) => type === 'messagesRead').map(({ position, ...mark }) => mark);
  const mark = (seq) => ({ type: 'messagesRead', roomId: data.roomId, userId: bert.id, seq });
  assert.deepEqual(marks, [mark(1), mark(2)], 'each move once, with where it went then');
  assert.deepEqual((await bert.get('/sync', { params: { since } })).data.changes, told, 'the reader is told too');

  // Live it was told to everybody's tabs, once each.
  for (const page of [annas, ...berts]) {
    await until(() => marksOf.get(page).length === 2, 'both marks');
    const forks = (seq) => ({
      ...Object.fromEntries(['chatId', 'readerId', 'by', 'byUserId', 'receiverId'].map((field) => [field, bert.id])),
      messageIds: [two._id, one._id].slice(2 - seq),
    });
    const whole = [mark(1), mark(2)].map(({ type, ...rest }) => ({ ...rest, ...(page === annas && forks(rest.seq)) }));
    assert.deepEqual(marksOf.get(page), whole);
  }
});

test('a page that was away is still recovered, and asks again; marks outlive the server', async () => {
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const annas = await camel.enter(server, anna);
  const options = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200, randomizationFactor: 0 };
  const [here, there] = [await camel.enter(server, bert, options), await camel.enter(server, bert, options)];
  const marks = recorded(here);
  const first = text();
  const arrival = camel.heard(here, first);
  await camel.say(annas, bert.name, first);
  await arrival;
  await over(there, 'read', { username: anna.name });

  here.io.engine.close();
  await camel.say(annas, bert.name, text());
  await over(there, 'read', { username: anna.name, seq: 2 });
  await camel.say(annas, bert.name, text());
  await until(() => here.connected && here.seen.privateMessage.length === 3, 'what was missed');
  assert.equal(here.recovered, true);
  assert.deepEqual(marks.map(({ seq }) => seq), [1, 2], 'the mark that was moved meanwhile was missed, too');
  assert.deepEqual(counts(await unread(bert.token, here, there)), [[anna.name, 2, 3, 1]]);

  const back = Promise.all([once(here, 'connect'), once(there, 'connect')]);
  await server.kill9();
  await server.launch();
  await back;
  assert.deepEqual(counts(await unread(bert.token, here, there)), [[anna.name, 2, 3, 1]]);
  assert.deepEqual([here.recovered, there.recovered], [true, true]);
});

test('wrong fields are named, in both families, by REST and over sockets', async () => {
  const [anna, carl] = [await push.signup(server, 'anna'), await camel.register(server, 'carl')];
  const callers = [
    [anna.token, await anna.open()],
    [carl.token, await camel.enter(server, carl)],
  ];
  const place = { username: carl.name };
  for (const [field, value, expected] of [
    ['roomId', { $gt: '' }, 'a string'],
    ['roomId', 7, 'a string'],
    ['roomId', 'nonsense', "a room's id"],
    ['userId', { $gt: '' }, 'a string'],
    ['userId', '', "a user's id"],
    ['username', { $gt: '' }, 'a string'],
    ['username', ['x'], 'a string'],
    ['messageId', { $gt: '' }, 'a string'],
    ['messageId', 'x', "a message's id"],
    ['seq', { $gt: '' }, 'a whole number'],
    ['seq', '1', 'a whole number'],
    ['seq', -1, 'a whole number'],
    ['limit', { $gt: '' }, 'a whole number'],
    ['limit', 0, 'a whole number from 1'],
  ]) {
    const event = field === 'limit' ? 'unread' : 'read';
    const body = { ...(['messageId', 'seq'].includes(field) && place), [field]: value };
    const message = `${field} must be ${expected}`;
    for (const [token, socket] of callers) {
      const ack = await ask(socket, event, body);
      assertRefused(ack, JSON.stringify(body));
      assert.equal(ack.error.message, message);
      assert.equal(ack.error.code, 'invalid');
      const shown = once(socket, 'error');
      socket.emit(event, body);
      assert.deepEqual(await shown, { code: 'invalid', message });
      if (event === 'unread') continue;
      const answer = await camel.post(server, '/api/read', body, { authorization: `Bearer ${token}` });
      assert.deepEqual([answer.status, answer.json], [400, { message }], JSON.stringify(body));
    }
  }
  for (const token of [undefined, 'nonsense']) {
    const headers = token && { authorization: `Bearer ${token}` };
    assert.equal((await camel.post(server, '/api/read', place, headers)).status, 401);
    assert.equal((await camel.get(server, '/api/unread', token)).status, 401);
  }
  for (const [token] of callers) {
    const foreign = { authorization: `Bearer ${token}` };
    const answer = await camel.post(server, '/api/read', { roomId: 'f'.repeat(24) }, foreign);
    assert.deepEqual([answer.status, answer.json], [404, { message: 'conversation not found' }]);
    assert.equal((await camel.get(server, '/api/unread?limit=many', token)).status, 400);
  }
});
