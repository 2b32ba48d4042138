// Websockets that are answered and then never speak, break off, or speak too late, as behind proxies and virus scanners: the
// session goes on by long polling as if there had been none, and when one does work nothing is lost or told twice.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, afterEach, beforeEach, describe, test } from 'node:test';

import { io as io48 } from 'socket.io-client';
import ioV2 from 'socket.io-client-2';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import { startServer } from './support/server.mjs';
import { LIMIT, closeSockets, connect, leaveSockets, once, until, within } from './support/wait.mjs';

/** The server gives an attempt ten seconds, as Node's does. */
const UPGRADE_TIMEOUT = 10_000;

/** A TCP proxy that treats websockets as it is told once it has passed on the 101 that begins them. */
class UpgradeProxy {
  /** What becomes of a websocket: "swallow" everything, "deafen" the client, "reset" it, "hold" what the client says, or "pass". */
  constructor(server, way) {
    Object.assign(this, { server, way, polls: 0, attempts: 0, sides: new Set(), held: [] });
    this.ended = new Promise((resolve) => (this.end = resolve));
    this.listener = net.createServer((client) => this.#carry(client));
  }

  async listen() {
    await new Promise((resolve) => this.listener.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.listener.address().port}`;
    return this;
  }

  #carry(client) {
    const server = net.connect(this.server.port, '127.0.0.1');
    const connection = { isWebsocket: false, isOpen: false };
    for (const [side, other] of [[client, server], [server, client]]) {
      side.setNoDelay(true);
      this.sides.add(side);
      side.on('error', () => {});
      side.on('close', () => {
        this.sides.delete(side);
        if (side === server && connection.isOpen) this.end();
        // Behind a proxy that swallows nobody hears of the other's end.
        if (!connection.isOpen || !['swallow', 'deafen'].includes(this.way)) other.destroy();
      });
    }
    client.on('data', (bytes) => {
      const head = bytes.toString('latin1');
      this.polls += head.match(/GET \/socket\.io\/\S*transport=polling/g)?.length ?? 0;
      if (/^GET \/socket\.io\/\S*transport=websocket/.test(head)) {
        connection.isWebsocket = true;
        this.attempts++;
      }
      if (connection.isOpen && this.way === 'swallow') return;
      if (connection.isOpen && this.way === 'hold') return this.held.push(() => server.write(bytes));
      server.write(bytes);
    });
    server.on('data', (bytes) => {
      if (connection.isOpen && ['swallow', 'deafen'].includes(this.way)) return;
      client.write(bytes);
      if (!connection.isWebsocket || connection.isOpen) return;
      connection.isOpen = true;
      if (this.way !== 'reset') return;
      client.resetAndDestroy();
      server.resetAndDestroy();
      this.end();
    });
  }

  /** Lets go what was held, and from now on everything. */
  release() {
    this.way = 'pass';
    for (const pass of this.held.splice(0)) pass();
  }

  close() {
    this.listener.close();
    for (const side of this.sides) side.destroy();
  }
}

let server;
let proxy;
let anna;
let bert;
let annas;
beforeEach(async () => {
  server = await startServer({ CHAT_PING_INTERVAL: '1000', CHAT_PING_TIMEOUT: '3000' });
  [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  annas = await camel.enter(server, anna, { transports: ['websocket'] });
});
afterEach(async () => {
  closeSockets();
  proxy?.close();
  await server.finish();
});
after(leaveSockets);

/** Opens bert's page through a proxy. */
async function open(client, way) {
  proxy = await new UpgradeProxy(server, way).listen();
  const header = { Authorization: `Bearer ${bert.token}` };
  const transportOptions = { polling: { extraHeaders: header } };
  const page = await connect(client, proxy.url, { auth: { token: bert.token }, transportOptions });
  page.texts = [];
  page.on('privateMessage', (message) => message.sender === anna.name && page.texts.push(message.text));
  page.sid = page.io.engine.id;
  return page;
}

/** Messages to bert and back, one after the other; answers what he must be shown. */
async function talk(page, count) {
  const said = [];
  for (let n = 0; n < count; n++) {
    const words = text();
    said.push(words);
    const shown = once(page, 'privateMessage', (message) => message.text === words);
    await camel.say(annas, bert.name, words);
    await shown;
    const back = text();
    const heard = camel.heard(annas, back);
    page.emit('privateMessage', camel.letter(anna.name, back));
    await heard;
  }
  return said;
}

function isTheSame(page, transport) {
  assert.deepEqual([page.connected, page.drops, page.io.engine.id], [true, [], page.sid]);
  assert.equal(page.io.engine.transport.name, transport);
  assert.equal(proxy.attempts, 1);
}

/** Pings of the server are polled for, too. */
const seconds = (since) => (performance.now() - since) / 1000;

for (const [version, client] of Object.entries({ 4.8: io48, 2.5: ioV2 })) {
  describe(`socket.io-client ${version}`, () => {
    test('a websocket that swallows everything leaves the session polling, and is given up', async () => {
      const since = performance.now();
      const page = await open(client, 'swallow');
      const said = await talk(page, 10);
      await within(proxy.ended, UPGRADE_TIMEOUT + LIMIT, 'the end of the websocket that says nothing');
      assert.ok(seconds(since) >= UPGRADE_TIMEOUT / 1000 - 0.5, 'it had its time');
      said.push(...(await talk(page, 10)));
      assert.deepEqual(page.texts, said, 'in order, and once');
      isTheSame(page, 'polling');
      // Each message and each echo is one, and each heartbeat.
      const most = 10 + 2 * 40 + 2 * seconds(since);
      assert.ok(proxy.polls <= most, `${proxy.polls} polls, where ${Math.round(most)} are plenty`);
    });

    test('a websocket that is reset leaves the session polling', async () => {
      const since = performance.now();
      const page = await open(client, 'reset');
      await within(proxy.ended, LIMIT, 'the reset');
      const said = await talk(page, 20);
      assert.deepEqual(page.texts, said);
      isTheSame(page, 'polling');
      const most = 10 + 2 * 40 + 2 * seconds(since);
      assert.ok(proxy.polls <= most, `${proxy.polls} polls, where ${Math.round(most)} are plenty`);
    });

    test('a probe that comes after its time does no harm', async () => {
      const page = await open(client, 'hold');
      const said = await talk(page, 5);
      await within(proxy.ended, UPGRADE_TIMEOUT + LIMIT, 'the end of the websocket whose probe does not come');
      said.push(...(await talk(page, 5)));
      proxy.release();
      said.push(...(await talk(page, 5)));
      assert.deepEqual(page.texts, said);
      isTheSame(page, 'polling');
    });

    test('a probe that comes late takes over, and nothing is lost or told twice', async () => {
      const page = await open(client, 'hold');
      const said = await talk(page, 5);
      assert.equal(page.io.engine.transport.name, 'polling');
      const upgraded = new Promise((resolve) => page.io.engine.once('upgrade', resolve));
      // While it takes over.
      const more = Array.from({ length: 50 }, () => text());
      for (const [n, words] of more.entries()) {
        annas.emit('privateMessage', camel.letter(bert.name, words));
        if (n === 10) proxy.release();
      }
      said.push(...more);
      await within(upgraded, LIMIT, 'the upgrade');
      await until(() => page.texts.length >= said.length, `${said.length} messages`);
      const polls = proxy.polls;
      said.push(...(await talk(page, 5)));
      assert.deepEqual(page.texts, said);
      isTheSame(page, 'websocket');
      assert.equal(proxy.polls, polls, 'it does not poll any more');
    });

    test('many events at the moment of the upgrade come once and in order', async () => {
      const page = await open(client, 'hold');
      const said = Array.from({ length: 3000 }, (_, n) => `${n} ${text()}`);
      // More than the engine's queue holds, and the probe comes in the middle of it.
      for (const [n, words] of said.entries()) {
        annas.emit('privateMessage', camel.letter(bert.name, words));
        if (n === 1500) {
          await until(() => page.texts.length >= 100, 'the first messages');
          proxy.release();
        }
      }
      await until(() => page.texts.length >= said.length, `${said.length} messages`, 3 * LIMIT);
      assert.deepEqual(page.texts, said);
      if (page.io.engine.transport.name !== 'websocket') await once(page.io.engine, 'upgrade');
      isTheSame(page, 'websocket');
    });
  });
}

test('the answer to a probe that is swallowed costs a few polls and no more', async () => {
  const page = await open(io48, 'deafen');
  await talk(page, 5);
  const [polls, since] = [proxy.polls, performance.now()];
  await within(proxy.ended, UPGRADE_TIMEOUT + LIMIT, 'the end of the websocket');
  // Ten in a second, as with Node.
  const most = 10 + 12 * seconds(since);
  assert.ok(proxy.polls - polls <= most, `${proxy.polls - polls} polls in ${seconds(since)} s`);
  await talk(page, 5);
  isTheSame(page, 'polling');
});

test('a session has one websocket at a time, and few in all', async () => {
  const page = await open(io48, 'swallow');
  await talk(page, 1);
  const refused = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`).then((answer) => answer.status);
  assert.equal(refused, 200, 'others are let in');
  const attempt = () =>
    new Promise((resolve) => {
      const socket = net.connect(server.port, '127.0.0.1');
      const head = `GET /socket.io/?EIO=4&transport=websocket&sid=${page.sid} HTTP/1.1`;
      const fields = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
      socket.write(`${head}\r\n${fields}\r\n\r\n`);
      socket.once('data', (bytes) => {
        socket.resetAndDestroy();
        resolve(Number(bytes.toString('latin1').split(' ')[1]));
      });
    });
  assert.equal(await attempt(), 400, 'while another one is under way');
  await within(proxy.ended, UPGRADE_TIMEOUT + LIMIT, 'the end of the first');
  const answers = [];
  await until(async () => {
    answers.push(await attempt());
    return answers.filter((status) => status === 101).length === 2;
  }, 'two more');
  await until(async () => (await attempt()) === 400, 'the last refusal');
  for (let n = 0; n < 10; n++) assert.equal(await attempt(), 400);
  await talk(page, 3);
  isTheSame(page, 'polling');
});
