// Strangers and greedy accounts against a server that has 512 MB of memory and 1,024 open files, while a hundred ordinary
// clients talk: it lives, its memory stays within bounds, nobody of the hundred is cut, and nothing they say is lost.
//
// How much slower the hundred are answered meanwhile is printed and not judged: an attack takes a few of their answers'
// time. As a benchmark, on a machine that does nothing else, with each attack repeated for at least so many seconds:
// `HOSTILE_SECONDS=6 CHAT_SERVER_BIN=../../target/release/chat-server node --test --test-reporter=spec hostile.test.mjs`

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import events from 'node:events';
import http from 'node:http';
import os from 'node:os';
import { after, before, describe, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { openCrowd } from './support/crowd.mjs';
import {
  MIB,
  RawConnection,
  SEPARATOR,
  frame,
  heldOpen,
  localAddress,
  nextAddress,
  openPolling,
  post,
  postHead,
  rawWebSocket,
} from './support/hostile.mjs';
import { request } from './support/http.mjs';
import * as push from './support/push.mjs';
import { join } from './support/raw.mjs';
import { startServer } from './support/server.mjs';
import { LIMIT, ask, closeSockets, once, until, within } from './support/wait.mjs';

const MEMORY_MIB = 512;
/** For how long an attack is repeated at least. */
const ATTACK_MS = 1_000 * Number(process.env.HOSTILE_SECONDS ?? 0);
/** How long a connection may live that has nothing to say: 45 s from its begin, and a moment to be noticed. */
const HANDSHAKE_MS = 50_000;

let server;
let crowd;
let quiet;
let connections = [];

const ratio = (p99) => `${p99.toFixed()} ms, ${(p99 / quiet).toFixed(1)} times the quiet one`;

before(async () => {
  const env = { CHAT_SIGNUP_LIMIT: '0', CHAT_LOGIN_ADDRESS_LIMIT: '0' };
  server = await startServer(env, undefined, [`-d ${MEMORY_MIB * 1024}`, '-n 1024']);
  crowd = await openCrowd(server, 100);
  // Attackers have computers of their own: this process does not take the processor from the server and the crowd.
  os.setPriority(os.constants.priority.PRIORITY_LOW);
  // What the others are answered in while nobody attacks.
  await until(async () => (await crowd.answered()) >= 1_000, 'a quiet time');
  quiet = await crowd.p99();
  console.log(`      quiet: p99 ${quiet.toFixed()} ms`);
});
after(async () => {
  closeSockets();
  crowd?.kill();
  await server?.finish();
});

/** An attack, after which the server is asked how it is. */
function attack(name, work) {
  test(name, async () => {
    const acknowledged = await crowd.acknowledged();
    // What was answered since the last attack was not answered during this one.
    await crowd.p99();
    const begun = performance.now();
    try {
      do {
        nextAddress();
        await work();
        connections.splice(0).forEach((connection) => connection.destroy());
      } while (performance.now() < begun + ATTACK_MS);
      const p99 = await crowd.p99();
      assert.equal((await request(server, { path: '/healthz' })).status, 200);
      const { peak } = server.memory();
      assert.ok(peak < MEMORY_MIB - 100, `${peak.toFixed()} MiB of memory were used`);
      // Who comes while all places are taken is told to come again, and does.
      const account = await camel.register(server, 'newcomer');
      const newcomer = await until(() => camel.enter(server, account).catch(() => null), 'a newcomer getting in');
      newcomer.disconnect();
      await until(async () => (await crowd.acknowledged()) > acknowledged, 'others going on to talk');
      console.log(`      ${name}: peak ${peak.toFixed()} MiB, p99 of the others ${ratio(p99)}`);
    } finally {
      connections.splice(0).forEach((connection) => connection.destroy());
    }
  });
}

const raw = () => {
  const connection = new RawConnection(server);
  connections.push(connection);
  return connection;
};
const rawSocket = async (version) => {
  const connection = await rawWebSocket(server, version);
  connections.push(connection);
  return connection;
};

// What the attackers take from the hundred merely by being computed on the same machine: the same work for another server.
describe('beside the server', { skip: ATTACK_MS === 0 && 'only a benchmark needs to know' }, () => {
  let other;
  before(async () => {
    other = fork(new URL('support/neighbour.mjs', import.meta.url), { execArgv: [] });
    const [port] = await events.once(other, 'message');
    other.port = port;
  });
  after(() => other?.kill());

  attack('a neighbour who computes', async () => {
    const until = performance.now() + 50;
    while (performance.now() < until) Math.sqrt(until);
    await new Promise(setImmediate);
  });

  attack('1,000 connections to a neighbour', async () => {
    const kept = Array.from({ length: 1_000 }, () => new RawConnection(other).say('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    connections.push(...kept);
    await Promise.all(kept.map((connection) => connection.connected));
  });

  attack('large frames to a neighbour', async () => {
    const sockets = Array.from({ length: 4 }, () => new RawConnection(other));
    connections.push(...sockets);
    for (const socket of sockets) for (let i = 0; i < 4; i++) socket.say(Buffer.alloc(2 * MIB, '0,'));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.socket.end(resolve))));
  });
});

