// The events of the `push` dialect: messages, presence, typing, and who gets a socket.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';

import { expired, signed, unsigned, withOtherSecret } from './support/forge.mjs';
import { dataUrl, png } from './support/images.mjs';
import { text } from './support/names.mjs';
import { roster, signup } from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { ask, assertAccepted, assertRefused, closeSockets, connect, once, refusal, seen } from './support/wait.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(async () => {
  closeSockets();
  await server?.finish();
});

const people = (...words) => Promise.all(words.map((word) => signup(server, word)));
const ids = (socket, event) => socket.seen[event].map((message) => message._id);

// ---- Who gets in -----------------------------------------------------------------------------------------

test('the cookie opens a socket, and so does auth.token', async () => {
  const [anna] = await people('anna');
  await anna.open();
  await connect(io, server.url, { auth: { token: anna.token } });
  await connect(io, server.url, { auth: { token: signed({ userId: anna.id }, { expiresIn: '7d' }) } });
});

test('without a good cookie or token there is no socket', async () => {
  const [anna] = await people('anna');
  const attempts = {
    nothing: {},
    'empty cookie': { extraHeaders: { cookie: 'jwt=' } },
    'nonsense': { extraHeaders: { cookie: 'jwt=nonsense' } },
    'expired': { extraHeaders: { cookie: `jwt=${expired({ userId: anna.id })}` } },
    'other secret': { extraHeaders: { cookie: `jwt=${withOtherSecret({ userId: anna.id })}` } },
    'alg none': { auth: { token: unsigned({ userId: anna.id }) } },
    'no such user': { auth: { token: signed({ userId: 'f'.repeat(24) }) } },
    'the older client, without cookie': { query: { userId: anna.id } },
    'the older client, bad cookie': { query: { userId: anna.id }, extraHeaders: { cookie: 'jwt=nonsense' } },
  };
  for (const [what, options] of Object.entries(attempts)) {
    for (const transports of [['websocket'], ['polling']]) {
      const message = await refusal(connect(io, server.url, { ...options, transports }));
      assert.ok(message, what);
    }
  }
});

test('the older client gets in with its cookie, as the user of the cookie and nobody else', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const annas = await anna.open({ query: { userId: anna.id } });
  await roster(annas, (list) => list.includes(anna.id));
  const forged = await anna.open({ query: { userId: bert.id } }).catch(() => undefined);
  const sent = once(annas, 'messageSent');
  await anna.send(bert, text('fence'));
  await sent;
  assert.deepEqual(forged?.seen.newMessage ?? [], [], "it does not get bert's messages");
  assert.ok(!annas.seen.getOnlineUsers.some((list) => list.includes(bert.id)), 'and does not show him online');
});

test('several jwt cookies, without a space: the first that verifies opens the socket', async () => {
  const [anna] = await people('anna');
  const socket = await anna.open({ extraHeaders: { cookie: `jwt=nonsense;jwt=${anna.token}` } });
  await roster(socket, (list) => list.includes(anna.id));
});

test('logout closes the sockets opened with its token, and only those', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const elsewhere = await anna.elsewhere();
  const [here, there, berts] = [await anna.open(), await elsewhere.open(), await bert.open()];
  const cookie = anna.cookie;
  const closed = once(here, 'disconnect');
  await anna.post('/auth/logout');
  await closed;
  await refusal(anna.open({ extraHeaders: { cookie } }));
  const message = await bert.send(anna, text());
  await seen(there, 'newMessage');
  assert.deepEqual(ids(there, 'newMessage'), [message._id]);
  assert.deepEqual(here.seen.newMessage, []);
  assert.ok(berts.seen.getOnlineUsers.at(-1).includes(anna.id), 'still online elsewhere');
});

// ---- Messages --------------------------------------------------------------------------------------------

test('newMessage comes to all sockets of the receiver, messageSent to all of the sender, as REST has them', async () => {
  const [anna, bert, carl] = await people('anna', 'bert', 'carl');
  const [anna1, anna2, bert1, bert2, carls] = [await anna.open(), await anna.open(), await bert.open(), await bert.open(), await carl.open()];
  const arrivals = Promise.all([...[anna1, anna2].map((s) => once(s, 'messageSent')), ...[bert1, bert2].map((s) => once(s, 'newMessage'))]);
  const message = await anna.send(bert, { text: text(), image: dataUrl('image/png', png) });
  for (const arrived of await arrivals) assert.deepEqual(arrived, message);

  // A second message proves that the first came once, and to nobody else.
  const all = Promise.all([once(carls, 'newMessage'), once(bert1, 'messageSent'), once(anna1, 'newMessage')]);
  const toCarl = await bert.send(carl, text('fence'));
  const toAnna = await bert.send(anna, text('fence'));
  await all;
  assert.deepEqual(ids(carls, 'newMessage'), [toCarl._id]);
  assert.deepEqual(ids(anna1, 'newMessage'), [toAnna._id]);
  assert.deepEqual(ids(anna1, 'messageSent'), [message._id]);
  assert.deepEqual(ids(bert1, 'newMessage'), [message._id]);
  assert.deepEqual(carls.seen.messageSent, []);
});

