// One damaged message among 300: its conversation is read around it, live events and catching up go on, and `chat-server check`
// names it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { binary, startServer } from './support/server.mjs';
import { ask, closeSockets, until } from './support/wait.mjs';

after(closeSockets);

const check = (server, ...options) =>
  spawnSync(binary, ['check', ...options], {
    env: { PATH: process.env.PATH, CHAT_DATA_DIR: server.dataDir },
    encoding: 'utf8',
  });

/** Runs one statement past the server, and answers its rows. */
const sqlite = (file, sql) => {
  const script = `import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
rows = db.execute(sys.argv[2]).fetchall()
db.commit()
print(json.dumps(rows))`;
  const ran = spawnSync('python3', ['-c', script, file, sql], { encoding: 'utf8' });
  assert.equal(ran.status, 0, ran.stderr);
  return JSON.parse(ran.stdout);
};

const pages = async (socket, name) => {
  const found = [];
  let before;
  for (let asked = 0; asked < 100; asked++) {
    const page = await ask(socket, 'getMessageHistory', { otherUser: name, limit: 20, before });
    assert.equal(page.ok, true, JSON.stringify(page.error));
    found.unshift(...page.messages.map((message) => message.text));
    if (!page.hasMore) return found;
    before = page.nextBefore;
  }
  throw new Error('the pages do not end');
};

test('a damaged message takes nothing with it, and check names it', async () => {
  const server = await startServer({ CHAT_MESSAGE_LIMIT: '0', CHAT_SEND_BUDGET: '0' });
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const socket = await camel.enter(server, anna, { transports: ['websocket'] });
  const reader = await camel.enter(server, bert, { transports: ['websocket'] });
  const missed = [];
  reader.on('privateMessage', (message) => missed.push(message.text));
  for (let i = 1; i <= 299; i++) {
    assert.equal((await ask(socket, 'privateMessage', camel.letter(bert.name, `word ${i}`))).ok, true);
  }
  assert.equal(check(server).status, 0, check(server).stdout);

  // The reader is cut; of what it misses one message is damaged.
  await until(() => missed.includes('word 299'), 'that all was told');
  missed.length = 0;
  const cut = new Promise((done) => reader.once('disconnect', done));
  reader.io.reconnection(false);
  reader.io.engine.close();
  await cut;
  assert.equal((await ask(socket, 'privateMessage', camel.letter(bert.name, 'word 300'))).ok, true);
  const spoil = "UPDATE messages SET encoding = 1, body = x'' WHERE place & 4294967295 IN (150, 300) RETURNING place";
  assert.equal(sqlite(path.join(server.dataDir, 'chat.db'), spoil).length, 2);

  assert.equal((await ask(socket, 'privateMessage', camel.letter(bert.name, 'word 301'))).ok, true);

  const wanted = Array.from({ length: 301 }, (_, i) => `word ${i + 1}`).filter((text) => !['word 150', 'word 300'].includes(text));
  assert.deepEqual(await pages(socket, bert.name), wanted, 'beside it');
  await server.stop();
  const before = server.log.length;
  await server.launch();

  // What it had is remembered by the client: it goes on behind the damaged one.
  reader.connect();
  await until(() => missed.includes('word 301'), 'what came after the damaged one');
  assert.deepEqual([reader.recovered, missed], [true, ['word 301']]);

  const again = await camel.enter(server, anna, { transports: ['websocket'] });
  assert.deepEqual(await pages(again, bert.name), wanted, 'after a restart');
  await pages(again, bert.name);
  const said = server.log.slice(before).split('\n').filter((line) => line.includes('a damaged record is left out'));
  const records = said.map((line) => /table="(\w+)" id="(\w+)"/.exec(line).slice(1).join(' '));
  assert.equal(new Set(records).size, records.length, 'each is said once');
  assert.equal(records.filter((record) => record.startsWith('messages ')).length, 2);
  assert.ok(said.every((line) => line.includes('chat.db') && line.includes('chat-server check')), said.join('\n'));
  assert.ok(!/word \d/.test(server.log), 'no text is in the log');

  // Catching up over it, by everything since the beginning, and then live.
  const heard = [];
  const back = await camel.enter(server, bert, { transports: ['websocket'] });
  back.on('privateMessage', (message) => heard.push(message.text));
  let since = 0;
  const synced = [];
  for (;;) {
    const answer = await ask(back, 'sync', { since: String(since), limit: 50 });
    assert.equal(answer.ok, true, JSON.stringify(answer.error));
    synced.push(...answer.changes.filter((change) => change.type === 'messageSent'));
    since = answer.next;
    if (!answer.more) break;
  }
  assert.equal(synced.length, 299);
  assert.equal((await ask(again, 'privateMessage', camel.letter(bert.name, 'live'))).ok, true);
  await until(() => heard.includes('live'), 'what is live');

  const found = check(server);
  assert.equal(found.status, 1, found.stderr);
  const lines = found.stdout.trim().split('\n');
  assert.equal(lines.length, 3, found.stdout);
  assert.match(lines[0], /^damaged message [0-9a-f]{24} in .*chat\.db, table messages, row \d+: the body cannot be decoded: .*; to mend: /);
  assert.match(lines[2], /: 2 damaged, 0 left over$/);
  const objects = check(server, '--json').stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual([objects[0].state, objects[0].kind, objects[2].state, objects[2].damaged], ['damaged', 'message', 'sum', 2]);
  assert.ok(!/word \d/.test(found.stdout));

  // An image that is gone, and one that nothing names.
  const file = path.join(server.dataDir, 'chat.db');
  sqlite(file, `UPDATE messages SET image = '/media/ab${'0'.repeat(30)}.png' WHERE place = (1 << 32) + 7`);
  const folder = path.join(server.dataDir, 'media', 'cd');
  mkdirSync(folder, { recursive: true });
  const nobodys = path.join(folder, `cd${'1'.repeat(30)}.png`);
  writeFileSync(nobodys, 'image');
  assert.match(check(server).stdout, /3 damaged, 0 left over\n$/, 'a young file may be named in a moment');
  utimesSync(nobodys, 1e9, 1e9);
  const both = check(server).stdout;
  assert.match(both, /damaged message [0-9a-f]{24} in .*: its image .*ab0+\.png is missing; to mend: /);
  assert.match(both, /leftover image cd1+\.png in .*: nothing names it; .*\n.*3 damaged, 1 left over\n$/);
  await server.finish();
});