describe('before anybody is known', () => {
  attack('a payload of Engine.IO 3 with many packets is not decoded in quadratic time', async () => {
    for (const packets of [1_000, 160_000, 3_000_000]) {
      const session = await openPolling(server, 3);
      assert.ok([0, 400, 413].includes(await post(server, session, '2:4é'.repeat(packets))), `${packets} packets`);
      assert.equal(await post(server, session, '2:40'), 400, 'its session is over');
    }
  });

  attack('a payload of many CONNECT packets starts few tasks', async () => {
    for (const packets of [100, 1_000, 1_000_000, 5_000_000]) {
      const session = await openPolling(server);
      const status = await post(server, session, Array(packets).fill('40').join(SEPARATOR));
      assert.ok([0, 400, 413].includes(status), `${packets} packets: ${status}`);
    }
    const socket = await rawSocket();
    for (let i = 0; i < 1_000; i++) socket.say(frame('40'));
    await socket.end();
  });

  attack('a CONNECT with a large or deep payload is refused', async () => {
    const tree = (bytes) => `40{"token":"x","a":[${'{"":0},'.repeat(bytes / 7)}0]}`;
    const deep = `40{"a":${'['.repeat(7_000)}${']'.repeat(7_000)}}`;
    for (const packet of [tree(15 * MIB), tree(17 * 1024)]) {
      const status = await post(server, await openPolling(server), packet);
      assert.ok([0, 400, 413].includes(status), `${packet.length} bytes: ${status}`);
      const socket = await rawSocket();
      socket.say(frame(packet));
      await socket.end();
    }
    // Small enough to be read, it is only nobody's token.
    for (const packet of [tree(15 * 1024), deep]) {
      const session = await openPolling(server);
      assert.equal(await post(server, session, packet), 200);
      await refused(session);
    }
  });

  /** Polls until the refusal has come. */
  async function refused(session) {
    for (;;) {
      const { status, text } = await request(server, session);
      assert.equal(status, 200, text);
      if (text.includes('44{"message"')) return;
      assert.match(text, /^(2|6)?/);
    }
  }

  attack('bodies that never end are given up', async () => {
    const session = await openPolling(server);
    const stuck = [];
    for (let i = 0; i < 50; i++) stuck.push(raw().say(postHead(session.path, 16_000)).say('4'.repeat(15_000)));
    const other = await openPolling(server);
    await raw().say(postHead(other.path, 15 * MIB)).end(5_000, 'the refusal of a body that is too large');
    await raw().say(postHead(other.path, 1_000)).end(5_000, 'the refusal of a body of a session that is over');
    for (const one of stuck) await one.end();
  });

  attack('who was refused, or has left, does not stay by answering heartbeats', async () => {
    const staying = [];
    for (const version of [3, 4]) {
      const socket = await rawSocket(version);
      if (version === 4) socket.say(frame('40{"token":"nobody\'s"}'));
      staying.push(socket);
    }
    const left = await rawSocket();
    left.say(frame('41'));
    const binary = await rawSocket();
    binary.say(frame('451-["x",{"_placeholder":true,"num":0}]'));
    const beat = setInterval(() => [...staying, left, binary].forEach((socket) => socket.say(frame('2')).say(frame('3'))), 1_000);
    try {
      for (const socket of staying) await socket.end(15_000, 'the end of who was refused');
      for (const socket of [left, binary]) await socket.end(HANDSHAKE_MS, 'the end of who never connects');
    } finally {
      clearInterval(beat);
    }
  });

  attack('1,100 idle connections keep nobody out', async () => {
    const idle = Array.from({ length: 1_100 }, raw);
    await Promise.all(idle.map((connection) => connection.connected));
    for (let i = 0; i < 20; i++) assert.equal((await request(server, { path: '/healthz' })).status, 200);
  });

  attack('websockets that say nothing make room like other connections', async () => {
    for (let i = 0; i < 900; i++) (await rawSocket()).stopReading();
    assert.ok(heldOpen(server) < 400, `${heldOpen(server)} connections of one address`);
    for (const connection of connections.splice(0)) connection.destroy();
    for (let i = 0; i < 20; i++) assert.equal((await request(server, { path: '/healthz' })).status, 200);
  });

  attack('20,000 long-polling sessions fill nothing', async () => {
    let opened = 0;
    const statuses = new Set();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
    const opening = async () => {
      while (opened++ < 20_000) {
        const { status } = await request(server, { path: '/socket.io/?EIO=4&transport=polling', agent, localAddress });
        statuses.add(status);
      }
    };
    await Promise.all(Array.from({ length: 32 }, opening));
    agent.destroy();
    assert.deepEqual([...statuses].sort(), [200, 503]);
  });

  attack('frames that are announced and do not come hold no memory', async () => {
    const sockets = [];
    for (let i = 0; i < 50; i++) sockets.push((await rawSocket()).say(frame('4', { declared: 16 * MIB })));
    for (const socket of sockets) await socket.end();
    // The same with nothing at all of the payload, so that nothing but the length tells.
    const silent = (await rawSocket()).say(frame('', { declared: 16 * MIB }));
    await silent.end();
  });

  attack('request heads of any size', async () => {
    for (const head of [`GET /${'x'.repeat(2 * MIB)}`, `GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(200_000)}`, `GET / HTTP/1.1\r\nx: ${'y'.repeat(2 * MIB)}`]) {
      await raw().say(head).end(HANDSHAKE_MS, 'the refusal of a head');
    }
  });
});

