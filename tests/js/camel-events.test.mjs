// The events of the `camel` dialect: who gets a socket, messages and histories, and what is refused.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';

import { MESSAGE_FIELDS, enter, heard, history, letter, register, say, sayAcked } from './support/camel.mjs';
import { expired, signed, tampered, unsigned, withOtherSecret } from './support/forge.mjs';
import { text, unique } from './support/names.mjs';
import { secret, startServer } from './support/server.mjs';
import { ask, assertAccepted, assertRefused, closeSockets, connect, once, refusal } from './support/wait.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(async () => {
  closeSockets();
  await server?.finish();
});

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

// ---- Sockets: who gets in --------------------------------------------------------------------------------

test('a socket is refused with "Authentication error" unless its token is good', async () => {
  const user = await register(server, 'door');
  const tokens = {
    missing: undefined,
    empty: '',
    nonsense: 'nonsense',
    number: 42,
    object: { $gt: '' },
    expired: expired({ username: user.name }),
    'other secret': withOtherSecret({ username: user.name }),
    'alg none': unsigned({ username: user.name }),
    tampered: tampered(user.token, { username: user.name }),
    'no such user': signed({ username: unique('ghost') }),
    'no claim': signed({ hello: 'world' }),
    'claim of the wrong type': signed({ username: { $gt: '' } }),
    // One that is longer than anything a stranger may send ends the connection; see hostile.test.mjs.
    long: 'x'.repeat(15_000),
  };
  for (const [what, token] of Object.entries(tokens)) {
    for (const transports of [['websocket'], ['polling']]) {
      const auth = token === undefined ? {} : { token };
      assert.equal(await refusal(connect(io, server.url, { auth, transports })), 'Authentication error', what);
    }
  }
});

test('a token of the old backend, {username} without exp, opens a socket', async () => {
  const user = await register(server, 'old');
  const socket = await enter(server, { token: signed({ username: user.name }) });
  const note = text();
  assert.equal((await say(socket, user.name, note)).sender, user.name);
});

test('a token in the Authorization header opens a socket', async () => {
  const user = await register(server, 'bearer');
  const socket = await connect(io, server.url, { extraHeaders: { authorization: `Bearer ${user.token}` } });
  assert.ok(socket.connected);
});

// ---- Sockets: messages -----------------------------------------------------------------------------------

test('a message comes to the sender and to the receiver, once each, with exactly the seven fields', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const [annas, berts] = [await enter(server, anna), await enter(server, bert)];
  const note = text();
  const [atBert, atAnna] = await Promise.all([heard(berts, note), say(annas, bert.name, note, { timestamp: '2001-01-01T00:00:00.000Z' })]);
  assert.deepEqual(atBert, atAnna);
  assert.deepEqual(Object.keys(atAnna).sort(), MESSAGE_FIELDS);
  const { timestamp, ...rest } = atAnna;
  assert.deepEqual(rest, { text: note, sender: anna.name, receiver: bert.name, compressed: false, isFile: false, fileName: null });
  assert.match(timestamp, ISO);
  assert.ok(timestamp > '2020', "the time is the server's, not the client's");

  // The answer passes the same way as the message did: had the message come twice, it would be here.
  const fence = text('fence');
  await Promise.all([heard(annas, fence), say(berts, anna.name, fence)]);
  for (const socket of [annas, berts]) {
    assert.deepEqual(socket.seen.privateMessage.map((message) => message.text), [note, fence]);
  }
});

test('a message to oneself comes once', async () => {
  const user = await register(server, 'self');
  const socket = await enter(server, user);
  const [note, fence] = [text(), text('fence')];
  await say(socket, user.name, note);
  await say(socket, user.name, fence);
  assert.deepEqual(socket.seen.privateMessage.map((message) => message.text), [note, fence]);
  assert.deepEqual((await history(socket, user.name)).map((message) => message.text), [note, fence]);
});

