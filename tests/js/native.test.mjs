// Our own dialect with the real client, over both transports: every command with a callback, the same over HTTP, and
// everybody told of what it did.

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

const rest = (person, method, path, body) =>
  request(server, { method, path: `/api/v1${path}`, body, headers: { authorization: `Bearer ${person.token}` } });

/** A new account, by its own log-in. */
async function register(word) {
  const [username, words] = [unique(word), password()];
  const made = await request(server, { method: 'POST', path: '/api/auth/register', body: { username, password: words } });
  assert.equal(made.status, 201, made.text);
  const { json } = await request(server, { method: 'POST', path: '/api/auth/login', body: { username, password: words } });
  assert.equal(json.token, json.accessToken);
  return { username, id: json.user.userId, token: secret(json.token) };
}

const enter = (person, transports) => connect(io, server.url, { auth: { token: person.token }, transports }, ['error']);

/** What a command is answered with, without what every answer has. */
async function over(socket, event, data) {
  const ack = await ask(socket, event, ...(data === undefined ? [] : [data]));
  assertAccepted(ack, event);
  const { ok, success, ...answer } = ack;
  return answer;
}

for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
  test(`a room, its messages and its people over ${transports.join(' and ')}`, async () => {
    const [anna, bert] = [await register('anna'), await register('bert')];
    const annas = await enter(anna, transports);
    // Who has come and gone between two tellings is told of by neither, so what follows waits for the first.
    const came = once(annas, 'presence', ({ userId, status }) => userId === bert.id && status === 'online');
    const berts = await enter(bert, transports);
    await came;

    const invited = once(berts, 'roomCreated');
    const { room } = await over(annas, 'room.create', { name: 'Tea', members: [bert.id] });
    const { roomId } = room;
    assert.equal((await invited).room.roomId, roomId);
    assert.deepEqual(room.members.map(({ userId, role }) => [userId, role]), [[anna.id, 'admin'], [bert.id, 'member']]);

    const words = text();
    const arrived = once(berts, 'messageSent');
    const { message } = await over(annas, 'message.send', { roomId, content: words, clientId: 'one' });
    assert.deepEqual((await arrived).message, message);
    assert.equal((await over(annas, 'message.send', { roomId, content: words, clientId: 'one' })).message.messageId, message.messageId);
    const { messageId } = message;

    // The same over HTTP, to the byte of the answer.
    const listed = await ask(berts, 'message.list', { roomId });
    assert.deepEqual((await rest(bert, 'GET', `/messages?roomId=${roomId}`)).json, listed);
    assert.deepEqual(listed.messages, [message]);
    assert.deepEqual((await rest(bert, 'GET', '/unread')).json, await ask(berts, 'unread.list'));

    const read = once(annas, 'messagesRead');
    assert.deepEqual(await over(berts, 'read.mark', { roomId, messageId }), { roomId, seq: 1 });
    assert.deepEqual(await read, { roomId, userId: bert.id, seq: 1 });

    const typing = once(annas, 'typingChanged');
    assert.deepEqual(await over(berts, 'typing.set', { roomId, typing: true }), {});
    assert.deepEqual(await typing, { roomId, userId: bert.id, typing: true });

    const edited = once(berts, 'messageEdited');
    const secondThoughts = (await over(annas, 'message.edit', { messageId, content: 'other words' })).message;
    assert.deepEqual((await edited).message, secondThoughts);
    assert.deepEqual([secondThoughts.content, secondThoughts.edits], ['other words', 1]);
    const earlier = (await rest(anna, 'GET', `/messages/${messageId}/edits`)).json;
    assert.deepEqual(earlier.messages.map((one) => one.content), [words]);
    const backAgain = once(berts, 'messageEdited');
    const { json } = await rest(anna, 'PATCH', `/messages/${messageId}`, { content: words });
    assert.deepEqual((await backAgain).message, json.message);
    Object.assign(message, json.message);

    const reacted = once(annas, 'reactionAdded');
    const reactions = [{ emoji: '❤️', count: 1, userIds: [bert.id] }];
    assert.deepEqual((await over(berts, 'reaction.add', { messageId, emoji: '❤' })).message, { ...message, reactions });
    assert.deepEqual(await reacted, { roomId, messageId, seq: 1, userId: bert.id, emoji: '❤️', reactions });
    assert.deepEqual((await rest(anna, 'GET', `/messages?roomId=${roomId}`)).json.messages, [{ ...message, reactions }]);
    const { changes } = await over(annas, 'log.sync', { since: '0' });
    const { position, type, ...logged } = changes.find((change) => change.type === 'reactionAdded');
    assert.deepEqual(logged, await reacted, 'the log says what was told');
    const taken = once(annas, 'reactionRemoved');
    const query = `emoji=${encodeURIComponent('❤️')}`;
    assert.deepEqual((await rest(bert, 'DELETE', `/messages/${messageId}/reactions?${query}`)).json.message, message);
    assert.deepEqual((await taken).reactions, []);

    const gone = once(berts, 'messageDeleted');
    assert.equal((await rest(anna, 'DELETE', `/messages/${messageId}`)).json.message.deleted, true);
    assert.equal((await gone).message.content, '');
    const restored = once(berts, 'messageRestored');
    await over(annas, 'message.restore', { messageId });
    assert.equal((await restored).message.content, words);

    const promoted = once(berts, 'roleChanged');
    await over(annas, 'member.setRole', { roomId, userId: bert.id, role: 'moderator' });
    assert.equal((await promoted).role, 'moderator');

    const [one, two, three] = (
      await over(annas, 'batch', {
        commands: [
          { event: 'message.send', data: { roomId, content: words } },
          { event: 'message.list', data: { roomId, after: 1 } },
          { event: 'room.create', data: { name: 7 } },
        ],
      })
    ).results;
    assert.deepEqual(two.messages, [one.message], 'each after the one before');
    assert.deepEqual(three.error, { code: 'invalid', message: 'name must be a string', field: 'name' });

    const left = once(annas, 'memberRemoved');
    assert.deepEqual(await over(berts, 'room.leave', { roomId }), { room: { roomId } });
    assert.equal((await left).userId, bert.id);
    const refused = await ask(berts, 'message.list', { roomId });
    assert.deepEqual(refused, { ok: false, success: false, error: { code: 'not_found', message: 'conversation not found' } });

    const { users } = await over(annas, 'user.list');
    assert.deepEqual(users.map(({ userId, status }) => [userId, status]), [[bert.id, 'online']]);
    const went = once(annas, 'presence', ({ userId, status }) => userId === bert.id && status === 'offline');
    berts.disconnect();
    await went;
    assert.deepEqual(annas.seen.error, []);
  });
}