/** An account whose requests come from where the attack comes from. */
async function greedyAccount() {
  return camel.register(server, 'greedy');
}

const LETTERS = 'a'.repeat(9_900_000);
/** Less than what somebody may read at once (`CHAT_READ_BUDGET`). */
const FILES = 12;

describe('by those who have an account', () => {
  attack('files of one letter are not answered with hundreds of megabytes', async () => {
    const [greedy, victim] = [await greedyAccount(), await greedyAccount()];
    const sender = await camel.enter(server, greedy, { transports: ['websocket'] });
    const away = await camel.enter(server, victim, { transports: ['websocket'], reconnection: true, reconnectionDelay: 50 });
    const told = once(away, 'privateMessage');
    await camel.sayAcked(sender, victim.name, 'so that there is a position to go on from');
    await told;
    away.io.reconnection(false);
    const gone = once(away, 'disconnect');
    away.io.engine.close();
    await gone;
    for (let i = 0; i < FILES; i++) {
      const ack = await ask(sender, 'privateMessage', camel.letter(victim.name, LETTERS, { isFile: true, fileName: `${i}.txt` }));
      assert.equal(ack.ok, true, JSON.stringify(ack.error));
    }
    // What was missed comes in parts, as it is taken.
    const missed = [];
    away.on('privateMessage', (message) => missed.push(message.fileName));
    away.io.reconnection(true);
    away.connect();
    await until(() => missed.length === FILES, 'what was missed', 120_000);
    assert.deepEqual(missed, Array.from({ length: FILES }, (_, i) => `${i}.txt`));
    assert.equal(away.recovered, true);
    const list = await camel.history(away, greedy.name);
    const bytes = list.reduce((sum, message) => sum + message.text.length, 0);
    assert.ok(list.length >= 1 && bytes <= 2 * LETTERS.length, `${list.length} messages, ${bytes} bytes`);
    const unread = Array.from({ length: 40 }, () =>
      raw().stopReading().say(`GET /api/sync?since=0&limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${victim.token}\r\n\r\n`),
    );
    // Those who read nothing are given up, and what they asked for with them.
    await Promise.all(unread.map((connection) => connection.connected));
    // The answers are short enough to have arrived, so to the server these are idle, for which they have 75 s.
    await until(() => heldOpen(server) === 0, 'the end of those who read nothing', 90_000);
    sender.disconnect();
    away.disconnect();
  });

  attack('who asks for a history again and again waits for themselves', async () => {
    const [greedy, other] = [await greedyAccount(), await greedyAccount()];
    const sockets = [];
    for (let i = 0; i < 20; i++) sockets.push(await camel.enter(server, greedy, { transports: ['websocket'] }));
    for (let i = 0; i < 100; i++) await camel.sayAcked(sockets[0], other.name, `${i} ${'words '.repeat(500)}`);
    const acks = await Promise.all(
      sockets.flatMap((socket) => Array.from({ length: 6 }, () => new Promise((resolve) => {
        socket.timeout(60_000).emit('getMessageHistory', { otherUser: other.name }, (error, ack) => resolve(error ?? ack));
      }))),
    );
    assert.ok(acks.every((ack) => ack.ok || ['rate_limited', 'unavailable'].includes(ack.error?.code)), JSON.stringify(acks.find((ack) => !ack.ok)));
    sockets.forEach((socket) => socket.disconnect());
  });

  attack('changes of one profile push nobody out', async () => {
    const [greedy, victim] = [await push.signup(server, 'greedy'), await greedyAccount()];
    const page = await camel.enter(server, victim, { transports: ['websocket'], reconnection: true, reconnectionDelay: 50 });
    const sender = await camel.enter(server, await greedyAccount(), { transports: ['websocket'] });
    const told = once(page, 'privateMessage');
    await camel.sayAcked(sender, victim.name, 'before');
    await told;
    const back = once(page, 'connect', () => true, 60_000);
    page.io.engine.close();
    const statuses = [];
    for (let i = 0; i < 60; i++) statuses.push((await greedy.put('/auth/update-profile', { fullName: `Greedy ${i}` })).status);
    assert.ok(statuses.includes(200) && statuses.includes(429), `${statuses}`);
    await back;
    assert.equal(page.recovered, true);
    sender.disconnect();
    page.disconnect();
  });

  attack('log-ins from one address leave a turn to others', async () => {
    const [greedy, other] = [await greedyAccount(), await greedyAccount()];
    let stopped = false;
    const form = { username: greedy.name, password: greedy.password };
    const flood = Array.from({ length: 48 }, async () => {
      while (!stopped) await request(server, { method: 'POST', path: '/api/login', body: form, localAddress });
    });
    for (let i = 0; i < 5; i++) {
      const started = performance.now();
      const answer = await camel.post(server, '/api/login', { username: other.name, password: other.password });
      assert.equal(answer.status, 200);
      assert.ok(performance.now() - started < 5_000, 'somebody else waits behind all of them');
    }
    stopped = true;
    await Promise.all(flood);
  });

  attack('large frames of one account are cut before they fill the memory', async () => {
    const greedy = await greedyAccount();
    const sockets = [];
    for (let i = 0; i < 40; i++) sockets.push(await join(server, { token: greedy.token }));
    const half = Buffer.concat([frame('', { declared: 15 * MIB }), Buffer.alloc(7 * MIB, '4')]);
    for (const socket of sockets) socket._socket.write(half);
    await until(() => sockets.some((socket) => socket.readyState === socket.CLOSED), 'the end of some of them');
    sockets.forEach((socket) => socket.terminate());
  });

  attack('one account does not take all connections', async () => {
    const greedy = await greedyAccount();
    const ask = `GET /api/validate-token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${greedy.token}\r\n\r\n`;
    const kept = Array.from({ length: 1_000 }, () => raw().say(ask));
    await Promise.all(kept.map((connection) => connection.connected));
    for (let i = 0; i < 20; i++) assert.equal((await request(server, { path: '/healthz' })).status, 200);
    await until(() => heldOpen(server) < 400, 'room for others');
  });

  attack('large events that mean nothing are dear', async () => {
    const greedy = await greedyAccount();
    const nonsense = `42["privateMessage",${'0,'.repeat(MIB)}0]`;
    const sockets = [];
    for (let i = 0; i < 4; i++) sockets.push(await join(server, { token: greedy.token }));
    const refusals = [];
    for (const socket of sockets) {
      socket.on('message', (data) => data.toString().includes('rate_limited') && refusals.push(data));
      for (let i = 0; i < 4; i++) socket.send(nonsense);
    }
    await until(() => refusals.length > 0, 'a refusal', 60_000);
    sockets.forEach((socket) => socket.terminate());
  });

  attack('pings of a logged-in websocket have an end', async () => {
    const socket = await join(server, { token: (await greedyAccount()).token });
    for (let i = 0; i < 10_000; i++) socket.ping();
    await within(socket.closed, LIMIT, 'the end of the session');
  });

  attack('a logged-in session may not ask to be connected without end', async () => {
    const greedy = await greedyAccount();
    const socket = await join(server, { token: greedy.token });
    for (let i = 0; i < 10_000; i++) socket.send('40');
    await within(socket.closed, LIMIT, 'the end of the session');
  });
});

test('nobody was cut, and nothing was lost', async () => {
  await crowd.finish();
});
