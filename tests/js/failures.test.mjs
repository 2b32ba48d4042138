// What happens when a part fails: two nodes, 50 pages spread over both that talk at a steady pace, and each part taken
// away in turn. Whatever was acknowledged is shown to both sides, once, in one order. At the end the counts are printed as
// a table: messages sent, acknowledged, refused with an error, and not answered within 5 seconds although nothing was cut;
// messages on pages (each is to be on two), missing ones, doubled ones and those out of order; pages that began afresh; the
// slowest answer in milliseconds, and how soon after the repair everybody could send again.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import { MongoClient } from 'mongodb';
import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { account, talkThrough, talkers } from './support/load.mjs';
import { startNodes } from './support/nodes.mjs';
import { startProxy } from './support/proxy.mjs';
import * as push from './support/push.mjs';
import { connect, until } from './support/wait.mjs';

const PAGES = 50;
/** One message of each page in so many milliseconds. */
const PACE = 400;
const AWAY = 10_000;
/** Mebibytes a node may take. */
const MOST_MEMORY = 400;

const rows = [];
let nodes;
let proxies;
let people;
let observers;

beforeEach(async () => {
  nodes = await startNodes({
    CHAT_SIGNUP_LIMIT: '0',
    CHAT_LOGIN_ADDRESS_LIMIT: '0',
    CHAT_STALL_TIMEOUT: '30000',
    CHAT_LOG: 'warn,chat_server::recovery=debug',
  });
  // Pages reach their node by proxies, which stand for a load balancer.
  proxies = await Promise.all([nodes.a, nodes.b].map((node) => startProxy(node)));
  const register = (i) => camel.register(i % 2 ? nodes.a : nodes.b, 'talker');
  people = await talkers(PAGES, proxies.map((proxy) => proxy.url), register);
  // One observer at each node sees who is online.
  observers = await Promise.all(
    proxies.map(async (proxy, i) => {
      const person = await push.signup(i ? nodes.b : nodes.a, 'observer');
      const back = { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 1_000 };
      const page = await connect(io, proxy.url, { auth: { token: person.token }, ...back }, ['getOnlineUsers']);
      return { person, page };
    }),
  );
});

afterEach(async () => {
  await nodes?.finish();
  await Promise.all((proxies ?? []).map((proxy) => proxy.close()));
});

after(() => {
  console.log(`\n| ${Object.keys(rows[0] ?? {}).join(' | ')} |`);
  for (const row of rows) console.log(`| ${Object.values(row).join(' | ')} |`);
});

/** Both observers are told that everybody is online who has a page, and nobody else. */
async function everybodyIsOnline(within) {
  const wanted = [...people.map((talker) => talker.account.name), ...observers.map(({ person }) => person.fullName)].sort();
  for (const { person, page } of observers) {
    const { data } = await person.get('/messages/contacts');
    const names = new Map([...data.map((user) => [user._id, user.fullName]), [person.id, person.fullName]]);
    const online = () => (page.seen.getOnlineUsers.at(-1) ?? []).map((id) => names.get(id)).filter((name) => wanted.includes(name));
    await until(() => `${online().sort()}` === `${wanted}`, 'that everybody is online', within);
  }
}