test('two tabs of one user both get what is sent and what is received, once', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const tabs = [await enter(server, anna), await enter(server, anna)];
  const berts = await enter(server, bert);
  const [sent, received] = [text('sent'), text('received')];
  await Promise.all([...tabs.map((tab) => heard(tab, sent)), heard(berts, sent), say(tabs[0], bert.name, sent)]);
  await Promise.all([...tabs.map((tab) => heard(tab, received)), say(berts, anna.name, received)]);
  tabs[1].disconnect();
  const last = text('last');
  await Promise.all([heard(tabs[0], last), say(berts, anna.name, last)]);
  assert.deepEqual(tabs[0].seen.privateMessage.map((message) => message.text), [sent, received, last]);
  assert.deepEqual(tabs[1].seen.privateMessage.map((message) => message.text), [sent, received]);
});

test('a third user hears nothing', async () => {
  const [anna, bert, carl] = [await register(server, 'anna'), await register(server, 'bert'), await register(server, 'carl')];
  const [annas, carls] = [await enter(server, anna), await enter(server, carl)];
  await say(annas, bert.name, text());
  const fence = text('fence');
  await Promise.all([heard(carls, fence), say(annas, carl.name, fence)]);
  assert.deepEqual(carls.seen.privateMessage.map((message) => message.text), [fence]);
  assert.deepEqual((await history(carls, bert.name)), []);
  assert.deepEqual((await history(carls, anna.name)).map((message) => message.text), [fence]);
});

test('who was offline finds the messages in the history, in order', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const annas = await enter(server, anna);
  const notes = [text('one'), text('two'), secret(`three, ${'rather long '.repeat(20)}${unique('end')}`), text('four')];
  const echoes = [];
  for (const note of notes) echoes.push(await say(annas, bert.name, note));
  const berts = await enter(server, bert);
  const list = await history(berts, anna.name);
  assert.deepEqual(list, echoes, 'the history is what was echoed, field by field');
  assert.deepEqual(list.map((message) => message.timestamp), list.map((message) => message.timestamp).sort());
  assert.deepEqual(await history(annas, bert.name), echoes, 'both sides see the same');
});

test('the history comes as an event with a bare array, and an ack is answered too', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const socket = await enter(server, anna);
  assert.deepEqual(await history(socket, bert.name), []);
  await say(socket, bert.name, text());
  const event = once(socket, 'messageHistory');
  assertAccepted(await ask(socket, 'getMessageHistory', { otherUser: bert.name }));
  assert.equal((await event).length, 1);
});

const texts = [
  ['50 bytes of ASCII', 'a'.repeat(50), false],
  ['51 bytes of ASCII', 'a'.repeat(51), true],
  ['25 characters of 2 bytes', 'é'.repeat(25), false],
  ['26 characters of 2 bytes', 'é'.repeat(26), true],
  ['13 characters of 4 bytes', '🦀'.repeat(13), true],
];
const files = [
  ['a file of 51 bytes', 'f'.repeat(51), false],
  ['a file of 1024 bytes', 'f'.repeat(1024), false],
  ['a file of 1025 bytes', 'f'.repeat(1025), true],
  ['a file of 512 characters of 2 bytes', 'é'.repeat(512), false],
  ['a file of 513 characters of 2 bytes', 'é'.repeat(513), true],
];

test('compressed tells of more than 50 bytes of text, or more than 1024 of a file', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const socket = await enter(server, anna);
  for (const [what, body, compressed] of texts) {
    const echo = await say(socket, bert.name, body);
    assert.deepEqual([echo.compressed, echo.isFile, echo.fileName], [compressed, false, null], what);
  }
  for (const [what, body, compressed] of files) {
    const echo = await say(socket, bert.name, body, { isFile: true, fileName: 'notes.txt' });
    assert.deepEqual([echo.compressed, echo.isFile, echo.fileName], [compressed, true, 'notes.txt'], what);
  }
  const stored = await history(socket, bert.name);
  assert.deepEqual(stored.map((message) => message.text), [...texts, ...files].map(([, body]) => body));
  assert.deepEqual(stored.map((message) => message.compressed), [...texts, ...files].map(([, , compressed]) => compressed));
});

