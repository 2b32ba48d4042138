// What one person can have of the server: answers are bounded by what they decode to and come in pages, and who asks
// without end is slowed and refused, with the time at which to come back. Nobody else notices.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import { signup } from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { ask, closeSockets, once } from './support/wait.mjs';

let server;
afterEach(async () => {
  closeSockets();
  await server?.finish();
});
after(closeSockets);

const MEGABYTE = 1_000_000;
/** What one answer holds at most, and one message may be larger. */
const MOST = 4 * 1024 * 1024;

/** Sends files of one letter, which are stored in a few hundred bytes, between small messages. */
async function sendLargeOnes(socket, receiver, count) {
  const sent = [];
  for (let n = 0; n < count; n++) {
    const file = { isFile: true, fileName: `${n}.txt` };
    for (const [words, extra] of [[`${n} ${'a'.repeat(1.5 * MEGABYTE)}`, file], [`and ${n}`, {}]]) {
      const answer = await camel.sayAcked(socket, receiver, words, extra);
      assert.equal(answer.ok, true, JSON.stringify(answer.error));
      sent.push(words);
    }
  }
  return sent;
}

const letters = (messages) => messages.reduce((sum, message) => sum + message.text.length, 0);

test('a history of large files comes in pages, over the socket and by REST, and pages lead through all of it', async () => {
  server = await startServer();
  const anna = await camel.register(server, 'anna');
  const bert = await signup(server, 'bert');
  const annas = await camel.enter(server, anna);
  const sent = await sendLargeOnes(annas, bert.email, 30);

  // What a page of the family asks for is a bare array as ever, with the latest messages.
  const list = await camel.history(annas, bert.email);
  assert.ok(letters(list) <= MOST && list.length >= 4, `${list.length} messages`);
  assert.deepEqual(list.map((message) => message.text), sent.slice(-list.length));
  assert.deepEqual(Object.keys(list[0]).sort(), camel.MESSAGE_FIELDS);

  let seen = [];
  let before;
  do {
    const page = await ask(annas, 'getMessageHistory', { otherUser: bert.email, before });
    assert.ok(page.ok && letters(page.messages) <= MOST, JSON.stringify(page.error));
    seen = [...page.messages.map((message) => message.text), ...seen];
    assert.equal(page.hasMore, page.nextBefore !== null);
    before = page.nextBefore;
  } while (before !== null);
  assert.ok(seen.length === sent.length && seen.every((words, n) => words === sent[n]), 'each once and in order');

  const me = (await bert.get('/auth/check')).data;
  const annaId = (await bert.get('/messages/chats')).data[0]._id;
  seen = [];
  let next = `/api/messages/${annaId}?limit=7`;
  while (next) {
    const answer = await bert.get(next.replace('/api', ''));
    assert.equal(answer.status, 200);
    assert.ok(answer.data.length <= 7 && letters(answer.data) <= MOST);
    assert.ok(answer.data.every((message) => message.receiverId === me._id));
    seen = [...answer.data.map((message) => message.text), ...seen];
    next = answer.headers.link?.match(/^<([^>]+)>; rel="next"$/)[1];
    assert.equal(answer.headers['x-has-more'], String(next !== undefined));
  }
  assert.ok(seen.length === sent.length && seen.every((words, n) => words === sent[n]), 'by REST too');
});

test('places that are none are refused', async () => {
  server = await startServer();
  const [anna, bert] = [await camel.register(server, 'anna'), await signup(server, 'bert')];
  const annas = await camel.enter(server, anna);
  await camel.say(annas, bert.email, 'hello');
  const answer = await ask(annas, 'getMessageHistory', { otherUser: bert.email, before: 'x' });
  assert.deepEqual(answer.error, { code: 'invalid', message: 'before must be a whole number' });
  const annaId = (await bert.get('/messages/chats')).data[0]._id;
  for (const before of ['x', '-1', '1.5', '']) {
    const refused = await bert.get(`/messages/${annaId}?before=${before}`);
    assert.deepEqual([refused.status, refused.data.message], [400, 'before must be a whole number']);
  }
  assert.deepEqual((await bert.get(`/messages/${annaId}?before=1`)).data, []);
});

test('who reads without end is refused with the time to come back, on sockets and HTTP, and nobody else is', async () => {
  server = await startServer({ CHAT_READ_BUDGET: '1' });
  const [anna, carl] = [await camel.register(server, 'anna'), await signup(server, 'carl')];
  const bert = await signup(server, 'bert');
  const annas = await camel.enter(server, anna);
  const file = { isFile: true, fileName: 'a.txt' };
  assert.equal((await camel.sayAcked(annas, bert.email, 'a'.repeat(1.5 * MEGABYTE), file)).ok, true);
  const annaId = (await bert.get('/messages/chats')).data[0]._id;

  let refused;
  for (let n = 0; n < 20 && !refused; n++) {
    const answers = await Promise.all(Array.from({ length: 4 }, () => bert.get(`/messages/${annaId}`)));
    refused = answers.find((answer) => answer.status !== 200);
  }
  assert.equal(refused.status, 429);
  assert.equal(refused.data.message, 'Rate limit exceeded. Please try again later.');
  const wait = Number(refused.headers['retry-after']);
  assert.ok(wait > 2 && wait <= 240, `Retry-After: ${wait}`);

  const again = await ask(annas, 'getMessageHistory', { otherUser: bert.email });
  assert.equal(again.ok, true, 'she has read nothing so far');
  let error;
  for (let n = 0; n < 20 && !error; n++) {
    error = (await ask(annas, 'getMessageHistory', { otherUser: bert.email })).error;
  }
  assert.equal(error.code, 'rate_limited');
  assert.ok(error.retryAfter > 2 && error.retryAfter <= 240, `retryAfter: ${error.retryAfter}`);
  const told = once(annas, 'error');
  annas.emit('getMessageHistory', { otherUser: bert.email });
  assert.equal((await told).code, 'rate_limited', 'a page without a callback has an event');

  const words = text();
  await camel.say(annas, bert.email, words);
  assert.equal((await carl.get('/messages/contacts')).status, 200);
});

test('many sockets of one person that ask again and again hold up nobody else', async () => {
  server = await startServer({ CHAT_READ_BUDGET: '0' });
  const greedy = await camel.register(server, 'greedy');
  const others = [await camel.register(server, 'bert'), await camel.register(server, 'carl')];
  const greedys = await camel.enter(server, greedy);
  await sendLargeOnes(greedys, others[0].name, 2);
  const sockets = await Promise.all(Array.from({ length: 20 }, () => camel.enter(server, greedy, { transports: ['websocket'] })));
  let asking = true;
  const asked = sockets.map(async (socket) => {
    for (let n = 0; asking; n++) {
      const answer = await ask(socket, 'getMessageHistory', { otherUser: others[0].name });
      assert.equal(answer.ok, true);
    }
  });
  const [berts, carls] = await Promise.all(others.map((other) => camel.enter(server, other, { transports: ['websocket'] })));
  for (let n = 0; n < 15; n++) {
    const words = text();
    const heard = camel.heard(carls, words);
    await camel.say(berts, others[1].name, words);
    await heard;
    assert.equal((await camel.history(carls, others[0].name)).length, n + 1);
  }
  asking = false;
  await Promise.all(asked);
  assert.ok([...sockets, berts, carls].every((socket) => socket.drops.length === 0), 'nobody was cut');
});
