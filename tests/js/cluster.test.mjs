// Two server processes over MongoDB and Redis: what happens at one is seen at the other.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import { startNodes } from './support/nodes.mjs';
import { startProxy } from './support/proxy.mjs';
import * as push from './support/push.mjs';
import { connect, once, until, within } from './support/wait.mjs';

/** How soon a change is to be seen at the other node. Far more than it takes, far less than without the bell. */
const AT_ONCE = 900;

let nodes;
before(async () => {
  nodes = await startNodes({ CHAT_LOGIN_LIMIT: '6', CHAT_MESSAGE_LIMIT: '40', CHAT_SEARCH_LIMIT: '5' });
});
after(() => nodes?.finish());

/** The same person's browser at another node. */
function at(node, person) {
  const other = new push.Browser(node);
  Object.assign(other, { fullName: person.fullName, email: person.email, password: person.password, id: person.id });
  other.cookies.set('jwt', person.token);
  return other;
}

test('messages, deletions and profiles', async () => {
  const [anna, bert] = [await push.signup(nodes.a, 'anna'), await push.signup(nodes.b, 'bert')];
  const [annas, berts] = [await anna.open(), await bert.open()];
  for (let i = 0; i < 5; i++) {
    const words = text();
    const arrival = once(berts, 'newMessage', (message) => message.text === words, AT_ONCE);
    const message = await anna.send(bert, words);
    await arrival;
    const deletion = once(berts, 'messageDeleted', ({ messageId }) => messageId === message._id, AT_ONCE);
    await anna.delete(`/messages/${message._id}`);
    await deletion;
  }
  const words = text();
  const arrival = once(annas, 'newMessage', (message) => message.text === words, AT_ONCE);
  await bert.send(anna, words);
  await arrival;
  assert.deepEqual(
    (await at(nodes.b, anna).history(bert)).map((message) => message.text),
    [words],
    'and at once in the history of the other node',
  );
});

test('camel: both directions, in one order on all pages', async () => {
  const [anna, bert] = [await camel.register(nodes.a, 'anna'), await camel.register(nodes.b, 'bert')];
  const pages = await Promise.all([
    camel.enter(nodes.a, anna),
    camel.enter(nodes.b, anna),
    camel.enter(nodes.a, bert),
    camel.enter(nodes.b, bert),
  ]);
  const each = 15;
  pages.forEach((page, i) => {
    for (let n = 0; n < each; n++) page.emit('privateMessage', camel.letter(i < 2 ? bert.name : anna.name, `${i} ${n}`));
  });
  const texts = (page) => page.seen.privateMessage.map((message) => message.text);
  await until(() => pages.every((page) => texts(page).length === pages.length * each), 'all messages on all pages');
  for (const page of pages) assert.deepEqual(texts(page), texts(pages[0]));
  assert.equal(new Set(texts(pages[0])).size, pages.length * each);
});

test('what is unread is the same at both nodes', async () => {
  const [anna, bert] = [await push.signup(nodes.a, 'anna'), await push.signup(nodes.b, 'bert')];
  const unread = async (node) => {
    const { status, data } = await at(node, bert).get('/unread');
    assert.equal(status, 200);
    return data.unread.map((count) => [count.userId, count.readSeq, count.unread]);
  };
  const first = await anna.send(bert, text());
  await anna.send(bert, text());
  for (const node of [nodes.a, nodes.b]) assert.deepEqual(await unread(node), [[anna.id, 0, 2]]);
  const marked = await at(nodes.a, bert).post('/read', { userId: anna.id, messageId: first._id });
  assert.deepEqual([marked.status, marked.data.seq], [200, 1]);
  for (const node of [nodes.b, nodes.a]) assert.deepEqual(await unread(node), [[anna.id, 1, 1]], 'at once');
});

test('who types', async () => {
  const [anna, bert] = [await push.signup(nodes.a, 'anna'), await push.signup(nodes.b, 'bert')];
  const [annas, berts] = [await anna.open(), await bert.open()];
  const typing = once(berts, 'userTyping', undefined, AT_ONCE);
  annas.emit('typing', { to: bert.id });
  assert.deepEqual(await typing, { userId: anna.id, senderId: anna.id, chatId: anna.id, groupId: null, isGroup: false, isTyping: true, typing: true });
});

test('who is online: two devices at two nodes', async () => {
  const [anna, bert] = [await push.signup(nodes.a, 'anna'), await push.signup(nodes.b, 'bert')];
  const annas = await anna.open();
  const [there, here] = [await bert.open(), await at(nodes.a, bert).open()];
  await push.roster(annas, (list) => list.includes(bert.id));
  there.disconnect();
  // Whoever comes now proves that the end of the other connection would have been told of.
  const carl = await push.signup(nodes.b, 'carl');
  const carls = await carl.open();
  const list = await push.roster(annas, (list) => list.includes(carl.id));
  assert.ok(list.includes(bert.id), 'he is still here');
  const listed = (await anna.get('/messages/contacts')).data.find((user) => user._id === carl.id);
  assert.equal(listed.online, true);
  here.disconnect();
  await push.roster(carls, (list) => !list.includes(bert.id));
  await push.roster(annas, (list) => !list.includes(bert.id));
});

