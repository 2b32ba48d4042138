// Events of the forks of the `push` family: who types and what was seen, in every spelling, with the handlers that their
// pages really have.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import ioV2 from 'socket.io-client-2';

import { text } from './support/names.mjs';
import { signup } from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { ask, assertAccepted, closeSockets, once, until } from './support/wait.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(async () => {
  closeSockets();
  await server?.finish();
});

const people = (...words) => Promise.all(words.map((word) => signup(server, word)));
const all = (socket, events) => Promise.all(events.map((event) => once(socket, event)));

const STARTS = ['typing', 'userTyping'];
const STOPS = ['stopTyping', 'userStopTyping', 'userStoppedTyping'];

// ---- Typing ----------------------------------------------------------------------------------------------

test('typing in every spelling reaches the other in every spelling, in both directions', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const [annas, berts] = [await anna.open(), await bert.open()];
  const sides = [[anna, annas, bert, berts], [bert, berts, anna, annas]];
  for (const [me, mine, other, others] of sides) {
    const fields = ['to', 'receiverId', 'recipientId', 'chatId'];
    for (const payload of [...fields.map((field) => ({ [field]: other.id, senderId: me.id })), other.id]) {
      const told = (isTyping) => ({ userId: me.id, senderId: me.id, chatId: me.id, groupId: null, isGroup: false, isTyping, typing: isTyping });
      let heard = all(others, STARTS);
      mine.emit('typing', payload);
      for (const event of await heard) assert.deepEqual(event, told(true));
      heard = all(others, STOPS);
      mine.emit('stopTyping', payload);
      for (const event of await heard) assert.deepEqual(event, told(false));
    }
    const heard = all(others, STOPS);
    mine.emit('typing', { to: other.id, isTyping: false });
    await heard;
  }
  // Each start was told as such once, and no end was.
  assert.deepEqual([annas.seen.userTyping.length, berts.seen.userTyping.length], [5, 5]);
});

test('clients of Socket.IO 2 are told every name of an event, also by long polling', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const annas = await anna.open();
  for (const transport of ['polling', 'websocket']) {
    const headers = { extraHeaders: { cookie: bert.cookie } };
    const transportOptions = { polling: headers, websocket: headers };
    const berts = await bert.open({ transports: [transport], transportOptions }, ioV2);
    for (const [event, names] of [['typing', STARTS], ['stopTyping', STOPS]]) {
      const heard = all(berts, names);
      annas.emit(event, { to: bert.id });
      for (const told of await heard) assert.equal(told.userId, anna.id);
    }
    berts.disconnect();
  }
});

test('typing ends with its connection, also one that is cut off, and not with another of the same person', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const [typing, other, berts] = [await anna.open({ transports: ['websocket'] }), await anna.open(), await bert.open()];
  for (const end of [() => typing.disconnect(), () => typing.io.engine.transport.ws.terminate()]) {
    const begins = all(berts, STARTS);
    typing.emit('typing', { receiverId: bert.id });
    await begins;
    const stops = all(berts, STOPS);
    const before = berts.listeners('stopTyping').length;
    assert.ok(before > 0);
    end();
    await stops;
    if (!typing.connected) typing.connect();
    await until(() => typing.connected, 'the page is back');
  }
  const begins = all(berts, STARTS);
  typing.emit('typing', { receiverId: bert.id });
  await begins;
  let ended = 0;
  berts.on('stopTyping', () => ended++);
  const gone = once(other, 'disconnect');
  other.disconnect();
  await gone;
  // The fence: another sign of life on the same connection comes behind an end that would be wrong.
  const again = once(berts, 'userTyping');
  assertAccepted(await ask(typing, 'typing', { receiverId: bert.id }));
  await again;
  assert.equal(ended, 0);
});

test('typing ends with the message to that person, and not with one to another', async () => {
  const [anna, bert, carl] = await people('anna', 'bert', 'carl');
  const [annas, berts, carls] = [await anna.open(), await bert.open(), await carl.open()];
  for (const [page] of [[berts], [carls]]) {
    const begins = all(page, STARTS);
    annas.emit('typing', { receiverId: page === berts ? bert.id : carl.id });
    await begins;
  }
  let ended = 0;
  carls.on('stopTyping', () => ended++);
  const stops = all(berts, STOPS);
  await anna.send(bert, text());
  await stops;
  const fence = once(carls, 'newMessage');
  await bert.send(carl, text());
  await fence;
  assert.equal(ended, 0, 'she still types to the other one');
});

test('typing ends after 10 seconds without a new one', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const [annas, berts] = [await anna.open(), await bert.open()];
  const stops = all(berts, STOPS);
  const begun = Date.now();
  annas.emit('typing', { receiverId: bert.id });
  await stops;
  assert.ok(Date.now() - begun >= 9_900, `after ${Date.now() - begun} ms`);
});

// ---- Seen ------------------------------------------------------------------------------------------------

