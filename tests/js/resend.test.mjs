// What is sent again because its answer was lost is one message, and answered as the first time.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, test } from 'node:test';

import { io as io48 } from 'socket.io-client';
import { io as io46 } from 'socket.io-client-4.6';

import * as camel from './support/camel.mjs';
import { BACK_SOON } from './support/families.mjs';
import { text } from './support/names.mjs';
import { DOWN, startProxy } from './support/proxy.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { assertAccepted, closeSockets, leaveSockets, once, until, within } from './support/wait.mjs';

let server;
let proxy;
beforeEach(async () => {
  server = await startServer();
  proxy = await startProxy(server);
});
afterEach(async () => {
  closeSockets();
  await proxy.close();
  await server.finish();
});
after(leaveSockets);

/** Anna's page behind the proxy, with the client's own re-sending, and Bert's, which sees what was stored. */
async function camels(client, options) {
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const annas = await camel.enter(proxy, anna, { ...BACK_SOON, retries: 10, ackTimeout: 60_000, ...options }, client);
  const berts = await camel.enter(server, bert, BACK_SOON);
  annas.sent = 0;
  annas.onAnyOutgoing(() => annas.sent++);
  const texts = (socket) => socket.seen.privateMessage.map((message) => message.text);
  /** What the client calls back with when it has an answer in the end. */
  const send = (letter) => {
    const answer = new Promise((resolve, reject) => annas.emit('privateMessage', letter, (error, ack) => (error ? reject(error) : resolve(ack))));
    return within(answer, 20_000, 'the answer');
  };
  /** Both pages show exactly this, and it is all that is stored. */
  const show = async (...words) => {
    const fence = text('fence');
    const all = [...words, fence];
    assertAccepted(await send(camel.letter(bert.name, fence)));
    for (const page of [annas, berts]) {
      await until(() => texts(page).includes(fence), 'the last message');
      assert.deepEqual(texts(page), all);
    }
    assert.deepEqual((await camel.history(berts, anna.name)).map((message) => message.text), all);
  };
  return { anna, bert, annas, berts, send, show };
}

for (const [version, client] of Object.entries({ 4.8: io48, 4.6: io46 })) {
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    describe(`camel, socket.io-client ${version}, ${transports.join(', ')}`, () => {
      test('the connection is lost before the acknowledgement', async () => {
        const { bert, annas, berts, send, show } = await camels(client, { transports });
        const words = text();
        proxy.hold(DOWN);
        const stored = camel.heard(berts, words);
        const answer = send(camel.letter(bert.name, words));
        const first = await stored;
        assert.equal(annas.sent, 1);
        proxy.reset();
        proxy.release();
        const ack = await answer;
        assertAccepted(ack);
        assert.deepEqual(ack.message, first, 'as it would have been answered the first time');
        assert.equal(annas.sent, 2, 'it was sent again');
        await show(words);
      });

      test('the acknowledgement takes longer than the client waits', async () => {
        const { bert, annas, berts, send, show } = await camels(client, { transports, ackTimeout: 150 });
        const words = text();
        proxy.hold(DOWN);
        const stored = camel.heard(berts, words);
        const answer = send(camel.letter(bert.name, words));
        const first = await stored;
        // Polling clients do not send anything more until their last request was answered.
        await until(() => annas.sent >= 3, 'the third try');
        proxy.release();
        const ack = await answer;
        assertAccepted(ack);
        assert.deepEqual(ack.message, first);
        await show(words);
      });

      test('the server is killed before the acknowledgement', async () => {
        const { bert, annas, berts, send, show } = await camels(client, { transports });
        const words = text();
        proxy.hold(DOWN);
        const stored = camel.heard(berts, words);
        const answer = send(camel.letter(bert.name, words));
        const first = await stored;
        await server.kill9();
        proxy.reset();
        proxy.release();
        await server.restart();
        const ack = await answer;
        assertAccepted(ack);
        assert.deepEqual(ack.message, first);
        assert.equal(annas.sent, 2, 'it was sent again');
        await show(words);
      });

      test('what was written while cut off is sent once, in order', async () => {
        const { bert, annas, send, show } = await camels(client, { transports });
        const dropped = once(annas, 'disconnect');
        proxy.cut();
        await dropped;
        const words = Array.from({ length: 20 }, () => text());
        const answers = Promise.all(words.map((word) => send(camel.letter(bert.name, word))));
        proxy.accept();
        for (const ack of await answers) assertAccepted(ack);
        await show(...words);
      });
    });
  }
}