test('last seen is known at the other node', async () => {
  const [anna, bert] = [await camel.register(nodes.a, 'anna'), await camel.register(nodes.b, 'bert')];
  const page = await camel.enter(nodes.b, bert);
  const listed = async () => (await camel.get(nodes.a, '/api/users', anna.token)).json.find((user) => user.username === bert.name);
  await until(async () => (await listed()).online, 'that he is online');
  const before = Date.now();
  page.disconnect();
  const { lastSeen } = await until(async () => ((await listed()).online ? undefined : listed()), 'that he is offline');
  const moment = new Date(lastSeen).getTime();
  assert.ok(moment >= before - 1_000 && moment <= Date.now() + 1_000, `${lastSeen} is when he left`);
});

test('a log-out is one everywhere, and closes the pages of that log-in', async () => {
  const anna = await push.signup(nodes.a, 'anna');
  const there = at(nodes.b, anna);
  const page = await there.open();
  const closed = once(page, 'disconnect', undefined, AT_ONCE);
  assert.equal((await anna.post('/auth/logout')).status, 200);
  assert.equal(await closed, 'io server disconnect');
  assert.equal((await there.get('/auth/check')).status, 401);
});

test('failed log-ins are counted together', async () => {
  const anna = await push.signup(nodes.a, 'anna');
  const browsers = [new push.Browser(nodes.a), new push.Browser(nodes.b)];
  const statuses = [];
  for (let i = 0; i < 8; i++) {
    const answer = await browsers[i % 2].post('/auth/login', { email: anna.email, password: `wrong password ${i}` });
    statuses.push(answer.status);
  }
  assert.deepEqual(statuses, [400, 400, 400, 400, 400, 400, 429, 429]);
  assert.equal((await browsers[1].post('/auth/login', { email: anna.email, password: anna.password })).status, 429);
  const other = await push.signup(nodes.a, 'other');
  assert.equal((await other.elsewhere()).id, other.id, 'others can log in');
});

test('searches count together', async () => {
  const anna = await push.signup(nodes.a, 'anna');
  const browsers = [anna, at(nodes.b, anna)];
  const statuses = [];
  for (let i = 0; i < 8; i++) statuses.push((await browsers[i % 2].get('/search', { params: { q: 'word' } })).status);
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
});

test('messages are counted together', async () => {
  const [anna, bert] = [await camel.register(nodes.a, 'anna'), await camel.register(nodes.b, 'bert')];
  const [here, there] = [await camel.enter(nodes.a, anna), await camel.enter(nodes.b, anna)];
  for (let i = 0; i < 40; i++) assert.equal((await camel.sayAcked(here, bert.name, text())).ok, true);
  await until(async () => (await camel.sayAcked(there, bert.name, text())).error?.code === 'rate_limited', 'the limit', 5_000);
});

test('a page that comes back at the other node goes on where it was', async () => {
  const [anna, bert] = [await push.signup(nodes.a, 'anna'), await push.signup(nodes.b, 'bert')];
  const proxy = await startProxy(nodes.b);
  try {
    const options = { auth: { token: bert.token }, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };
    const page = await connect(io, proxy.url, options);
    const texts = [];
    page.on('newMessage', (message) => texts.push(message.text));
    const sent = Array.from({ length: 9 }, () => text());
    const say = async (some) => {
      for (const words of some) await anna.send(bert, words);
    };
    await say(sent.slice(0, 3));
    await until(() => texts.length === 3, 'three messages');
    const dropped = once(page, 'disconnect');
    proxy.cut();
    await dropped;
    await say(sent.slice(3, 6));
    const connected = once(page, 'connect');
    proxy.lead(nodes.a);
    proxy.accept();
    await connected;
    assert.equal(page.recovered, true);
    await say(sent.slice(6));
    await until(() => texts.length === sent.length, 'all messages');
    assert.deepEqual(texts, sent);
  } finally {
    await proxy.close();
  }
});

test('who was at a node that was killed is offline soon, unless they have come back', async () => {
  const [anna, bert, carl] = await Promise.all(['anna', 'bert', 'carl'].map((word) => push.signup(nodes.a, word)));
  const annas = await anna.open();
  await at(nodes.b, bert).open();
  await at(nodes.b, carl).open();
  await push.roster(annas, (list) => list.includes(bert.id) && list.includes(carl.id));
  await nodes.b.kill9();
  try {
    await at(nodes.a, carl).open();
    const list = await push.roster(annas, (list) => !list.includes(bert.id), 30_000);
    assert.ok(list.includes(carl.id) && list.includes(anna.id));
  } finally {
    await nodes.b.restart();
  }
});

test('/readyz says what is amiss with Redis and stays ready', async () => {
  const answer = async () => {
    const response = await within(fetch(`${nodes.a.url}/readyz`), 5_000, 'the answer');
    return { status: response.status, bus: (await response.json()).bus };
  };
  assert.deepEqual(await answer(), { status: 200, bus: 'up' });
  await nodes.redis.kill9();
  await until(async () => (await answer()).bus === 'down', 'that it is noticed');
  assert.equal((await answer()).status, 200);
  await nodes.redis.start();
  await until(async () => (await answer()).bus === 'up', 'that it is back');
  const said = nodes.a.log.match(/Redis is away/g) ?? [];
  assert.equal(said.length, 1, 'it is said once');
});