async function check(what, trouble, expectations = {}) {
  await everybodyIsOnline(10_000);
  const recovery = await talkThrough(people, PACE, trouble);
  const counts = await account(people);
  rows.push({ what, ...counts, 'sending again after (ms)': Math.round(recovery) });
  console.log(what, JSON.stringify(rows.at(-1)));
  assert.ok(counts.acknowledged > 100, 'there was a load');
  assert.equal(counts.lost, 0);
  assert.equal(counts.doubled, 0);
  assert.equal(counts.disordered, 0);
  assert.equal(counts.unanswered, 0, 'every send is answered in time');
  assert.equal(counts.fresh, 0, 'no page had to begin afresh');
  assert.ok(recovery < (expectations.recovery ?? 5_000), `sending works again after ${recovery} ms`);
  await everybodyIsOnline(30_000);
  for (const node of [nodes.a, nodes.b]) {
    const { peak } = node.memory();
    assert.ok(peak < MOST_MEMORY, `${peak} MiB`);
  }
  return counts;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test('nothing fails', async () => {
  const counts = await check('nothing', () => pause(5_000));
  assert.equal(counts.refused, 0);
});

test('Redis is killed and comes back empty', async () => {
  const counts = await check('Redis killed, back after 10 s', async () => {
    await nodes.redis.kill9();
    await pause(AWAY);
    await nodes.redis.start();
  });
  assert.equal(counts.refused, 0, 'nobody who sends notices');
});

test('the database is killed and comes back', async () => {
  const [anna, bert] = [await push.signup(nodes.a, 'anna'), await push.signup(nodes.b, 'bert')];
  await check('database killed, back after 10 s', async () => {
    await nodes.mongo.kill9();
    const begun = Date.now();
    const answers = async () => [
      await new push.Browser(nodes.a).post('/auth/login', { email: anna.email, password: anna.password }),
      await bert.post(`/messages/send/${anna.id}`, { text: 'is anybody there?' }),
    ];
    while (Date.now() - begun < AWAY) {
      const asked = Date.now();
      for (const answer of await Promise.race([answers(), pause(10_000).then(() => [])])) {
        assert.equal(answer.status, 503);
        assert.ok(answer.data.message, 'a message for people');
      }
      assert.ok(Date.now() - asked < 10_000, 'each within 5 s');
    }
    await nodes.mongo.start();
  });
  const mine = await bert.history(anna);
  assert.ok(new Set(mine.map((message) => message._id)).size === mine.length);
});

test('commits fail for a while', async () => {
  const client = await MongoClient.connect(`${nodes.mongo.url}?directConnection=true`);
  const fail = (mode, data = {}) => client.db('admin').command({ configureFailPoint: 'failCommand', mode, data });
  try {
    await check('commits fail or are not answered', async () => {
      const unknown = ['UnknownTransactionCommitResult', 'RetryableWriteError'];
      await fail({ times: 20 }, { failCommands: ['commitTransaction'], errorCode: 91, errorLabels: unknown });
      await pause(2_000);
      await fail({ times: 20 }, { failCommands: ['commitTransaction'], closeConnection: true });
      await pause(2_000);
      await fail({ times: 20 }, { failCommands: ['insert'], errorCode: 112, errorLabels: ['TransientTransactionError'] });
      await pause(2_000);
      await fail('off');
    });
  } finally {
    await client.close();
  }
});

test('a node is killed, and its pages go to the other one', async () => {
  await check('node killed, its pages at the other one', async () => {
    proxies[0].lead(nodes.b);
    await nodes.a.kill9();
    await pause(AWAY);
    await nodes.a.restart();
  });
});

test('a page takes nothing for a while', async () => {
  const lazy = await camel.register(nodes.a, 'lazy');
  const lazys = await connect(io, nodes.a.url, { auth: { token: lazy.token }, transports: ['websocket'] });
  const shown = [];
  lazys.on('privateMessage', ({ text }) => shown.push(text.split(' ')[0]));
  const writer = await camel.register(nodes.b, 'writer');
  const page = await camel.enter(nodes.b, writer);
  // More than the kernels of both sides and the server together keep for it.
  const large = Array.from({ length: 250 }, (_, i) => `${i} ${'x'.repeat(60_000)}`);
  await check('a page takes nothing until its queue is full', async () => {
    // What the kernel of its machine does when its program takes nothing.
    const stream = lazys.io.engine.transport.ws;
    stream.pause();
    const resumed = until(() => nodes.a.log.includes('a connection lags'), 'a full queue', 25_000).finally(() => stream.resume());
    for (let at = 0; at < large.length; at += 25) {
      const answers = await Promise.all(large.slice(at, at + 25).map((words) => camel.sayAcked(page, lazy.name, words)));
      assert.ok(answers.every((answer) => answer.ok));
    }
    await resumed;
  });
  await until(() => shown.length >= large.length, 'all large messages', 30_000);
  assert.deepEqual(shown, large.map((words) => words.split(' ')[0]));
  assert.deepEqual(lazys.drops, [], 'it was waited for');
});