test('a message is in the history when its event comes, and its order is the order of the events', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const berts = await bert.open();
  const first = once(berts, 'newMessage');
  await anna.send(bert, text());
  assert.deepEqual(await bert.history(anna), [await first]);
  const last = text('last');
  const done = once(berts, 'newMessage', (message) => message.text === last);
  await Promise.all(Array.from({ length: 40 }, (_, i) => anna.send(bert, `at once ${i}`)));
  await anna.send(bert, last);
  await done;
  assert.deepEqual(berts.seen.newMessage, await bert.history(anna));
});

test('messageDeleted and messageRestored come to both, and to nobody else', async () => {
  const [anna, bert, carl] = await people('anna', 'bert', 'carl');
  const [annas, berts, carls] = [await anna.open(), await bert.open(), await carl.open()];
  const message = await anna.send(bert, text());
  const deleted = Promise.all([once(annas, 'messageDeleted'), once(berts, 'messageDeleted')]);
  await anna.delete(`/messages/${message._id}`);
  for (const event of await deleted) {
    assert.deepEqual(event, { messageId: message._id, _id: message._id, deleted: true });
  }
  const restored = Promise.all([once(annas, 'messageRestored'), once(berts, 'messageRestored')]);
  const answer = await anna.put(`/messages/${message._id}/restore`);
  for (const event of await restored) assert.deepEqual(event, answer.data);

  // Refused ones are not announced.
  await bert.delete(`/messages/${message._id}`);
  const fence = once(carls, 'newMessage');
  const last = once(berts, 'newMessage', (heard) => heard.text === 'fence');
  await anna.send(carl, 'fence');
  await anna.send(bert, 'fence');
  await Promise.all([fence, last]);
  assert.deepEqual([annas.seen.messageDeleted.length, berts.seen.messageDeleted.length], [1, 1]);
  assert.deepEqual([carls.seen.messageDeleted, carls.seen.messageRestored], [[], []]);
});

test('a reaction and its taking back come to both, and to nobody else', async () => {
  const [anna, bert, carl] = await people('anna', 'bert', 'carl');
  const [annas, berts, carls] = [await anna.open(), await bert.open(), await carl.open()];
  const foreign = [];
  for (const event of ['messageReaction', 'messageReacted']) carls.on(event, (told) => foreign.push(told));
  const message = await anna.send(bert, text());
  const messageId = message._id;
  const both = (event, matches) => Promise.all([once(annas, event, matches), once(berts, event, matches)]);

  const told = Promise.all([both('messageReaction'), both('messageReacted')]);
  const answer = await bert.post(`/messages/${messageId}/react`, { emoji: '👩‍❤️‍💋‍👨' });
  const reactions = [{ emoji: '👩‍❤️‍💋‍👨', userId: bert.id }];
  assert.deepEqual([answer.status, answer.data], [200, { ...message, reactions }]);
  for (const event of (await told).flat()) {
    assert.deepEqual(event, { messageId, userId: bert.id, emoji: '👩‍❤️‍💋‍👨', reactions });
  }
  assert.deepEqual(await anna.history(bert), [{ ...message, reactions }]);

  // By event, and the same emoji again takes it away.
  const more = both('messageReacted');
  assertAccepted(await ask(annas, 'addReaction', { messageId, emoji: '👍' }));
  for (const event of await more) assert.deepEqual(event.reactions, [{ emoji: '👍', userId: anna.id }, ...reactions]);
  const less = both('messageReacted', (event) => event.reactions.length === 1);
  assert.equal((await bert.put(`/messages/react/${messageId}`, { emoji: '👩‍❤️‍💋‍👨' })).status, 200);
  for (const event of await less) assert.deepEqual(event.reactions, [{ emoji: '👍', userId: anna.id }]);

  // A stranger does not learn that there is such a message.
  const refused = await carl.post(`/messages/${messageId}/react`, { emoji: '👍' });
  assert.deepEqual([refused.status, refused.data.message], [404, 'Message not found']);
  const fence = once(carls, 'newMessage');
  await anna.send(carl, 'fence');
  await fence;
  assert.deepEqual(foreign, []);

  const last = both('messageReacted', (event) => event.reactions.length === 0);
  await anna.post(`/messages/${messageId}/reactions`, { emoji: '👍' });
  await last;
  assert.deepEqual(await bert.history(anna), [message], 'as if there had been none');
});

test('userJoined tells everyone of a new account', async () => {
  const [anna] = await people('anna');
  const annas = await anna.open();
  const joined = once(annas, 'userJoined', (user) => user.fullName.startsWith('newcomer'));
  const newcomer = await signup(server, 'newcomer');
  const user = await joined;
  assert.deepEqual([user._id, user.fullName], [newcomer.id, newcomer.fullName]);
  for (const field of ['password', 'passwordHash', 'hash', 'token']) assert.ok(!(field in user), field);
});

// ---- Presence --------------------------------------------------------------------------------------------

