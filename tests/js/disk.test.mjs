// A disk that is full, and one that has room again: nothing that was acknowledged is lost, the server says what is wrong, once,
// starts again on the full disk, and goes on by itself when there is room.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { startServer } from './support/server.mjs';
import { ask, closeSockets, until } from './support/wait.mjs';

const MIB = 1024 * 1024;

let disk;
let refusal;
before(() => {
  disk = mkdtempSync(path.join(os.tmpdir(), 'chat-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m,mode=700', 'tmpfs', disk], { stdio: 'pipe' });
  } catch (error) {
    refusal = `a disk of 64 MB cannot be mounted here: ${error.stderr}`;
  }
});
after(() => {
  closeSockets();
  if (!refusal) execFileSync('umount', ['-l', disk]);
  rmSync(disk, { recursive: true, force: true });
});

const free = () => {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
};
const readiness = (server) => request(server, { path: '/readyz' });

test('a full disk is said, once, and over when there is room', async (t) => {
  if (refusal) return t.skip(refusal);
  const env = { CHAT_DATA_DIR: disk, CHAT_MESSAGE_LIMIT: '0', CHAT_SEND_BUDGET: '0' };
  const server = await startServer(env);
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  let socket = await camel.enter(server, anna, { transports: ['websocket'] });

  // Texts that cannot be compressed. What the log file takes beside them is bounded.
  const texts = [];
  const say = async () => {
    const text = randomBytes(24_000).toString('base64');
    const ack = await ask(socket, 'privateMessage', camel.letter(bert.name, text));
    if (ack.ok) texts.push(text);
    return ack;
  };
  for (let i = 0; i < 100; i++) assert.equal((await say()).ok, true);
  assert.ok(free() > 64 * MIB - 8 * 3 * MIB - 4 * MIB, `3 MB of texts have left ${free()} bytes of 64 MiB`);
  await until(() => statSync(path.join(disk, 'chat.db-wal')).size === 0, 'the log file being emptied');

  const filler = path.join(disk, 'filler');
  writeFileSync(filler, Buffer.alloc(free() - 6 * MIB));
  let refused;
  for (let i = 0; i < 4_000 && !refused; i++) {
    const ack = await say();
    if (!ack.ok) refused = ack;
  }
  assert.equal(refused?.error.code, 'unavailable', JSON.stringify(refused?.error));
  for (let i = 0; i < 20; i++) await say();
  // Some of these may have found room, when others were put in order meanwhile.
  await until(async () => (await say()).ok === false && (await readiness(server)).status === 503, 'that it is not ready');
  const answer = await readiness(server);
  assert.deepEqual([answer.json.part, answer.json.reason], ['store', 'it cannot be written: the disk is full']);
  assert.equal((await request(server, { path: '/healthz' })).status, 200);
  const lines = server.log.split('\n').filter((line) => line.includes('is away'));
  assert.equal(lines.length, 1, lines.join('\n'));
  const list = await camel.history(socket, bert.name);
  assert.ok(list.length > 0, 'what is there can be read');

  // It starts again on the full disk.
  socket.disconnect();
  await server.stop();
  await server.launch([200, 503]);
  rmSync(filler);
  await until(async () => (await readiness(server)).status === 200, 'that it is ready again');
  socket = await camel.enter(server, anna, { transports: ['websocket'] });
  assert.equal((await say()).ok, true);

  const found = [];
  let before;
  for (;;) {
    const page = await ask(socket, 'getMessageHistory', { otherUser: bert.name, limit: 50, before });
    assert.equal(page.ok, true, JSON.stringify(page.error));
    found.unshift(...page.messages.map((message) => message.text));
    if (!page.hasMore) break;
    before = page.nextBefore;
  }
  const known = new Set(found);
  assert.deepEqual(texts.filter((text) => !known.has(text)).length, 0, 'what was acknowledged is there');
  assert.equal(known.size, found.length, 'and once');
  await server.finish();
});

test('it goes on by itself on the same disk, without a restart', async (t) => {
  if (refusal) return t.skip(refusal);
  const folder = path.join(disk, 'second');
  const server = await startServer({ CHAT_DATA_DIR: folder, CHAT_MESSAGE_LIMIT: '0', CHAT_SEND_BUDGET: '0' });
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const socket = await camel.enter(server, anna, { transports: ['websocket'] });
  const filler = path.join(disk, 'filler');
  writeFileSync(filler, Buffer.alloc(free() - 2 * MIB));
  const say = () => ask(socket, 'privateMessage', camel.letter(bert.name, randomBytes(24_000).toString('base64')));
  await until(async () => !(await say()).ok && (await readiness(server)).status === 503, 'a full disk');
  rmSync(filler);
  await until(() => server.log.includes('it is back'), 'that it is noticed');
  assert.equal((await say()).ok, true);
  assert.equal((await readiness(server)).status, 200);
  assert.equal(server.log.split('\n').filter((line) => line.includes('it is back')).length, 1);
  await server.finish();
});
