// `GET /api/sync` and the event `sync`: the log for clients of one's own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { dataUrl, png } from './support/images.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { ask, assertAccepted, assertRefused, closeSockets, once, until } from './support/wait.mjs';

let server;
beforeEach(async () => {
  server = await startServer();
});
afterEach(async () => {
  closeSockets();
  await server.finish();
});
after(closeSockets);

/** One answer by REST. */
async function rest(token, query = {}) {
  const answer = await camel.get(server, `/api/sync?${new URLSearchParams(query)}`, token);
  assert.equal(answer.status, 200, answer.text);
  return checked(answer.json, query);
}

/** One answer over a socket. */
async function over(socket, query = {}) {
  const ack = await ask(socket, 'sync', query);
  assertAccepted(ack);
  const { ok, success, ...answer } = ack;
  return checked(answer, query);
}

/** What holds for every answer. */
function checked(answer, { since, limit = 100 }) {
  assert.deepEqual(Object.keys(answer).sort(), ['changes', 'more', 'next', 'reset']);
  assert.match(answer.next, /^\d+$/);
  assert.ok(answer.changes.length <= limit, `${answer.changes.length} changes, ${limit} were asked for`);
  const positions = answer.changes.map((change) => BigInt(change.position));
  const bounds = [BigInt(answer.reset ? 0 : (since ?? 0)), ...positions];
  for (let i = 1; i < bounds.length; i++) assert.ok(bounds[i - 1] < bounds[i], 'positions ascend');
  if (positions.length) assert.ok(positions.at(-1) <= BigInt(answer.next));
  return answer;
}

/** Asks until there is nothing more. */
async function all(answer, since, limit) {
  const changes = [];
  for (;;) {
    const page = await answer({ since, ...(limit && { limit }) });
    assert.equal(page.reset, false);
    changes.push(...page.changes);
    if (!page.more) return { changes, next: page.next };
    assert.ok(BigInt(page.next) > BigInt(since), 'there is more, so it goes on');
    since = page.next;
  }
}

/** Where a client begins. */
async function beginning(token) {
  const answer = await rest(token);
  assert.deepEqual([answer.reset, answer.more, answer.changes], [true, false, []]);
  return answer.next;
}

const kinds = (changes) => changes.map((change) => change.type);

/** The same things happen to two families; `readers` are asked in every way. */
async function story() {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const [carl, dora] = [await camel.register(server, 'carl'), await camel.register(server, 'dora')];
  const since = await beginning(anna.token);
  const [carls, annas, berts] = [await camel.enter(server, carl), await anna.open(), await bert.open()];
  const doras = await camel.enter(server, dora);
  const note = await anna.send(bert, text('kept'));
  const gone = await bert.send(anna, { text: text('gone'), image: dataUrl('image/png', png) });
  const restored = await anna.send(bert, text('restored'));
  await bert.delete(`/messages/${gone._id}`);
  await anna.delete(`/messages/${restored._id}`);
  assert.equal((await anna.put(`/messages/${restored._id}/restore`)).status, 200);
  assert.equal((await anna.put('/auth/update-profile', { fullName: 'Anna Changed' })).status, 200);
  const spoken = text('spoken');
  await camel.say(carls, dora.name, spoken);
  await camel.say(doras, carl.name, text('file'), { isFile: true, fileName: 'a.txt' });
  return { anna, bert, carl, dora, annas, berts, carls, doras, since, note, gone, restored, spoken };
}