test('getOnlineUsers is a list of ids, oneself included, at connect and at disconnect', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const annas = await anna.open();
  const own = await roster(annas, (list) => list.includes(anna.id));
  assert.ok(Array.isArray(own) && own.every((id) => typeof id === 'string'));
  const came = once(annas, 'getOnlineUsers', (list) => list.includes(bert.id));
  const berts = await bert.open();
  await came;
  const both = await roster(berts, (list) => list.includes(anna.id) && list.includes(bert.id));
  assert.equal(new Set(both).size, both.length, 'each once');
  const went = once(annas, 'getOnlineUsers', (list) => !list.includes(bert.id));
  berts.disconnect();
  assert.ok((await went).includes(anna.id));
});

test('closing one of two tabs does not show offline', async () => {
  const [anna, bert, carl] = await people('anna', 'bert', 'carl');
  const annas = await anna.open();
  const tabs = [await bert.open(), await bert.open()];
  await roster(annas, (list) => list.includes(bert.id));
  const before = annas.seen.getOnlineUsers.length;
  tabs[0].disconnect();
  // Carl coming and going is the fence.
  const came = once(annas, 'getOnlineUsers', (list) => list.includes(carl.id));
  const carls = await carl.open();
  await came;
  const went = once(annas, 'getOnlineUsers', (list) => !list.includes(carl.id));
  carls.disconnect();
  await went;
  for (const list of annas.seen.getOnlineUsers.slice(before)) assert.ok(list.includes(bert.id));
  const message = await anna.send(bert, text());
  await seen(tabs[1], 'newMessage');
  assert.deepEqual(ids(tabs[1], 'newMessage'), [message._id]);
  const offline = once(annas, 'getOnlineUsers', (list) => !list.includes(bert.id));
  tabs[1].disconnect();
  await offline;
});

test('30 sockets connecting at once: everybody ends with the right list', async () => {
  const crowd = await people(...Array.from({ length: 30 }, (_, i) => `crowd${i}`));
  // Several times: some take over by websocket just as the last list is sent.
  for (let round = 0; round < 5; round++) {
    const sockets = await Promise.all(crowd.map((person) => person.open()));
    const everybody = (list) => crowd.every((person) => list.includes(person.id));
    await Promise.all(sockets.map((socket) => roster(socket, everybody)));

    const [leaving, staying] = [crowd.slice(0, 15), crowd.slice(15)];
    sockets.slice(0, 15).forEach((socket) => socket.disconnect());
    const half = (list) => staying.every((person) => list.includes(person.id)) && !leaving.some((person) => list.includes(person.id));
    await Promise.all(sockets.slice(15).map((socket) => roster(socket, half)));
    sockets.forEach((socket) => socket.disconnect());
  }
});

// ---- Typing ----------------------------------------------------------------------------------------------

test('typing and stopTyping come to the other, and an end is never called userTyping', async () => {
  const [anna, bert, carl] = await people('anna', 'bert', 'carl');
  const [annas, berts, carls] = [await anna.open(), await bert.open(), await carl.open()];
  let begun = 0;
  for (const [event, told, typing] of [['typing', 'userTyping', true], ['stopTyping', 'userStoppedTyping', false]]) {
    const fields = { userId: anna.id, senderId: anna.id, chatId: anna.id, groupId: null, isGroup: false, isTyping: typing, typing };
    let heard = once(berts, told);
    annas.emit(event, { to: bert.id });
    assert.deepEqual(await heard, fields);
    heard = once(berts, told);
    assertAccepted(await ask(annas, event, { to: bert.id }), event);
    assert.deepEqual(await heard, fields);
    begun ||= berts.seen.userTyping.length;
  }
  assert.deepEqual([begun, berts.seen.userTyping.length], [2, 2]);
  const fence = once(carls, 'userTyping');
  annas.emit('typing', { to: carl.id });
  await fence;
  assert.equal(carls.seen.userTyping.length, 1);
  assert.deepEqual(annas.seen.userTyping, []);
});

test('bad typing payloads are refused, and the socket lives on', async () => {
  const [anna, bert] = await people('anna', 'bert');
  const [annas, berts] = [await anna.open(), await bert.open()];
  const bad = [[], [null], [42], ['x'], [[]], [{}], [{ to: null }], [{ to: 7 }], [{ to: { $gt: '' } }], [{ to: 'nonsense' }], [{ to: 'x'.repeat(1_000_000) }], [Buffer.from('x')], [{ to: Buffer.from(bert.id) }]];
  for (const event of ['typing', 'stopTyping']) {
    for (const args of bad) {
      assertRefused(await ask(annas, event, ...args), `${event} ${JSON.stringify(args)?.slice(0, 60)}`);
      annas.emit(event, ...args);
    }
  }
  assertRefused(await ask(annas, 'no such event', 1), 'unknown event');
  const deep = '['.repeat(10_000) + ']'.repeat(10_000);
  annas.io.engine.write(`2["typing",${deep}]`);
  annas.io.engine.write(`2["typing",{"to":${deep}}]`);
  const fence = once(berts, 'userTyping');
  assertAccepted(await ask(annas, 'typing', { to: bert.id }));
  await fence;
  assert.equal(berts.seen.userTyping.length, 1);
  assert.deepEqual(annas.drops, []);
});