for (const [version, client] of Object.entries({ 4.8: io48, 4.6: io46 })) {
  test(`camel, socket.io-client ${version}: a packet in the page's own buffer, sent on two connections`, async () => {
    // Without `retries` the client keeps what was emitted while it was cut off, and pages emit again themselves.
    const { bert, annas, berts } = await camels(client, { retries: undefined, ackTimeout: undefined });
    const words = text();
    const letter = camel.letter(bert.name, words);
    const dropped = once(annas, 'disconnect');
    proxy.cut();
    await dropped;
    annas.emit('privateMessage', letter);
    const stored = camel.heard(berts, words);
    proxy.accept();
    await stored;
    const again = once(annas, 'disconnect');
    proxy.cut();
    await again;
    annas.emit('privateMessage', letter);
    const connected = once(annas, 'connect');
    proxy.accept();
    await connected;
    const fence = text('fence');
    annas.emit('privateMessage', camel.letter(bert.name, fence));
    await until(() => berts.seen.privateMessage.some((message) => message.text === fence), 'the fence');
    assert.deepEqual(berts.seen.privateMessage.map((message) => message.text), [words, fence]);
  });
}

test('camel: the same words said twice are two messages', async () => {
  const { anna, bert, annas, berts, send } = await camels(io48, {});
  const words = text();
  const at = (seconds) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();
  const letters = [
    { text: words, receiver: bert.name, timestamp: at(1) },
    { text: words, receiver: bert.name, timestamp: at(2) },
    // Nothing tells these two apart from a repetition, but nothing says that they are one either.
    { text: words, receiver: bert.name },
    { text: words, receiver: bert.name },
    // Another file of the same content, and the same to somebody else.
    { text: words, receiver: bert.name, timestamp: at(1), isFile: true, fileName: 'a.txt' },
    { text: words, receiver: bert.name, timestamp: at(1), isFile: true, fileName: 'b.txt' },
    { text: words, receiver: anna.name, timestamp: at(1) },
  ];
  for (const letter of letters) assertAccepted(await send(letter));
  // And this is a repetition, however much was said since.
  assertAccepted(await send(letters[0]));
  assert.equal((await camel.history(annas, bert.name)).length, 6);
  assert.equal((await camel.history(annas, anna.name)).length, 1);
  assert.deepEqual(berts.seen.privateMessage.length, 6);
  const stranger = await camel.register(server, 'carl');
  const carls = await camel.enter(server, stranger);
  const mine = await camel.sayAcked(carls, bert.name, words, { timestamp: at(1) });
  assert.equal(mine.message.sender, stranger.name, "somebody else's equal packet is their own message");
});

/** Anna's browser behind the proxy, and Bert's page. */
async function pushes() {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const far = new push.Browser(proxy);
  far.cookies = anna.cookies;
  const berts = await bert.open(BACK_SOON);
  return { anna, bert, far, berts };
}

const WAYS_TO_REPEAT = {
  'Idempotency-Key': (path, words, key) => [path, { text: words, image: null }, { headers: { 'idempotency-key': `"${key}"` } }],
  clientId: (path, words, key) => [path, { text: words, image: null, clientId: key }],
};

for (const [way, form] of Object.entries(WAYS_TO_REPEAT)) {
  for (const killed of [false, true]) {
    test(`push, ${way}: ${killed ? 'the server is killed' : 'the connection is lost'} before the answer`, async () => {
      const { anna, bert, far, berts } = await pushes();
      const [words, fence] = [text(), text('fence')];
      const request = form(`/messages/send/${bert.id}`, words, 'key-1');
      proxy.hold(DOWN);
      const heard = once(berts, 'newMessage');
      const lost = far.post(...request).then((answer) => answer.status, () => 'lost');
      const first = await heard;
      if (killed) await server.kill9();
      proxy.reset();
      proxy.release();
      assert.equal(await lost, 'lost');
      if (killed) await server.restart();
      const again = await far.post(...request);
      assert.deepEqual([again.status, again.data], [201, first]);
      await anna.send(bert, fence);
      await until(() => berts.seen.newMessage.some((message) => message.text === fence), 'the fence');
      assert.deepEqual(berts.seen.newMessage.map((message) => message.text), [words, fence]);
      assert.deepEqual((await bert.history(anna)).map((message) => message.text), [words, fence]);
    });
  }
}

test('a send by REST that is repeated with its Idempotency-Key is one message', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const berts = await bert.open();
  const heard = [];
  berts.on('newMessage', (message) => heard.push(message.text));
  const [words, others] = [text(), text()];
  const send = (words, key) =>
    anna.post(`/messages/send/${bert.id}`, { text: words, image: null }, { headers: { 'idempotency-key': key } });
  const first = await send(words, '"8e03978e-40d5-43dd-bc93-6894a57f9324"');
  assert.equal(first.status, 201);
  const again = await Promise.all([1, 2, 3].map(() => send(words, '8e03978e-40d5-43dd-bc93-6894a57f9324')));
  for (const answer of again) assert.deepEqual([answer.status, answer.data], [201, first.data]);
  assert.equal((await send(others, 'another')).status, 201);
  await until(() => heard.includes(others), 'the other message');
  assert.deepEqual(heard, [words, others]);
  assert.equal((await bert.history(anna)).length, 2);

  for (const key of ['', '""', 'x'.repeat(113)]) {
    const refused = await send(text(), key);
    assert.equal(refused.status, 400);
    assert.match(refused.data.message ?? refused.data.error, /Idempotency-Key/);
  }
});