test('every kind of change, in order, to those it concerns, in every way', async () => {
  const { anna, bert, carl, dora, annas, berts, carls, doras, since, note, gone, restored, spoken } = await story();
  for (const [token, socket] of [[anna.token, annas], [bert.token, berts]]) {
    const { changes } = await all((query) => rest(token, query), since);
    assert.deepEqual(kinds(changes), [
      'messageSent',
      'messageSent',
      'messageSent',
      'messageDeleted',
      'messageDeleted',
      'messageRestored',
      'profileUpdated',
    ]);
    const [first, second, third, ...later] = changes.map((change) => change.message);
    const { _id, senderId, text: content, createdAt } = note;
    const { messageId, timestamp, seq } = first;
    assert.deepEqual([messageId, first.senderId, first.content, timestamp], [_id, senderId, content, Date.parse(createdAt)]);
    assert.deepEqual([first.type, first.deleted, seq], ['text', false, 1]);
    assert.deepEqual([second.messageId, second.deleted, second.content, second.image], [gone._id, true, '', undefined]);
    assert.deepEqual([third.messageId, third.deleted, third.content], [restored._id, false, restored.text]);
    assert.deepEqual(later.slice(0, 3).map((message) => message.messageId), [gone._id, restored._id, restored._id]);
    const { user } = changes.at(-1);
    assert.deepEqual([user.userId, user.fullName], [anna.id, 'Anna Changed']);
    assert.deepEqual((await all((query) => over(socket, query), since)).changes, changes, 'the same over a socket');
    assert.ok(!JSON.stringify(changes).includes(gone.text), 'what was deleted is not shown');
    assert.ok(!JSON.stringify(changes).includes(spoken), 'nor what concerns others');
  }
  for (const [token, socket] of [[carl.token, carls], [dora.token, doras]]) {
    const { changes } = await all((query) => rest(token, query), since);
    // Everybody sees everybody's profile, in every family.
    assert.deepEqual(kinds(changes), ['profileUpdated', 'messageSent', 'messageSent']);
    assert.equal(changes[1].message.content, spoken);
    assert.deepEqual([changes[2].message.type, changes[2].message.fileName], ['media', 'a.txt']);
    assert.deepEqual((await all((query) => over(socket, query), since)).changes, changes);
    assert.ok(!JSON.stringify(changes).includes(note.text));
  }
});

test('a socket that passes no callback is answered with an event; the cookie does for REST', async () => {
  const { anna, annas, carls, since } = await story();
  for (const socket of [annas, carls]) {
    const expected = await over(socket, { since });
    const answer = once(socket, 'sync');
    socket.emit('sync', { since });
    assert.deepEqual(await answer, expected);
  }
  const answer = await anna.get('/sync', { params: { since } });
  assert.deepEqual([answer.status, answer.data], [200, await rest(anna.token, { since })]);
});

test('pages of any size come to the same', async () => {
  const { anna, annas, since } = await story();
  const whole = await all((query) => rest(anna.token, query), since);
  for (const limit of [1, 2, 3, 6, 7, 8, 1_000, 1_000_000]) {
    for (const answer of [(query) => rest(anna.token, query), (query) => over(annas, query)]) {
      const paged = await all(answer, since, limit);
      assert.deepEqual(paged.changes, whole.changes, `limit ${limit}`);
    }
  }
  const first = await rest(anna.token, { since, limit: 7 });
  assert.equal(first.changes.length, 7);
  const { next } = whole;
  assert.deepEqual(await rest(anna.token, { since: next }), { changes: [], next, more: false, reset: false });
});

test('who asks for what is not known any more, or not yet, begins afresh', async () => {
  const { anna, annas, since } = await story();
  const { next } = await all((query) => rest(anna.token, query), since);
  for (const future of [String(BigInt(next) + 1n), '18446744073709551615']) {
    const fresh = { changes: [], next, more: false, reset: true };
    assert.deepEqual(await rest(anna.token, { since: future }), fresh);
    assert.deepEqual(await over(annas, { since: future }), fresh);
  }
});

test('the log is kept for as long as is configured, and who is within it misses nothing', async () => {
  await server.finish();
  server = await startServer({ CHAT_LOG_DAYS: '2' });
  const { anna, bert, since } = await story();
  const whole = await all((query) => rest(anna.token, query), since);
  await server.stop();
  // The first changes become three days old, the others one.
  const boundary = whole.changes[2].position;
  age(`UPDATE log SET at = at - 86400000 * (CASE WHEN position <= ${boundary} THEN 3 ELSE 1 END)`);
  await server.launch();
  await until(async () => (await rest(anna.token, { since })).reset, 'the shortened log');
  const kept = await all((query) => rest(anna.token, query), boundary);
  assert.deepEqual(kept.changes, whole.changes.slice(3));
  const fresh = await rest(anna.token, { since: String(BigInt(boundary) - 1n) });
  assert.deepEqual([fresh.reset, fresh.changes, fresh.next], [true, [], whole.next]);
  assert.equal((await bert.history(anna)).length, 2, 'messages stay');

  // When everything is too old, positions go on where they were.
  await server.stop();
  age('UPDATE log SET at = at - 86400000 * 9');
  await server.launch();
  await until(async () => (await rest(anna.token, { since: boundary })).reset, 'the shortened log');
  assert.equal((await rest(anna.token, { since: whole.next })).reset, false, 'who has seen everything needs nothing');
  const late = await anna.send(bert, text());
  const news = await all((query) => rest(bert.token, query), whole.next);
  assert.deepEqual(news.changes.map((change) => change.message.messageId), [late._id]);
});