test('a log-out ends what was opened with its token', async () => {
  const anna = await register('anna');
  const annas = await enter(anna, ['websocket']);
  const ended = once(annas, 'disconnect');
  assert.equal((await rest(anna, 'POST', '/auth/logout')).status, 200);
  await ended;
  const refused = await rest(anna, 'GET', '/chats');
  assert.deepEqual([refused.status, refused.json.error.code, refused.json.message], [401, 'unauthenticated', 'Unauthorized']);
  await assert.rejects(enter(anna, ['websocket']), /Authentication error/);
});

// What has arrived is known when the client polls again, and stored at the latest when its connection ends.
test('a message is delivered once the client has polled again', async () => {
  const [anna, bert] = [await register('anna'), await register('bert')];
  const annas = await enter(anna, ['websocket']);
  const berts = await enter(bert, ['polling']);
  const arrived = [once(berts, 'messageSent'), once(berts, 'messageSent', ({ message }) => message.seq === 2)];
  const { message } = await over(annas, 'message.send', { userId: bert.id, content: text() });
  const receipts = async () => (await over(annas, 'message.receipts', { messageId: message.messageId })).receipts;
  await arrived[0];
  // The second one comes with a later poll, which says that the first one was received.
  await over(annas, 'message.send', { userId: bert.id, content: text() });
  await arrived[1];
  berts.disconnect();
  await until(async () => (await receipts())[0].state === 'delivered', 'the message is delivered');
  assert.deepEqual(await receipts(), [{ userId: bert.id, state: 'delivered' }]);
  assert.equal((await rest(bert, 'POST', '/read', { userId: anna.id })).status, 200);
  assert.deepEqual(await receipts(), [{ userId: bert.id, state: 'read' }]);
});