for (const when of ['before it starts', 'while it runs']) {
  test(`a page of the file that is damaged ${when} makes it not ready, and what lies elsewhere is read`, async () => {
    const server = await startServer({ CHAT_MESSAGE_LIMIT: '0', CHAT_SEND_BUDGET: '0' });
    const [anna, bert, cleo] = [
      await camel.register(server, 'anna'), await camel.register(server, 'bert'), await camel.register(server, 'cleo'),
    ];
    let socket = await camel.enter(server, anna, { transports: ['websocket'] });
    for (let i = 0; i < 40; i++) await ask(socket, 'privateMessage', camel.letter(bert.name, `${i} ${'text '.repeat(200)}`));
    for (let i = 0; i < 5; i++) await ask(socket, 'privateMessage', camel.letter(cleo.name, `fine ${i}`));
    await server.stop();

    // The page on which the conversation's first messages lie.
    const file = path.join(server.dataDir, 'chat.db');
    const [[id]] = sqlite(file, 'SELECT hex(id) FROM messages WHERE place = (1 << 32) + 1');
    const [[size]] = sqlite(file, 'PRAGMA page_size');
    sqlite(file, 'PRAGMA wal_checkpoint(TRUNCATE)');
    const bytes = readFileSync(file);
    // Its id stands in an index, too; its page in the table is the one that has all of the row.
    const row = Buffer.from(id, 'hex');
    const spoil = () => {
      const handle = openSync(file, 'r+');
      for (let at = bytes.indexOf(row); at >= 0; at = bytes.indexOf(row, at + 1)) {
        const page = Math.floor(at / size) * size;
        // A leaf of a table.
        if (bytes[page] === 0x0d) writeSync(handle, Buffer.alloc(100, 0xa5), 0, 100, page);
      }
      closeSync(handle);
    };
    if (when === 'before it starts') spoil();
    await server.launch();
    if (when === 'while it runs') spoil();
    socket = await camel.enter(server, anna, { transports: ['websocket'] });
    const broken = await ask(socket, 'getMessageHistory', { otherUser: bert.name, limit: 50 });
    assert.equal(broken.ok, false);
    const answer = await until(async () => {
      const answer = await request(server, { path: '/readyz' });
      return answer.status === 503 && answer;
    }, 'that it is not ready');
    assert.deepEqual([answer.json.part, answer.json.reason], ['store', 'it was found damaged; the log says where']);
    assert.equal((await pages(socket, cleo.name)).length, 5, 'what lies elsewhere');
    const newest = await ask(socket, 'getMessageHistory', { otherUser: bert.name, limit: 3 });
    assert.equal(newest.messages?.length, 3, JSON.stringify(newest.error));
    const found = check(server);
    assert.equal(found.status, 1, found.stderr);
    assert.match(found.stdout, /damaged database file/);
    await server.finish();
  });
}