/** Changes the times in the log of a server that is not running. */
function age(sql) {
  const script = 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); n = db.execute(sys.argv[2]).rowcount; db.commit(); print(n)';
  const run = spawnSync('python3', ['-c', script, path.join(server.dataDir, 'chat.db'), sql], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  assert.ok(Number(run.stdout) > 0, 'rows have changed');
}

test('wrong parameters are named, and nobody is answered without a token', async () => {
  const anna = await push.signup(server, 'anna');
  const carl = await camel.register(server, 'carl');
  const sockets = [await anna.open(), await camel.enter(server, carl)];
  for (const [field, value] of [
    ['since', ''],
    ['since', '-1'],
    ['since', '1.5'],
    ['since', 'x'],
    ['since', '18446744073709551616'],
    ['limit', '0'],
    ['limit', '-1'],
    ['limit', '1.5'],
    ['limit', 'many'],
  ]) {
    for (const token of [anna.token, carl.token]) {
      const refused = await camel.get(server, `/api/sync?${new URLSearchParams({ [field]: value })}`, token);
      assert.equal(refused.status, 400, `${field}=${value}: ${refused.text}`);
      assert.match(refused.json.message, new RegExp(`^${field} must be`));
    }
    for (const socket of sockets) {
      const number = field === 'limit' && value !== 'many' ? Number(value) : value;
      const ack = await ask(socket, 'sync', { [field]: number });
      assertRefused(ack, `${field} ${value}`);
      assert.match(ack.error.message, new RegExp(`^${field} must be`));
    }
  }
  for (const token of [undefined, 'nonsense']) {
    const refused = await camel.get(server, '/api/sync', token);
    assert.equal(refused.status, 401, refused.text);
    assert.equal(typeof refused.json.message, 'string');
  }
});

test('who follows a crowd of writers sees every change exactly once', async () => {
  const WRITERS = 8;
  const EACH = 40;
  const reader = await camel.register(server, 'reader');
  const writers = await Promise.all(Array.from({ length: WRITERS }, (_, i) => camel.register(server, `writer${i}`)));
  const pages = await Promise.all(writers.map((writer) => camel.enter(server, writer)));
  const follower = await camel.enter(server, reader);
  let since = await beginning(reader.token);
  const ends = [since, since];
  const sent = writers.map((writer) => Array.from({ length: EACH }, (_, i) => `${writer.name} ${i}`));
  const writing = Promise.all(
    writers.map(async (writer, i) => {
      for (const [n, words] of sent[i].entries()) {
        assertAccepted(await camel.sayAcked(pages[i], reader.name, words));
        // Noise that is none of the reader's business.
        if (n % 4 === 0) assertAccepted(await camel.sayAcked(pages[i], writers[(i + 1) % WRITERS].name, text('noise')));
      }
    }),
  );
  const ways = [(query) => rest(reader.token, query), (query) => over(follower, query)];
  const seen = await Promise.all(
    ways.map(async (answer, way) => {
      const changes = [];
      while (changes.length < WRITERS * EACH) {
        const page = await answer({ since: ends[way], limit: 7 });
        assert.equal(page.reset, false);
        changes.push(...page.changes);
        ends[way] = page.next;
      }
      return changes;
    }),
  );
  await writing;
  for (const [way, changes] of seen.entries()) {
    const rest = await all(ways[way], ends[way], 7);
    assert.deepEqual(rest.changes, [], 'nothing twice');
    assert.deepEqual(kinds(changes), Array(WRITERS * EACH).fill('messageSent'));
    for (const words of sent) {
      const mine = changes.map((change) => change.message.content).filter((content) => words.includes(content));
      assert.deepEqual(mine, words, 'each once, in order');
    }
  }
  assert.deepEqual(seen[0], seen[1]);
});
