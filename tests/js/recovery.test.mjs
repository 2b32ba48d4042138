// A client that was cut goes on where it was: nothing missed, nothing twice, in order. The clients are unmodified.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, test } from 'node:test';

import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import { startProxy } from './support/proxy.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, connect, once, until } from './support/wait.mjs';

let server;
let proxy;
// A client whose connection is cut in the middle of its upgrade notices by its heartbeat alone.
const HEARTBEAT = { CHAT_PING_INTERVAL: '1500', CHAT_PING_TIMEOUT: '1500' };

beforeEach(async () => {
  server = await startServer(HEARTBEAT);
  proxy = await startProxy(server);
});
afterEach(async () => {
  closeSockets();
  await proxy.close();
  await server.finish();
});
after(() => {
  closeSockets();
  // A client that was cut in the middle of its upgrade to WebSocket may never settle, and would keep this process alive.
  setTimeout(() => process.exit(), 2_000).unref();
});

const TRANSPORTS = { websocket: ['websocket'], polling: ['polling'], 'polling with upgrade': ['polling', 'websocket'] };

const BACK_SOON = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100, randomizationFactor: 0 };

/** The two families, behind one face: a reader whose connections can be cut, and a writer. */
const FAMILIES = {
  camel: async () => {
    const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
    const annas = await camel.enter(server, anna);
    return {
      event: 'privateMessage',
      token: bert.token,
      other: async () => (await camel.register(server, 'carl')).token,
      say: (words) => camel.say(annas, bert.name, words),
    };
  },
  push: async () => {
    const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
    return {
      event: 'newMessage',
      token: bert.token,
      other: async () => (await push.signup(server, 'carl')).token,
      say: (words) => anna.send(bert, words),
    };
  },
};

/** Opens the reader's page through the proxy; `page.texts` is what it shows. */
async function open(family, options = {}) {
  const page = await connect(io, proxy.url, { auth: { token: family.token }, ...BACK_SOON, ...options });
  page.texts = [];
  page.on(family.event, (message) => page.texts.push(message.text));
  return page;
}

/** Cuts the page's connection and waits until it knows. */
async function cut(page) {
  const dropped = once(page, 'disconnect');
  proxy.cut();
  // A polling client between two polls notices nothing until the next one.
  await dropped;
}

async function back(page) {
  const connected = once(page, 'connect');
  proxy.accept();
  await connected;
}

async function sayAll(family, texts) {
  for (const words of texts) await family.say(words);
}

const some = (count) => Array.from({ length: count }, () => text());

const shows = (page, texts) => until(() => page.texts.length >= texts.length, `${texts.length} messages`);