test('any text comes back as it was, live and from the history', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const [annas, berts] = [await enter(server, anna), await enter(server, bert)];
  const notes = [
    '<script>alert(1)</script> & "quotes" \\ back',
    'Größe, naïve, 日本語, العربية, 👩‍👩‍👧‍👦, e\u0301 and é, \u2028 and \ufeff',
    '  spaces before and after, kept  ',
    'line\r\nbreaks\n\tand tabs',
    '\u{10ffff}'.repeat(30),
    JSON.stringify({ text: 'json in text' }),
    'the same letter '.repeat(3000),
    Array.from({ length: 5000 }, (_, i) => String.fromCodePoint(0x4e00 + ((i * 7919) % 20000))).join(''),
  ];
  for (const note of notes) {
    const [received] = await Promise.all([heard(berts, note), say(annas, bert.name, note)]);
    assert.equal(received.text, note);
  }
  assert.deepEqual((await history(berts, anna.name)).map((message) => message.text), notes);
});

test('a text file of 5 MB passes', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const [annas, berts] = [await enter(server, anna), await enter(server, bert)];
  const line = `${unique('line')}: the quick brown fox – größer, schöner – 日本語\n`;
  const file = line.repeat(Math.ceil((5 * 1024 * 1024) / Buffer.byteLength(line)));
  const [received] = await Promise.all([heard(berts, file), say(annas, bert.name, file, { isFile: true, fileName: 'five megabytes.txt' })]);
  assert.deepEqual([received.isFile, received.compressed, received.fileName], [true, true, 'five megabytes.txt']);
  const [stored] = await history(berts, anna.name);
  assert.ok(stored.text === file, 'the same text from the history');
  assert.deepEqual([annas.drops, berts.drops], [[], []]);
});

test('a text file of 2 MB passes on polling alone', async () => {
  const user = await register(server, 'polling');
  const socket = await enter(server, user, { transports: ['polling'] });
  const file = `${unique('poll')} `.repeat(2 * 1024 * 64);
  const echo = await say(socket, user.name, file, { isFile: true, fileName: 'two.txt' });
  assert.ok(echo.text === file);
});

test('64 messages in flight keep their order, from two senders', async () => {
  const [anna, bert, carl] = [await register(server, 'anna'), await register(server, 'bert'), await register(server, 'carl')];
  const carls = await enter(server, carl);
  const count = 64 * 5;
  const all = new Promise((resolve) => {
    carls.on('privateMessage', () => carls.seen.privateMessage.length === 2 * count && resolve());
  });
  const flood = async (user) => {
    const socket = await enter(server, user);
    const acks = [];
    for (let next = 0; next < count; ) {
      const batch = Array.from({ length: 64 }, () => `${user.name} says ${String(next++).padStart(4, '0')} ${'.'.repeat(next % 90)}`);
      acks.push(...(await Promise.all(batch.map((body) => sayAcked(socket, carl.name, body)))));
    }
    acks.forEach((ack) => assertAccepted(ack));
    return socket;
  };
  const senders = await Promise.all([flood(anna), flood(bert)]);
  await all;
  for (const [index, { name }] of [anna, bert].entries()) {
    const order = (list) => list.filter((message) => message.sender === name).map((message) => Number(message.text.split(' ')[2]));
    const wanted = Array.from({ length: count }, (_, i) => i);
    assert.deepEqual(order(carls.seen.privateMessage), wanted);
    assert.deepEqual(order(senders[index].seen.privateMessage), wanted);
    assert.deepEqual(order(await history(carls, name)), wanted);
  }
});

test('an ack callback is answered {ok, success}', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const socket = await enter(server, anna);
  assertAccepted(await sayAcked(socket, bert.name, text()));
  assertRefused(await sayAcked(socket, unique('nobody'), text()), 'unknown receiver');
  assertRefused(await ask(socket, 'getMessageHistory', {}), 'history of nobody');
});

// ---- Sockets: what is refused ----------------------------------------------------------------------------

test('a receiver who does not exist: nothing is shown, an error event tells, the socket lives on', async () => {
  const user = await register(server, 'lonely');
  const socket = await enter(server, user);
  const error = once(socket, 'error');
  socket.emit('privateMessage', letter(unique('nobody'), text()));
  const { message, code } = await error;
  assert.ok(typeof message === 'string' && message && typeof code === 'string' && code);
  const fence = text('fence');
  await say(socket, user.name, fence);
  assert.deepEqual(socket.seen.privateMessage.map((shown) => shown.text), [fence]);
  assert.deepEqual(socket.drops, []);
});

