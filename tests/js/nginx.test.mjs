// Many default clients behind one address, behind nginx as examples/deploy configures it, before two nodes.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { io as io3 } from 'socket.io-client-3.1';
import io2 from 'socket.io-client-2';

import * as camel from './support/camel.mjs';
import { startNginx } from './support/nginx.mjs';
import { startNodes } from './support/nodes.mjs';
import { connect, once, until } from './support/wait.mjs';

const KINDS = {
  'long polling, then WebSocket': { count: 40, options: {} },
  'long polling alone': { count: 20, options: { transports: ['polling'] } },
  'WebSocket alone': { count: 10, options: { transports: ['websocket'] } },
};
const MESSAGES = 10;

let nodes;
let nginx;
before(async () => {
  nodes = await startNodes({ CHAT_SIGNUP_LIMIT: '0', CHAT_TRUST_PROXY: '1' });
  nginx = await startNginx(nodes.a, nodes.b);
});
after(async () => {
  await nodes?.finish();
  await nginx?.finish();
});

async function enter(account, options, client = io) {
  const back = { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 };
  const page = await connect(client, nginx.url, { auth: { token: account.token }, ...back, ...options });
  page.texts = [];
  page.on('privateMessage', (message) => page.texts.push(message.text));
  return page;
}

test('everybody gets in, stays in, and is spread over the nodes', async () => {
  const pages = [];
  for (const [kind, { count, options }] of Object.entries(KINDS)) {
    const accounts = await Promise.all(Array.from({ length: count }, (_, i) => camel.register(nodes[i % 2 ? 'a' : 'b'], 'user')));
    const entered = await Promise.all(accounts.map((account) => enter(account, options)));
    pages.push(...entered.map((page, i) => ({ kind, page, account: accounts[i] })));
  }
  const upgraded = pages.filter(({ kind }) => kind === 'long polling, then WebSocket');
  await until(() => upgraded.every(({ page }) => page.io.engine.transport.name === 'websocket'), 'the upgrade of all');

  // Everybody writes to the next one, at whichever node they are.
  const expected = pages.map((_, i) => Array.from({ length: MESSAGES }, (_, n) => `${i} to ${(i + 1) % pages.length}: ${n}`));
  await Promise.all(
    pages.map(async ({ page }, i) => {
      for (const words of expected[i]) {
        const answer = await camel.sayAcked(page, pages[(i + 1) % pages.length].account.name, words);
        assert.equal(answer.ok, true);
      }
    }),
  );
  for (const [i, { page }] of pages.entries()) {
    const before = expected[(i - 1 + pages.length) % pages.length];
    await until(() => page.texts.length >= 2 * MESSAGES, `all messages of page ${i}`);
    assert.deepEqual(page.texts.filter((words) => before.includes(words)), before);
    assert.equal(page.texts.length, 2 * MESSAGES, 'what was said and what was heard, once each');
  }
  for (const { page, kind } of pages) assert.deepEqual(page.drops, [], kind);

  const at = (node) => pages.filter(({ page }) => page.io.engine.id?.startsWith(`${node}.`)).length;
  assert.ok(at('a') >= 15 && at('b') >= 15, `${at('a')} and ${at('b')} sessions that began with long polling`);
});

test('older clients too', async () => {
  for (const client of [io3, io2]) {
    const accounts = await Promise.all(Array.from({ length: 10 }, () => camel.register(nodes.a, 'user')));
    for (const transports of [['polling'], ['polling', 'websocket']]) {
      const pages = await Promise.all(
        accounts.map((account) => enter(account, { transports, query: {}, transportOptions: { polling: { extraHeaders: { authorization: `Bearer ${account.token}` } } } }, client)),
      );
      await Promise.all(
        pages.map(async (page, i) => {
          const other = (i + 1) % pages.length;
          const heard = once(pages[other], 'privateMessage', (message) => message.text === `hello ${other}`);
          page.emit('privateMessage', camel.letter(accounts[other].name, `hello ${other}`));
          await heard;
        }),
      );
      for (const page of pages) {
        assert.deepEqual(page.drops, []);
        page.disconnect();
      }
    }
  }
});

test('when a node dies its pages go on at the other one', async () => {
  const accounts = await Promise.all(Array.from({ length: 20 }, () => camel.register(nodes.a, 'user')));
  const pages = await Promise.all(accounts.map((account, i) => enter(account, i % 2 ? { transports: ['polling'] } : {})));
  const writer = await camel.register(nodes.b, 'writer');
  const writers = await camel.enter(nodes.b, writer);
  const sent = [];
  const say = async (words) => {
    sent.push(words);
    for (const account of accounts) assert.equal((await camel.sayAcked(writers, account.name, words)).ok, true);
  };
  await say('before');
  await until(() => pages.every((page) => page.texts.length === 1), 'the message before');
  await nodes.a.kill9();
  try {
    await say('meanwhile');
    await until(() => pages.every((page) => page.connected && page.texts.length >= 2), 'all back', 30_000);
    await say('after');
    await until(() => pages.every((page) => page.texts.length >= 3), 'all messages');
    for (const page of pages) assert.deepEqual(page.texts, sent);
  } finally {
    await nodes.a.restart();
  }
});