for (const [name, prepare] of Object.entries(FAMILIES)) {
  describe(name, () => {
    for (const [way, transports] of Object.entries(TRANSPORTS)) {
      test(`${way}: what was missed comes in order, then what is new`, async () => {
        const family = await prepare();
        const page = await open(family, { transports });
        const texts = some(12);
        await sayAll(family, texts.slice(0, 2));
        await shows(page, texts.slice(0, 2));
        await cut(page);
        await sayAll(family, texts.slice(2, 10));
        await back(page);
        assert.equal(page.recovered, true);
        await sayAll(family, texts.slice(10));
        await shows(page, texts);
        assert.deepEqual(page.texts, texts);
      });

      test(`${way}: cut before the first event`, async () => {
        const family = await prepare();
        const before = some(2);
        await sayAll(family, before);
        const page = await open(family, { transports });
        await cut(page);
        const texts = some(3);
        await sayAll(family, texts);
        await back(page);
        assert.equal(page.recovered, true);
        await shows(page, texts);
        assert.deepEqual(page.texts, texts, 'and nothing from before the page was opened');
      });
    }

    test('the server believes that the old connection still stands', async () => {
      const family = await prepare();
      const page = await open(family, { transports: ['websocket'] });
      const texts = some(8);
      await sayAll(family, texts.slice(0, 2));
      await shows(page, texts.slice(0, 2));
      proxy.swallow();
      await sayAll(family, texts.slice(2, 6));
      const connected = once(page, 'connect');
      page.io.engine.close();
      await connected;
      assert.equal(page.recovered, true);
      await sayAll(family, texts.slice(6));
      await shows(page, texts);
      assert.deepEqual(page.texts, texts);
    });

    test('the server was killed meanwhile', async () => {
      const family = await prepare();
      const page = await open(family, { transports: ['websocket'] });
      const texts = some(6);
      await sayAll(family, texts.slice(0, 2));
      await shows(page, texts.slice(0, 2));
      await cut(page);
      await sayAll(family, texts.slice(2, 5));
      await server.kill9();
      await server.restart();
      await back(page);
      assert.equal(page.recovered, true);
      await shows(page, texts.slice(0, 5));
      assert.deepEqual(page.texts, texts.slice(0, 5));
    });

    test('again and again', async () => {
      const family = await prepare();
      const page = await open(family);
      const texts = some(30);
      for (let at = 0; at < texts.length; at += 3) {
        await family.say(texts[at]);
        await cut(page);
        await family.say(texts[at + 1]);
        await back(page);
        assert.equal(page.recovered, true);
        await family.say(texts[at + 2]);
      }
      await shows(page, texts);
      assert.deepEqual(page.texts, texts);
    });

    test('a pid that is forged, or of somebody else, or of another family leads to a fresh session', async () => {
      const family = await prepare();
      const page = await open(family, { transports: ['websocket'] });
      const pid = page._pid;
      assert.match(pid, /^[\w-]{60,}$/);
      await sayAll(family, some(2));
      await shows(page, some(2));

      const foreign = await family.other();
      for (const [token, claim] of [
        [family.token, `${pid.slice(0, -2)}AA`],
        [family.token, 'x'],
        [family.token, { $gt: '' }],
        [foreign, pid],
      ]) {
        const other = await connect(io, server.url, { transports: ['websocket'], auth: { token, pid: claim, offset: '0' } }, [
          family.event,
        ]);
        assert.notEqual(other._pid, pid);
        await family.say(text());
        // Whatever had been replayed would have come before this.
        if (token === family.token) await until(() => other.seen[family.event].length === 1, 'the one message');
        other.close();
      }
    });

    test('a position that does not exist leads to a fresh session', async () => {
      const family = await prepare();
      const page = await open(family, { transports: ['websocket'] });
      for (const offset of ['999999999', '18446744073709551615']) {
        const auth = { token: family.token, pid: page._pid, offset };
        const other = await connect(io, server.url, { transports: ['websocket'], auth }, [family.event]);
        assert.notEqual(other._pid, page._pid, offset);
        await family.say(text());
        await until(() => other.seen[family.event].length === 1, 'the message');
        other.close();
      }
    });
  });
}

test('a client that was away for too many changes begins afresh', async () => {
  await proxy.close();
  await server.finish();
  server = await startServer({ ...HEARTBEAT, CHAT_RECOVERY_LIMIT: '3' });
  proxy = await startProxy(server);
  const family = await FAMILIES.camel();
  const page = await open(family, { transports: ['websocket'] });
  await cut(page);
  await sayAll(family, some(4));
  await back(page);
  assert.equal(page.recovered, false);
  const texts = some(1);
  await sayAll(family, texts);
  await shows(page, texts);
  assert.deepEqual(page.texts, texts);

  await cut(page);
  const missed = some(3);
  await sayAll(family, missed);
  await back(page);
  assert.equal(page.recovered, true);
  await shows(page, [...texts, ...missed]);
  assert.deepEqual(page.texts, [...texts, ...missed]);
});

test('a send by REST that is repeated with its Idempotency-Key is one message', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const berts = await bert.open();
  const heard = [];
  berts.on('newMessage', (message) => heard.push(message.text));
  const [words, others] = some(2);
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

for (const [way, transports] of Object.entries(TRANSPORTS)) {
  test(`${way}: more is missed than fits a queue`, async () => {
    const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
    const annas = await camel.enter(server, anna);
    const family = { event: 'privateMessage', token: bert.token };
    const page = await open(family, { transports });
    await cut(page);
    const texts = some(1_500);
    await Promise.all(texts.map((words) => camel.sayAcked(annas, bert.name, words)));
    await back(page);
    assert.equal(page.recovered, true);
    // An answer finds room among what is replayed.
    page.emit('getMessageHistory', { otherUser: anna.name, limit: 1 });
    await once(page, 'messageHistory');
    await shows(page, texts);
    assert.deepEqual(page.texts, texts);
  });
}

test('what was deleted meanwhile is not shown, only that it was deleted', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const page = await open({ event: 'newMessage', token: bert.token }, { transports: ['websocket'] });
  const gone = [];
  page.on('messageDeleted', ({ messageId }) => gone.push(messageId));
  await cut(page);
  const [deleted, kept] = some(2);
  const message = await anna.send(bert, deleted);
  await anna.send(bert, kept);
  await anna.delete(`/messages/${message._id}`);
  await back(page);
  await until(() => gone.length, 'the deletion');
  assert.deepEqual([page.texts, gone], [[kept], [message._id]]);
});