/** Everything a broken or hostile page may send instead of a letter to `receiver`. */
function badLetters(receiver) {
  const good = letter(receiver, 'never to be seen');
  const without = (field) => Object.fromEntries(Object.entries(good).filter(([name]) => name !== field));
  return {
    'no argument': [],
    'null': [null],
    'number': [42],
    'string': ['hello'],
    'boolean': [true],
    'array': [[good]],
    'empty object': [{}],
    'binary': [Buffer.from('hello')],
    'no text': [without('text')],
    'no receiver': [without('receiver')],
    'text null': [{ ...good, text: null }],
    'text number': [{ ...good, text: 7 }],
    'text object': [{ ...good, text: { $gt: '' } }],
    'text array': [{ ...good, text: ['hello'] }],
    'text binary': [{ ...good, text: Buffer.from('hello') }],
    'text empty': [{ ...good, text: '' }],
    'text of white space': [{ ...good, text: ' \t\r\n\u00a0\u3000' }],
    'text over 64 KiB': [{ ...good, text: 'x'.repeat(64 * 1024 + 1) }],
    'text of 1 MB': [{ ...good, text: 'x'.repeat(1_000_000) }],
    'receiver null': [{ ...good, receiver: null }],
    'receiver number': [{ ...good, receiver: 7 }],
    'receiver object': [{ ...good, receiver: { $gt: '' } }],
    'receiver array': [{ ...good, receiver: [receiver] }],
    'receiver binary': [{ ...good, receiver: Buffer.from(receiver) }],
    'receiver empty': [{ ...good, receiver: '' }],
    'receiver with NUL': [{ ...good, receiver: `${receiver}\u0000` }],
    'receiver of 1 MB': [{ ...good, receiver: 'x'.repeat(1_000_000) }],
    'isFile string': [{ ...good, isFile: 'yes' }],
    'isFile object': [{ ...good, isFile: {} }],
    'fileName number': [{ ...good, isFile: true, fileName: 7 }],
    'fileName object': [{ ...good, isFile: true, fileName: { $gt: '' } }],
    'fileName of 256 characters': [{ ...good, isFile: true, fileName: 'n'.repeat(256) }],
    'fileName of 1 MB': [{ ...good, isFile: true, fileName: 'n'.repeat(1_000_000) }],
    'file over 10 MB': [{ ...good, isFile: true, fileName: 'big.txt', text: 'x'.repeat(10 * 1024 * 1024 + 1) }],
    'a lone surrogate as receiver': [{ ...good, receiver: '\ud800' }],
  };
}

const badRequests = {
  'no argument': [],
  'null': [null],
  'number': [42],
  'string': ['hello'],
  'array': [[]],
  'empty object': [{}],
  'binary': [Buffer.from('hello')],
  'otherUser null': [{ otherUser: null }],
  'otherUser number': [{ otherUser: 7 }],
  'otherUser object': [{ otherUser: { $gt: '' } }],
  'otherUser array': [{ otherUser: ['anna'] }],
  'otherUser binary': [{ otherUser: Buffer.from('anna') }],
  'otherUser of 1 MB': [{ otherUser: 'x'.repeat(1_000_000) }],
};

test('bad payloads are refused by ack, the socket lives on and nothing is stored', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const [annas, berts] = [await enter(server, anna), await enter(server, bert)];
  for (const [what, args] of Object.entries(badLetters(bert.name))) {
    assertRefused(await ask(annas, 'privateMessage', ...args), what);
  }
  for (const [what, args] of Object.entries(badRequests)) {
    assertRefused(await ask(annas, 'getMessageHistory', ...args), what);
  }
  await assertUntouched(anna, bert, annas, berts);
});