/** Every way in which a page says that what `from` wrote was seen; `ids` are of those messages. */
const ways = (reader, socket, from, ids) => ({
  'PUT /read/:userId': () => reader.put(`/messages/read/${from.id}`),
  'POST /read/:userId': () => reader.post(`/messages/read/${from.id}`),
  'PUT /seen/:userId': () => reader.put(`/messages/seen/${from.id}`),
  'PUT /mark-seen': () => reader.put('/messages/mark-seen', { senderId: from.id }),
  'POST /mark-read': () => reader.post('/messages/mark-read', { messageIds: ids }),
  'POST /:id/read': () => reader.post(`/messages/${ids.at(-1)}/read`),
  markMessagesAsSeen: () => socket.emit('markMessagesAsSeen', { senderId: from.id }),
  markSeen: () => socket.emit('markSeen', { partnerId: from.id }),
  'mark-messages-as-read': () => socket.emit('mark-messages-as-read', { conversationPartnerId: from.id }),
  messageSeen: () => socket.emit('messageSeen', { messageId: ids.at(-1) }),
  message_read: () => socket.emit('message_read', { messageIds: ids }),
  'messages:read': () => socket.emit('messages:read', { messageIds: ids, chatId: from.id }),
});

test('seen in every spelling reaches the sender in every spelling, in both directions', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const [annas, berts] = [await anna.open(), await bert.open()];
  for (const [from, page, reader, socket] of [[anna, annas, bert, berts], [bert, berts, anna, annas]]) {
    const sent = [];
    for (const way of Object.keys(ways(reader, socket, from, ['']))) {
      for (let n = 0; n < 2; n++) sent.push((await from.send(reader, text()))._id);
      const heard = all(page, ['messagesRead', 'messagesSeen', 'messageStatusUpdated']);
      const answer = await ways(reader, socket, from, sent.slice(-2))[way]();
      if (answer?.status) assert.deepEqual([answer.status, answer.data.success], [200, true], `${way}: ${JSON.stringify(answer.data)}`);
      const [read, seen, status] = await heard;
      assert.deepEqual(read, seen, way);
      for (const field of ['userId', 'readerId', 'by', 'byUserId', 'receiverId', 'chatId']) assert.equal(read[field], reader.id, `${way} ${field}`);
      assert.deepEqual(read.messageIds.slice(0, 2), sent.slice(-2).reverse(), way);
      assert.deepEqual(read.messageIds.filter((id) => !sent.includes(id)), [], 'only what the sender wrote');
      assert.deepEqual(status, { messageId: sent.at(-1), status: 'read' }, way);
    }
  }
});

test('no page marks what is not seen, whatever fields its handler goes by', async () => {
  const [anna, bert, carl] = await people('anna', 'bert', 'carl');
  const annas = await anna.open();
  const berts = await bert.open();
  const toCarl = await anna.send(carl, text());
  const toBert = await anna.send(bert, text());
  const fromCarl = await carl.send(bert, text());
  /** Handlers as pages have them: which of the open chat's messages become seen. */
  const handlers = (open) => ({
    byUserId: (data, message) => data.userId === open.id,
    byReader: (data, message) => data.readerId === open.id,
    byBy: (data, message) => data.by === open.id,
    byChat: (data, message) => data.chatId === open.id,
    byReceiver: (data, message) => message.receiverId === data.receiverId,
    bySender: (data, message) => message.senderId === data.senderId,
    byBoth: (data, message) => message.senderId === data.senderId && message.receiverId === data.receiverId,
    byIds: (data, message) => data.messageIds.includes(message._id),
    byConversation: (data, message) => data.conversationId === open.id,
    byGroup: (data, message) => data.groupId === open.id,
  });
  // The reader's own page is told of its mark, too, by one event; which one is compared below.
  const own = [];
  berts.on('messagesRead', (data) => own.push(data));
  berts.on('messagesSeen', (data) => own.push(data));
  const heard = all(annas, ['messagesRead', 'messagesSeen']);
  await bert.put(`/messages/seen/${anna.id}`);
  for (const data of await heard) {
    const marked = (open, message) => Object.entries(handlers(open)).filter(([, is]) => is(data, message)).map(([name]) => name);
    assert.deepEqual(marked(bert, toBert), ['byUserId', 'byReader', 'byBy', 'byChat', 'byReceiver', 'byIds']);
    assert.deepEqual(marked(carl, toCarl), [], 'with another chat open nothing is marked');
  }
  // The reader's own page, with any chat open.
  await until(() => own.length > 0, "the reader's first mark");
  const again = once(annas, 'messagesRead');
  await anna.send(bert, text());
  await bert.put(`/messages/seen/${anna.id}`);
  await again;
  await until(() => own.length > 1, "the reader's second mark");
  const fields = ['roomId', 'seq', 'userId'];
  assert.deepEqual(own.map((data) => Object.keys(data).sort()), [fields, fields]);
  for (const [name, is] of Object.entries(handlers(carl))) {
    if (name !== 'byIds') assert.ok(!own.some((data) => is(data, fromCarl)), name);
  }
});

test('what is not there or not theirs is refused in the words of the family', async () => {
  const [anna, bert, carl] = await people('anna', 'bert', 'carl');
  const message = await anna.send(bert, text());
  for (const [answer, status, words] of [
    [await carl.post(`/messages/${message._id}/read`), 404, 'Message not found'],
    [await carl.post('/messages/mark-read', { messageIds: [message._id] }), 404, 'Message not found'],
    [await carl.post('/messages/mark-read', { messageIds: 'x' }), 400, 'messageIds must be a list of strings'],
    [await carl.put('/messages/mark-seen', {}), 400, 'senderId, messageId or messageIds is missing'],
    [await carl.put(`/messages/read/${'f'.repeat(24)}`), 404, 'user not found'],
    [await carl.put(`/messages/read/${anna.id}`), 200, 'Messages marked as read'],
  ]) {
    assert.deepEqual([answer.status, answer.data.message], [status, words]);
  }
});
