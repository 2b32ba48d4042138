// A client that was cut goes on where it was: nothing missed, nothing twice, in order. The clients are unmodified.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, test } from 'node:test';

import { io } from 'socket.io-client';
import { io as io46 } from 'socket.io-client-4.6';

import * as camel from './support/camel.mjs';
import { FAMILIES, TRANSPORTS, back, cut, open, sayAll, shows, some } from './support/families.mjs';
import { text } from './support/names.mjs';
import { startProxy } from './support/proxy.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, connect, leaveSockets, once, until } from './support/wait.mjs';

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
after(leaveSockets);

/** The first clients that can be told what they missed, and the latest. */
const CLIENTS = { 4.8: io, 4.6: io46 };

const EACH = Object.entries(CLIENTS).flatMap((client) => Object.entries(FAMILIES).map((family) => [client, family]));

for (const [[version, client], [name, prepare]] of EACH) {
  describe(`${name}, socket.io-client ${version}`, () => {
    for (const [way, transports] of Object.entries(TRANSPORTS)) {
      test(`${way}: what was missed comes in order, then what is new`, async () => {
        const family = await prepare(server);
        const page = await open(client, proxy, family, { transports });
        const texts = some(12);
        await sayAll(family, texts.slice(0, 2));
        await shows(page, texts.slice(0, 2));
        await cut(proxy, page);
        await sayAll(family, texts.slice(2, 10));
        await back(proxy, page);
        assert.equal(page.recovered, true);
        await sayAll(family, texts.slice(10));
        await shows(page, texts);
        assert.deepEqual(page.texts, texts);
      });

      test(`${way}: cut before the first event`, async () => {
        const family = await prepare(server);
        const before = some(2);
        await sayAll(family, before);
        const page = await open(client, proxy, family, { transports });
        await cut(proxy, page);
        const texts = some(3);
        await sayAll(family, texts);
        await back(proxy, page);
        assert.equal(page.recovered, true);
        await shows(page, texts);
        assert.deepEqual(page.texts, texts, 'and nothing from before the page was opened');
      });
    }

    test('the server believes that the old connection still stands', async () => {
      const family = await prepare(server);
      const page = await open(client, proxy, family, { transports: ['websocket'] });
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

    test('the server believes so, and ends that connection before a second cut', async () => {
      const family = await prepare(server);
      const page = await open(client, proxy, family, { transports: ['websocket'] });
      const texts = some(4);
      await sayAll(family, texts.slice(0, 1));
      await shows(page, texts.slice(0, 1));
      proxy.swallow();
      const connected = once(page, 'connect');
      page.io.engine.close();
      await connected;
      // More tabs than one person may have: those that are needed least have to go, and not on account of their session.
      const tabs = await Promise.all(Array.from({ length: 63 }, () => open(client, server, family, { transports: ['websocket'] })));
      await sayAll(family, texts.slice(1, 2));
      await shows(page, texts.slice(0, 2));
      await cut(proxy, page);
      await sayAll(family, texts.slice(2, 3));
      await back(proxy, page);
      assert.equal(page.recovered, true);
      await sayAll(family, texts.slice(3));
      await shows(page, texts);
      assert.deepEqual(page.texts, texts);
      tabs.forEach((tab) => tab.disconnect());
    });

    test('the server was killed meanwhile', async () => {
      const family = await prepare(server);
      const page = await open(client, proxy, family, { transports: ['websocket'] });
      const texts = some(6);
      await sayAll(family, texts.slice(0, 2));
      await shows(page, texts.slice(0, 2));
      await cut(proxy, page);
      await sayAll(family, texts.slice(2, 5));
      await server.kill9();
      await server.restart();
      await back(proxy, page);
      assert.equal(page.recovered, true);
      await shows(page, texts.slice(0, 5));
      assert.deepEqual(page.texts, texts.slice(0, 5));
    });

    test('again and again', async () => {
      const family = await prepare(server);
      const page = await open(client, proxy, family);
      const texts = some(30);
      for (let at = 0; at < texts.length; at += 3) {
        await family.say(texts[at]);
        await cut(proxy, page);
        await family.say(texts[at + 1]);
        await back(proxy, page);
        assert.equal(page.recovered, true);
        await family.say(texts[at + 2]);
      }
      await shows(page, texts);
      assert.deepEqual(page.texts, texts);
    });

    for (const [way, transports] of Object.entries(TRANSPORTS)) {
      test(`${way}: a chosen disconnect() is not a cut`, async () => {
        const family = await prepare(server);
        const page = await open(client, proxy, family, { transports });
        const texts = some(6);
        await sayAll(family, texts.slice(0, 2));
        await shows(page, texts.slice(0, 2));
        const { _pid: pid } = page;
        page.disconnect();
        await sayAll(family, texts.slice(2, 4));
        // The page loads all of them, and must be told none again.
        const connected = once(page, 'connect');
        page.connect();
        await connected;
        assert.equal(page.recovered, false);
        assert.notEqual(page._pid, pid);
        await sayAll(family, texts.slice(4, 5));
        await shows(page, [...texts.slice(0, 2), texts[4]]);
        assert.deepEqual(page.texts, [...texts.slice(0, 2), texts[4]]);
        // The new session goes on after a cut as any other.
        await cut(proxy, page);
        await sayAll(family, texts.slice(5));
        await back(proxy, page);
        assert.equal(page.recovered, true);
        await shows(page, [...texts.slice(0, 2), ...texts.slice(4)]);
        assert.deepEqual(page.texts, [...texts.slice(0, 2), ...texts.slice(4)]);
      });
    }

    test('a chosen disconnect() is known after a restart', async () => {
      const family = await prepare(server);
      const page = await open(client, proxy, family, { transports: ['websocket'] });
      await sayAll(family, some(2));
      await shows(page, some(2));
      page.disconnect();
      await sayAll(family, some(2));
      await server.restart();
      const connected = once(page, 'connect');
      page.connect();
      await connected;
      assert.equal(page.recovered, false);
    });

    test('a pid that is forged, or of somebody else, or of another family leads to a fresh session', async () => {
      const family = await prepare(server);
      const page = await open(client, proxy, family, { transports: ['websocket'] });
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
        const other = await connect(client, server.url, { transports: ['websocket'], auth: { token, pid: claim, offset: '0' } }, [
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
      const family = await prepare(server);
      const page = await open(client, proxy, family, { transports: ['websocket'] });
      for (const offset of ['999999999', '18446744073709551615']) {
        const auth = { token: family.token, pid: page._pid, offset };
        const other = await connect(client, server.url, { transports: ['websocket'], auth }, [family.event]);
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
  const family = await FAMILIES.camel(server);
  const page = await open(io, proxy, family, { transports: ['websocket'] });
  await cut(proxy, page);
  await sayAll(family, some(4));
  await back(proxy, page);
  assert.equal(page.recovered, false);
  const texts = some(1);
  await sayAll(family, texts);
  await shows(page, texts);
  assert.deepEqual(page.texts, texts);

  await cut(proxy, page);
  const missed = some(3);
  await sayAll(family, missed);
  await back(proxy, page);
  assert.equal(page.recovered, true);
  await shows(page, [...texts, ...missed]);
  assert.deepEqual(page.texts, [...texts, ...missed]);
});

test('what happens among others, and one profile that changes again and again, pushes nobody out', async () => {
  await proxy.close();
  await server.finish();
  server = await startServer({ ...HEARTBEAT, CHAT_RECOVERY_LIMIT: '4' });
  proxy = await startProxy(server);
  const family = await FAMILIES.camel(server);
  const page = await open(io, proxy, family, { transports: ['websocket'] });
  const others = await FAMILIES.camel(server);
  const carl = await push.signup(server, 'carl');
  await cut(proxy, page);
  await sayAll(others, some(12));
  for (let n = 0; n < 12; n++) {
    assert.equal((await carl.put('/auth/update-profile', { fullName: `Carl ${n}` })).status, 200);
  }
  const missed = some(3);
  await sayAll(family, missed);
  await back(proxy, page);
  assert.equal(page.recovered, true);
  await shows(page, missed);
  assert.deepEqual(page.texts, missed);

  await cut(proxy, page);
  await sayAll(family, some(5));
  await back(proxy, page);
  assert.equal(page.recovered, false, 'more than the limit was their own');
});

for (const [way, transports] of Object.entries(TRANSPORTS)) {
  test(`${way}: more is missed than fits a queue`, async () => {
    const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
    const annas = await camel.enter(server, anna);
    const family = { event: 'privateMessage', token: bert.token };
    const page = await open(io, proxy, family, { transports });
    await cut(proxy, page);
    const texts = some(1_500);
    await Promise.all(texts.map((words) => camel.sayAcked(annas, bert.name, words)));
    await back(proxy, page);
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
  const page = await open(io, proxy, { event: 'newMessage', token: bert.token }, { transports: ['websocket'] });
  const gone = [];
  page.on('messageDeleted', ({ messageId }) => gone.push(messageId));
  await cut(proxy, page);
  const [deleted, kept] = some(2);
  const message = await anna.send(bert, deleted);
  await anna.send(bert, kept);
  await anna.delete(`/messages/${message._id}`);
  await back(proxy, page);
  await until(() => gone.length, 'the deletion');
  assert.deepEqual([page.texts, gone], [[kept], [message._id]]);
});

for (const transports of [['websocket'], ['polling']]) {
  test(`${transports}: who was sent away by the server begins afresh`, async () => {
    const anna = await push.signup(server, 'anna');
    const page = await open(io, proxy, { event: 'newMessage', token: anna.token }, { transports });
    const { _pid: pid } = page;
    const gone = once(page, 'disconnect');
    assert.equal((await anna.post('/auth/logout')).status, 200);
    assert.equal(await gone, 'io server disconnect');
    assert.equal((await anna.login()).status, 200);
    page.auth = { token: anna.token };
    const connected = once(page, 'connect');
    page.connect();
    await connected;
    assert.equal(page.recovered, false);
    assert.notEqual(page._pid, pid);
  });
}

for (const client of Object.values(CLIENTS)) {
  test('CHAT_POSITION=argument: the position is the last argument, as before', async () => {
    await proxy.close();
    await server.finish();
    server = await startServer({ ...HEARTBEAT, CHAT_POSITION: 'argument' });
    proxy = await startProxy(server);
    for (const transports of Object.values(TRANSPORTS)) {
      const family = await FAMILIES.camel(server);
      const page = await open(client, proxy, family, { transports });
      const heard = [];
      page.onAny((event, ...args) => heard.push([event, args.length, typeof args.at(-1)]));
      const texts = some(4);
      await sayAll(family, texts.slice(0, 2));
      await shows(page, texts.slice(0, 2));
      await cut(proxy, page);
      await sayAll(family, texts.slice(2));
      await back(proxy, page);
      assert.equal(page.recovered, true);
      await shows(page, texts);
      assert.deepEqual(page.texts, texts);
      assert.deepEqual(heard, texts.map(() => ['privateMessage', 2, 'string']));
    }
  });
}