test('bad payloads without an ack are told by an error event, the socket lives on and nothing is stored', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const [annas, berts] = [await enter(server, anna), await enter(server, bert)];
  const tries = [
    ...Object.entries(badLetters(bert.name)).map(([what, args]) => [what, 'privateMessage', args]),
    ...Object.entries(badRequests).map(([what, args]) => [what, 'getMessageHistory', args]),
  ];
  for (const [what, event, args] of tries) {
    const error = once(annas, 'error').catch((late) => assert.fail(`${event}, ${what}: ${late.message}`));
    annas.emit(event, ...args);
    const { message, code } = await error;
    assert.ok(typeof message === 'string' && message && typeof code === 'string' && code, what);
  }
  assert.deepEqual(annas.seen.messageHistory, []);
  await assertUntouched(anna, bert, annas, berts);
});

async function assertUntouched(anna, bert, annas, berts) {
  const fence = text('fence');
  await Promise.all([heard(berts, fence), say(annas, bert.name, fence)]);
  for (const socket of [annas, berts]) {
    assert.deepEqual(socket.seen.privateMessage.map((message) => message.text), [fence]);
    assert.deepEqual(socket.drops, []);
  }
  assert.deepEqual((await history(annas, bert.name)).map((message) => message.text), [fence]);
  assert.deepEqual((await history(annas, anna.name)), []);
}

test('an argument nested 10,000 deep is refused and does no harm', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const [annas, berts] = [await enter(server, anna), await enter(server, bert)];
  const deep = '['.repeat(10_000) + ']'.repeat(10_000);
  // Written by hand: the client's own encoder would not get that deep.
  for (const packet of [
    `2["privateMessage",${deep}]`,
    `2["privateMessage",{"text":${deep},"receiver":"${bert.name}"}]`,
    `2["getMessageHistory",{"otherUser":${deep}}]`,
  ]) {
    const error = once(annas, 'error');
    annas.io.engine.write(packet);
    assert.ok((await error).message);
  }
  await assertUntouched(anna, bert, annas, berts);

  // In a field that is ignored it may pass; the socket must live on all the same.
  annas.io.engine.write(`2["privateMessage",{"text":"deep","receiver":"${bert.name}","more":${deep}}]`);
  await say(annas, bert.name, text());
  assert.deepEqual(annas.drops, []);
});

test('a NUL in a text is either refused or kept', async () => {
  const user = await register(server, 'nul');
  const socket = await enter(server, user);
  const body = `before\u0000after ${unique('nul')}`;
  const ack = await sayAcked(socket, user.name, body);
  if (!ack.ok) assertRefused(ack, 'NUL');
  assert.deepEqual((await history(socket, user.name)).map((message) => message.text), ack.ok ? [body] : []);
});

test('a file name loses its path, or is refused', async () => {
  const user = await register(server, 'paths');
  const socket = await enter(server, user);
  for (const fileName of ['../../etc/passwd', 'C:\\windows\\notes.txt', 'a/b.txt', 'line\nbreak.txt', 'nul\u0000.txt', '..']) {
    const body = text('file');
    const ack = await sayAcked(socket, user.name, body, { isFile: true, fileName });
    if (!ack.ok) {
      assertRefused(ack, fileName);
      continue;
    }
    const stored = (await history(socket, user.name)).find((message) => message.text === body);
    assert.doesNotMatch(stored.fileName ?? '', /[/\\\u0000-\u001f]|^\.\.?$/, fileName);
  }
});

test('an unknown event is refused by ack or ignored, and does no harm', async () => {
  const user = await register(server, 'unknown');
  const socket = await enter(server, user);
  for (const event of ['', 'no such event', '__proto__', 'x'.repeat(100_000)]) socket.emit(event, { hello: 1 });
  assertRefused(await ask(socket, 'no such event', 1, 2, 3), 'unknown event');
  const fence = text('fence');
  await say(socket, user.name, fence);
  assert.deepEqual(socket.drops, []);
});

test('extra fields and arguments are ignored', async () => {
  const user = await register(server, 'extra');
  const socket = await enter(server, user);
  const body = text();
  const lies = { sender: 'somebody', _id: '0'.repeat(24), compressed: true, __proto__: { a: 1 }, constructor: 1 };
  const ack = await ask(socket, 'privateMessage', letter(user.name, body, lies), 'more', { and: 'more' });
  assertAccepted(ack);
  const [stored] = await history(socket, user.name);
  assert.deepEqual([stored.sender, stored.compressed, Object.keys(stored).sort()], [user.name, false, MESSAGE_FIELDS]);
});
