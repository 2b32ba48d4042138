// Threads with the real client: what is told live is what the history and the log say, over both transports.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import { io } from 'socket.io-client';

import { request } from './support/http.mjs';
import { password, text, unique } from './support/names.mjs';
import { secret, startServer } from './support/server.mjs';
import { ask, assertAccepted, closeSockets, connect, once } from './support/wait.mjs';

let server;
beforeEach(async () => {
  server = await startServer({ CHAT_DIALECTS: 'native' });
});
afterEach(async () => {
  closeSockets();
  await server.finish();
});
after(closeSockets);

/** A new account, by its own log-in. */
async function register(word) {
  const [username, words] = [unique(word), password()];
  const made = await request(server, { method: 'POST', path: '/api/auth/register', body: { username, password: words } });
  assert.equal(made.status, 201, made.text);
  const { json } = await request(server, { method: 'POST', path: '/api/auth/login', body: { username, password: words } });
  return { username, id: json.user.userId, token: secret(json.token) };
}

const enter = (person, transports) => connect(io, server.url, { auth: { token: person.token }, transports }, ['error']);

/** What a command is answered with, without what every answer has. */
async function over(socket, event, data) {
  const ack = await ask(socket, event, data);
  assertAccepted(ack, event);
  const { ok, success, ...answer } = ack;
  return answer;
}

for (const transports of [['websocket'], ['polling']]) {
  test(`a thread over ${transports.join(' and ')}`, async () => {
    const [anna, bert] = [await register('anna'), await register('bert')];
    const [annas, phone, berts] = [await enter(anna, transports), await enter(anna, transports), await enter(bert, transports)];
    const root = (await over(annas, 'message.send', { userId: bert.id, content: text() })).message;
    const { roomId, messageId: threadId } = root;

    const arrived = once(annas, 'messageSent', ({ message }) => message.threadId === threadId);
    const { message } = await over(berts, 'message.send', { roomId, content: text(), threadId, clientId: 'one' });
    assert.deepEqual((await arrived).message, message);
    const thread = { replies: 1, lastReplyAt: message.timestamp, userIds: [bert.id] };
    assert.deepEqual(message.thread, thread);
    const again = await over(berts, 'message.send', { roomId, content: text(), threadId, clientId: 'one' });
    assert.deepEqual(again.message, message, 'sent again it is the same message');

    // The history, the thread, the list and the log say the same.
    assert.deepEqual((await over(annas, 'message.list', { roomId })).messages, [{ ...root, thread }, message]);
    const history = { message: { ...root, thread }, following: true, messages: [message], next: null };
    assert.deepEqual(await over(annas, 'thread.history', { threadId }), history);
    const listed = { threads: [{ message: { ...root, thread }, thread, unread: 1 }], next: null };
    assert.deepEqual(await over(annas, 'thread.list', {}), listed);
    const overHttp = await request(server, { method: 'GET', path: '/api/v1/threads', headers: { authorization: `Bearer ${anna.token}` } });
    assert.deepEqual(overHttp.json, { ok: true, success: true, ...listed });
    await over(annas, 'read.mark', { roomId });
    assert.equal((await over(annas, 'thread.list', {})).threads[0].unread, 0, 'it is read with the conversation');

    const updated = once(annas, 'threadUpdated');
    await over(berts, 'message.delete', { messageId: message.messageId });
    assert.deepEqual(await updated, { roomId, threadId, seq: 1, thread: null });
    const back = once(annas, 'threadUpdated');
    await over(berts, 'message.restore', { messageId: message.messageId });
    assert.deepEqual(await back, { roomId, threadId, seq: 1, thread });

    // Only the person's own devices are told what they follow.
    const strangers = [];
    berts.on('threadUnfollowed', (told) => strangers.push(told));
    const unfollowed = once(phone, 'threadUnfollowed');
    await over(annas, 'thread.unfollow', { threadId });
    assert.deepEqual(await unfollowed, { roomId, threadId, seq: 1 });
    assert.deepEqual(await over(annas, 'thread.list', {}), { threads: [], next: null });
    const fence = once(berts, 'messageSent');
    await over(annas, 'message.send', { roomId, content: text() });
    await fence;
    assert.deepEqual(strangers, []);

    const { changes } = await over(annas, 'log.sync', { since: '0' });
    const types = changes.map(({ type }) => type).filter((type) => type.startsWith('thread'));
    assert.deepEqual(types, ['threadUpdated', 'threadUpdated', 'threadUnfollowed']);
    const { changes: theirs } = await over(berts, 'log.sync', { since: '0' });
    assert.ok(!theirs.some(({ type }) => type === 'threadUnfollowed'));
    for (const socket of [annas, phone, berts]) assert.deepEqual(socket.seen.error, []);
  });
}
