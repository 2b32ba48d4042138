// Clients that stop reading, stop answering or send too much: they are cut, and nobody else notices.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { join } from './support/raw.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, once, until, within } from './support/wait.mjs';

const MIB = 1024 * 1024;
/** How long a connection may take to be cut after it has stopped reading; the deadline of the server is 10 s. */
const CUT_WITHIN = 25_000;

let server;
afterEach(async () => {
  closeSockets();
  await server?.finish();
});
after(closeSockets);

/** Sends small messages one after the other until `stop`, and gives how long each took in ms. */
async function measure(socket, receiver, stop) {
  const times = [];
  let stopped = false;
  const end = () => (stopped = true);
  stop.then(end, end);
  while (!stopped) {
    const start = performance.now();
    await camel.sayAcked(socket, receiver, `probe ${times.length}`);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}

function assertUndisturbed(times) {
  const [median, worst] = [times[Math.floor(times.length / 2)], times.at(-1)];
  assert.ok(times.length > 50, `${times.length} probes`);
  assert.ok(median < 250, `half of the other messages took more than ${median.toFixed()} ms`);
  assert.ok(worst < 5_000, `another message took ${worst.toFixed()} ms`);
}

test('push: who stops reading is cut and shown offline; others and the memory do not suffer', async () => {
  server = await startServer();
  const [stalled, flooder, observer] = await Promise.all(['stalled', 'flooder', 'observer'].map((word) => push.signup(server, word)));
  const [carl, dora] = [await camel.register(server, 'carl'), await camel.register(server, 'dora')];
  const [observers, carls] = [await observer.open(), await camel.enter(server, carl)];
  const raw = await join(server, { cookie: stalled.cookie });
  await push.roster(observers, (list) => list.includes(stalled.id));
  const before = server.memory().now;

  raw.pause();
  const offline = push.roster(observers, (list) => !list.includes(stalled.id), CUT_WITHIN);
  const body = text('x'.repeat(60_000));
  const flood = (async () => {
    for (let i = 0; i < 100; i++) await Promise.all(Array.from({ length: 8 }, () => flooder.send(stalled, body)));
  })();
  const cut = Promise.all([offline, flood]);
  const [times] = await Promise.all([measure(carls, dora.name, cut), cut]);
  assertUndisturbed(times);
  const grown = server.memory().peak - before;
  assert.ok(grown < 200, `the memory grew by ${grown.toFixed()} MiB`);

  raw.resume();
  await within(raw.closed, 10_000, 'the end of the stalled connection');
  assert.equal((await flooder.wholeHistory(stalled)).length, 800, 'nothing is lost');
  const back = await stalled.open();
  const arrives = once(back, 'newMessage');
  const fresh = await flooder.send(stalled, text());
  assert.deepEqual(await arrives, fresh);
});

test('camel: who stops reading is cut and shown offline', async () => {
  server = await startServer();
  const [stalled, flooder] = [await camel.register(server, 'stalled'), await camel.register(server, 'flooder')];
  const flooders = await camel.enter(server, flooder);
  const raw = await join(server, { token: stalled.token });
  const online = async () => (await camel.get(server, '/api/users', flooder.token)).json.find((user) => user.username === stalled.name).online;
  await until(online, 'online');
  const before = server.memory().now;
  raw.pause();
  const file = text('file '.repeat(MIB / 5));
  for (let i = 0; i < 30; i++) {
    const ack = await camel.sayAcked(flooders, stalled.name, file, { isFile: true, fileName: `${i}.txt` });
    assert.equal(ack.ok, true, JSON.stringify(ack).slice(0, 200));
  }
  await until(async () => !(await online()), 'offline', CUT_WITHIN);
  assert.deepEqual(flooders.drops, []);
  const grown = server.memory().peak - before;
  assert.ok(grown < 300, `the memory grew by ${grown.toFixed()} MiB`);
  raw.resume();
  await within(raw.closed, 10_000, 'the end of the stalled connection');
});

test('who does not answer pings is shown offline, on websocket and on polling', async () => {
  server = await startServer({ CHAT_PING_INTERVAL: '1000', CHAT_PING_TIMEOUT: '1000' });
  const [observer, silent, vanished] = await Promise.all(['observer', 'silent', 'vanished'].map((word) => push.signup(server, word)));
  const observers = await observer.open();
  const raw = await join(server, { cookie: silent.cookie });
  // A polling client that joins, and is never heard of again.
  const poll = (path, options = {}) => request(server, { path, ...options, headers: { cookie: vanished.cookie } });
  const opened = await poll('/socket.io/?EIO=4&transport=polling');
  const { sid } = JSON.parse(opened.text.slice(1));
  await poll(`/socket.io/?EIO=4&transport=polling&sid=${sid}`, { method: 'POST', body: '40{}' });
  // Either of them may be gone again before the other has come.
  const list = observers.seen.getOnlineUsers;
  const came = (id) => push.roster(observers, () => list.some((ids) => ids.includes(id)));
  await Promise.all([came(silent.id), came(vanished.id)]);
  await push.roster(observers, (ids) => !ids.includes(silent.id) && !ids.includes(vanished.id), 15_000);
  await within(raw.closed, 10_000, 'the end of the silent connection');
  assert.deepEqual(observers.drops, [], 'who answers stays');
});

test('a websocket message over the limit ends only its own connection', async () => {
  server = await startServer();
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const [annas, berts] = [await camel.enter(server, anna), await camel.enter(server, bert)];
  const before = server.memory().now;
  for (let i = 0; i < 4; i++) {
    const raw = await join(server, { token: anna.token });
    const packet = `42["privateMessage",{"receiver":"${bert.name}","isFile":true,"fileName":"a.txt","text":"${'x'.repeat(64 * MIB)}"}]`;
    raw.send(packet, () => {});
    await within(raw.closed, 15_000, 'the end of the connection');
  }
  const grown = server.memory().peak - before;
  assert.ok(grown < 200, `the memory grew by ${grown.toFixed()} MiB`);
  const note = text();
  await Promise.all([camel.heard(berts, note), camel.say(annas, bert.name, note)]);
  assert.deepEqual(berts.seen.privateMessage.map((message) => message.text), [note]);
  assert.deepEqual([annas.drops, berts.drops], [[], []]);
});

test('a polling body over the limit harms nobody else', async () => {
  server = await startServer();
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const [annas, berts] = [await camel.enter(server, anna), await camel.enter(server, bert)];
  const before = server.memory().now;
  for (let i = 0; i < 4; i++) {
    const opened = await request(server, { path: '/socket.io/?EIO=4&transport=polling' });
    const path = `/socket.io/?EIO=4&transport=polling&sid=${JSON.parse(opened.text.slice(1)).sid}`;
    await request(server, { method: 'POST', path, body: `40{"token":"${anna.token}"}` });
    // The server may answer before it has read everything, or hang up.
    const answer = await request(server, { method: 'POST', path, body: `42["privateMessage",{"text":"${'x'.repeat(64 * MIB)}"}]` }).catch(() => undefined);
    if (answer) assert.ok(answer.status >= 400, `${answer.status}`);
  }
  const grown = server.memory().peak - before;
  assert.ok(grown < 200, `the memory grew by ${grown.toFixed()} MiB`);
  const note = text();
  await Promise.all([camel.heard(berts, note), camel.say(annas, bert.name, note)]);
  assert.deepEqual([annas.drops, berts.drops], [[], []]);
});

test('garbage on the wire ends at most its own connection', async () => {
  server = await startServer();
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const [annas, berts] = [await camel.enter(server, anna), await camel.enter(server, bert)];
  const garbage = ['9', '42', '42[', '42["privateMessage"', '42{}', '42[1]', '42[]', '451-["privateMessage",{"_placeholder":true,"num":0}]', '49', '4', '43[]', '43999999999999999999[]', '42/nothing,["x"]', '2probe', '5', '\u0000', 'x'.repeat(100_000), Buffer.from([1, 2, 3]), `4299999999999999999999["privateMessage"]`];
  for (const packet of garbage) {
    const raw = await join(server, { token: anna.token });
    raw.send(packet);
    raw.send('42["privateMessage",null]');
    raw.close();
    await within(raw.closed, 10_000, 'the close');
  }
  for (const path of ['/socket.io/', '/socket.io/?EIO=4&transport=carrier', '/socket.io/?EIO=4&transport=polling&sid=nonsense', '/socket.io/?EIO=4&transport=websocket']) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const answer = await request(server, { method, path, body: method === 'POST' ? '40' : undefined });
      assert.ok(answer.status >= 400 && answer.status < 500, `${method} ${path}: ${answer.status}`);
    }
  }
  const note = text();
  await Promise.all([camel.heard(berts, note), camel.say(annas, bert.name, note)]);
  assert.deepEqual([annas.drops, berts.drops], [[], []]);
});
