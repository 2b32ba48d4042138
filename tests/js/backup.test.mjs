// `chat-server backup` and `chat-server restore`: the real program, beside real servers and pages.

import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';

import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { FAMILIES, back, cut, open, sayAll, shows, some } from './support/families.mjs';
import { dataUrl, png } from './support/images.mjs';
import { startMongo } from './support/mongodb.mjs';
import { text } from './support/names.mjs';
import { startProxy } from './support/proxy.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, leaveSockets, once, until } from './support/wait.mjs';

let server;
let scratch;
beforeEach(async () => {
  server = await startServer({ JWT_SECRET: undefined });
  scratch = mkdtempSync(path.join(os.tmpdir(), 'chat-backup-'));
});
afterEach(async () => {
  closeSockets();
  await server.finish();
  rmSync(scratch, { recursive: true, force: true });
});
after(leaveSockets);

const place = (name = 'backup') => path.join(scratch, name);

/** Every file below a folder, as paths from there. */
function below(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.relative(folder, path.join(entry.parentPath ?? entry.path, entry.name)));
}

async function backup(name) {
  const said = await server.run('backup', place(name));
  assert.equal(said.code, 0, said.stderr);
  return said.stdout;
}

async function restore(...args) {
  return server.run('restore', ...args);
}

async function restored(...args) {
  const said = await restore(...args);
  assert.equal(said.code, 0, said.stderr);
  return said.stdout;
}

async function refused(args, ...patterns) {
  const said = await restore(...args);
  assert.equal(said.code, 1, said.stdout);
  for (const pattern of patterns) assert.match(said.stderr, pattern);
}

/** Stops the server, does something, and starts it; the pages wait for it. */
async function meanwhile(pages, work) {
  const dropped = pages.map((page) => once(page, 'disconnect'));
  await server.stop();
  await Promise.all(dropped);
  const result = await work();
  const connected = pages.map((page) => once(page, 'connect'));
  await server.launch();
  await Promise.all(connected);
  return result;
}

/** The same families with writers who come back after a restart. */
const WRITERS = {
  push: FAMILIES.push,
  camel: async () => {
    const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
    let annas;
    const entered = async () => (annas?.connected ? annas : (annas = await camel.enter(server, anna)));
    return {
      event: 'privateMessage',
      token: bert.token,
      say: async (words) => camel.say(await entered(), bert.name, words),
      history: async () => (await camel.history(await entered(), bert.name)).map((message) => message.text),
    };
  },
};

for (const [name, prepare] of Object.entries(WRITERS)) {
  for (const transports of [['websocket'], ['polling']]) {
    test(`${name}, ${transports}: pages that have seen what was lost begin afresh, then miss nothing`, async () => {
      const family = await prepare(server);
      const page = await open(io, server, family, { transports });
      const [kept, lost, later] = [some(4), some(9), some(20)];
      await sayAll(family, kept);
      await shows(page, kept);
      await backup();
      await sayAll(family, lost);
      await shows(page, [...kept, ...lost]);
      await meanwhile([page], async () => {
        await refused([place()], /is newer than the backup/);
        await restored(place(), '--force');
      });
      assert.equal(page.recovered, false);
      assert.deepEqual(await family.history(), kept);
      page.texts.length = 0;

      // Cut before it is told anything: it still has the position of what was lost, with its new pid.
      await meanwhile([page], async () => {});
      assert.equal(page.recovered, true, 'its new session goes on');
      await sayAll(family, later.slice(0, 5));
      await shows(page, later.slice(0, 5));
      await meanwhile([page], async () => {});
      assert.equal(page.recovered, true);
      await sayAll(family, later.slice(5));
      await shows(page, later);
      assert.deepEqual(page.texts, later, 'none of the new ones is missed, none comes twice');
    });
  }
}

for (const [name, prepare] of Object.entries(WRITERS)) {
  test(`${name}: a page that comes back when its positions have been given again loads afresh`, async () => {
    const family = await prepare(server);
    const proxy = await startProxy(server);
    const page = await open(io, proxy, family, { transports: ['websocket'] });
    const [kept, lost, unseen, later] = [some(3), some(4), some(9), some(4)];
    await sayAll(family, kept);
    await backup();
    await sayAll(family, lost);
    await shows(page, [...kept, ...lost]);
    await cut(proxy, page);
    await server.stop();
    await restored(place(), '--force');
    await server.launch();
    await sayAll(family, unseen);
    await back(proxy, page);
    assert.equal(page.recovered, false);
    assert.deepEqual(await family.history(), [...kept, ...unseen], 'what it loads has all that is new');
    page.texts.length = 0;
    await sayAll(family, later);
    await shows(page, later);
    assert.deepEqual(page.texts, later);
    closeSockets();
    await proxy.close();
  });
}

test('what was missed right after the restore is told although its position is that of something lost', async () => {
  const family = await FAMILIES.push(server);
  const proxy = await startProxy(server);
  const page = await open(io, proxy, family, { transports: ['websocket'] });
  const [kept, lost, later] = [some(2), some(3), some(2)];
  await sayAll(family, kept);
  await shows(page, kept);
  await backup();
  await sayAll(family, lost);
  await shows(page, [...kept, ...lost]);
  const { _lastOffset: offset } = page;
  await meanwhile([page], () => restored(place(), '--force'));
  assert.equal(page._lastOffset, offset, 'the client keeps it');
  page.texts.length = 0;
  // Told while the page is away: fewer than were lost.
  await cut(proxy, page);
  await sayAll(family, later);
  await back(proxy, page);
  assert.equal(page.recovered, true);
  await shows(page, later);
  assert.deepEqual(page.texts, later);
  closeSockets();
  await proxy.close();
});

test('under load: every message that was acknowledged before is in it, with its image, and none is torn', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const carl = await camel.register(server, 'carl');
  const dora = await camel.register(server, 'dora');
  const carls = await camel.enter(server, carl);
  let talking = true;
  const sent = [];
  const acknowledged = [];
  const talk = async (say) => {
    while (talking) {
      const words = text();
      sent.push(words);
      await say(words);
      acknowledged.push(words);
    }
  };
  const image = dataUrl('image/png', png);
  const all = Promise.all([
    talk((words) => anna.send(bert, { text: words, image })),
    talk((words) => bert.send(anna, { text: words, image })),
    talk((words) => camel.say(carls, dora.name, words)),
  ]);
  const counts = [];
  for (let n = 0; n < 3; n++) {
    await until(() => acknowledged.length > 20 * (n + 1), 'some messages');
    counts.push(acknowledged.length);
    await backup(`backup-${n}`);
  }
  talking = false;
  await all;
  await server.stop();
  for (let n = 2; n >= 0; n--) {
    const said = await restored(place(`backup-${n}`), '--force');
    assert.match(said, /Restored the backup of \d{4}-/);
    await server.launch();
    const messages = await anna.wholeHistory(bert);
    const doras = await camel.enter(server, carl);
    const stored = [...messages.map((message) => message.text), ...(await camel.history(doras, dora.name)).map((message) => message.text)];
    for (const words of acknowledged.slice(0, counts[n])) assert.ok(stored.includes(words), 'it was acknowledged before the backup');
    for (const words of stored) assert.ok(sent.includes(words));
    for (const message of messages) {
      const picture = await fetch(new URL(message.image, server.url));
      assert.equal(picture.status, 200, message.image);
      assert.deepEqual(Buffer.from(await picture.arrayBuffer()).subarray(0, 4), png.subarray(0, 4));
    }
    closeSockets();
    await server.stop();
  }
  await server.launch();
});

test('tokens, passwords and the secret are those of the backup, and modes are private', async () => {
  const anna = await push.signup(server, 'anna');
  const said = await backup();
  assert.match(said, /^Saved the log up to position \d+ and 0 images: /);
  assert.deepEqual(below(place()).sort(), ['chat.db', 'jwt-secret', 'manifest.json', 'manifest.sha256']);
  assert.equal(statSync(place()).mode & 0o777, 0o700);
  for (const file of below(place())) assert.equal(statSync(path.join(place(), file)).mode & 0o777, 0o600, file);
  const manifest = JSON.parse(readFileSync(path.join(place(), 'manifest.json'), 'utf8'));
  assert.deepEqual([manifest.store, manifest.files.length, typeof manifest.database.position], ['sqlite', 2, 'number']);
  await server.stop();
  // Onto an empty machine.
  for (const entry of readdirSync(server.dataDir)) rmSync(path.join(server.dataDir, entry), { recursive: true });
  assert.match(await restored(place()), /There was nothing before/);
  assert.equal(statSync(path.join(server.dataDir, 'chat.db')).mode & 0o777, 0o600);
  await server.launch();
  assert.equal((await anna.get('/auth/check')).status, 200);
  assert.equal((await anna.login()).status, 200);
});

test('any flipped byte is refused by the name of its file, and nothing is touched', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  await anna.send(bert, { text: text(), image: dataUrl('image/png', png) });
  await backup();
  await server.stop();
  const before = below(server.dataDir).sort();
  for (const file of below(place())) {
    const whole = readFileSync(path.join(place(), file));
    const flipped = Buffer.from(whole);
    flipped[flipped.length >> 1] ^= 1;
    writeFileSync(path.join(place(), file), flipped);
    await refused([place(), '--force'], /damaged/, new RegExp(file === 'manifest.sha256' ? 'manifest' : file.replaceAll('.', '\\.')));
    rmSync(path.join(place(), file));
    await refused([place(), '--force'], /not (a )?whole/);
    writeFileSync(path.join(place(), file), whole);
  }
  assert.deepEqual(below(server.dataDir).sort(), before);
  await restored(place());
  await server.launch();
  assert.equal((await anna.history(bert)).length, 1);
});

test('not while a server runs, not over what is newer, and not from what is no backup', async () => {
  const family = await FAMILIES.push(server);
  await sayAll(family, some(2));
  await backup();
  await refused([place(), '--force'], /in use by another process, .*: stop the server first/);
  await server.stop();
  // The same again is no loss, as often as one likes.
  await restored(place());
  await restored(place());
  await server.launch();
  await sayAll(family, some(1));
  await server.stop();
  await refused([place()], /is newer than the backup: its log goes up to position 3/, /--force/);
  await refused([scratch], /is no backup/);
  await restored(place(), '--force');
  // An account is no change of the log, and as much of a loss.
  await server.launch();
  const zoe = await push.signup(server, 'zoe');
  await server.stop();
  await refused([place()], /is newer than the backup/);
  await refused([place('none')], /is no backup/);
  await server.launch();
  assert.equal((await family.history()).length, 2);
  assert.equal((await zoe.login()).status, 200, 'nothing was touched');
});

test('what was there is kept aside, and what does not belong is not taken for part of the backup', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  await anna.send(bert, { text: text(), image: dataUrl('image/png', png) });
  await backup();
  await anna.send(bert, { text: text(), image: dataUrl('image/png', png) });
  await server.stop();
  const stale = Buffer.alloc(8_192, 0x37);
  writeFileSync(path.join(server.dataDir, 'chat.db-wal'), stale);
  writeFileSync(path.join(server.dataDir, 'chat.db-shm'), stale);
  writeFileSync(path.join(server.dataDir, 'chat.db.reserve'), stale);
  const said = await restored(place(), '--force');
  assert.match(said, /Among it are 1 images/);
  for (const name of ['chat.db-wal', 'chat.db-shm', 'chat.db.reserve', 'chat.db.restoring', 'chat.db.restore-unfinished']) {
    assert.ok(!existsSync(path.join(server.dataDir, name)), name);
  }
  const asides = readdirSync(server.dataDir).filter((name) => name.includes('.before-restore-'));
  assert.ok(asides.some((name) => /^chat\.db\.before-restore-\d{8}T\d+Z$/.test(name)), asides.join());
  const media = asides.find((name) => name.startsWith('media.before-restore-'));
  assert.equal(below(path.join(server.dataDir, media)).filter((file) => file.endsWith('.png')).length, 2);
  assert.equal(below(path.join(server.dataDir, 'media')).filter((file) => file.endsWith('.png')).length, 1);
  await server.launch();
  assert.equal((await anna.history(bert)).length, 1);
});

test('a restore that was broken off is not opened, and is finished by running it again', async () => {
  const family = await FAMILIES.push(server);
  await sayAll(family, some(2));
  await backup();
  await server.stop();
  writeFileSync(path.join(server.dataDir, 'chat.db.restore-unfinished'), '');
  rmSync(path.join(server.dataDir, 'chat.db'));
  await assert.rejects(server.launch(), /was being restored from a backup/);
  await restored(place());
  await server.launch();
  assert.equal((await family.history()).length, 2);
});

test('a backup is whole or not there, and only in a new or empty folder', async () => {
  mkdirSync(place('empty'));
  await backup('empty');
  const again = await server.run('backup', place('empty'));
  assert.deepEqual([again.code, /is not empty/.test(again.stderr)], [1, true], again.stderr);
  const inside = await server.run('backup', path.join(server.dataDir, 'media', 'backup'));
  assert.deepEqual([inside.code, /is among the images/.test(inside.stderr)], [1, true], inside.stderr);
  await server.stop();
  // Without a database there is nothing to save, and nothing is left behind.
  for (const entry of readdirSync(server.dataDir)) rmSync(path.join(server.dataDir, entry), { recursive: true });
  const nothing = await server.run('backup', place());
  assert.deepEqual([nothing.code, /there is no file/.test(nothing.stderr)], [1, true], nothing.stderr);
  assert.deepEqual(readdirSync(scratch), ['empty']);
  await server.launch();
});

test('a copy of chat.db alone has everything once nothing was written for a second, and is known to be older when put back', async () => {
  const family = await FAMILIES.push(server);
  const proxy = await startProxy(server);
  const page = await open(io, proxy, family, { transports: ['websocket'] });
  const [kept, lost, unseen, later] = [some(3), some(4), some(9), some(6)];
  await sayAll(family, kept);
  const database = path.join(server.dataDir, 'chat.db');
  await until(() => statSync(`${database}-wal`).size === 0, 'the empty log file');
  copyFileSync(database, place('chat.db'));
  await sayAll(family, lost);
  await shows(page, [...kept, ...lost]);
  await cut(proxy, page);
  await server.stop();
  // By hand, with nothing but cp.
  copyFileSync(place('chat.db'), database);
  await server.launch();
  // The positions that the page was told are given again while it is away.
  await sayAll(family, unseen);
  await back(proxy, page);
  assert.equal(page.recovered, false);
  assert.deepEqual(await family.history(), [...kept, ...unseen]);
  page.texts.length = 0;
  await sayAll(family, later);
  await shows(page, later);
  assert.deepEqual(page.texts, later);
  closeSockets();
  await proxy.close();
});

test('a folder that was put back as a whole is made known by restore --by-hand', async () => {
  const family = await FAMILIES.push(server);
  const page = await open(io, server, family, { transports: ['websocket'] });
  await sayAll(family, some(2));
  await refused(['--by-hand'], /in use by another process/);
  await meanwhile([page], () => restored('--by-hand'));
  assert.equal(page.recovered, false);
});

test('a backup that is put back where a database was moved away is served', async () => {
  const family = await FAMILIES.push(server);
  const kept = some(2);
  await sayAll(family, kept);
  await backup();
  await server.stop();
  const mark = path.join(server.dataDir, 'chat.db.moved');
  writeFileSync(mark, 'moved to MongoDB at 2026-11-28T00:00:00.000Z\n');
  const refusedToServe = await server.run();
  assert.equal(refusedToServe.code, 2, 'as it is, it is not served');
  const said = await restored(place());
  assert.match(said, /moved to MongoDB at 2026-11-28T00:00:00\.000Z.*written there since is not in/);
  assert.ok(!existsSync(mark));
  const aside = below(server.dataDir).filter((file) => /^chat\.db\.before-restore-\w+\.moved$/.test(file));
  assert.equal(aside.length, 1, 'what was put aside is still known to have been moved');
  await server.launch();
  assert.deepEqual(await family.history(), kept);

  // By hand, it is the operator who has put the file there.
  await server.stop();
  writeFileSync(mark, 'moved to MongoDB at 2026-11-28T00:00:00.000Z\n');
  assert.match(await restored('--by-hand'), /moved to MongoDB at/);
  assert.ok(!existsSync(mark));
  await server.launch();
  assert.deepEqual(await family.history(), kept);
});

test('sync: positions from before a restore are a reset, those from after it are followed', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const sync = async (since) => {
    const answer = await camel.get(server, `/api/sync${since === undefined ? '' : `?since=${since}`}`, anna.token);
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
  };
  for (let n = 0; n < 3; n++) await bert.send(anna, text());
  await backup();
  for (let n = 0; n < 3; n++) await bert.send(anna, text());
  const { next: seen } = await sync('0');
  assert.equal(seen, '6', 'plain numbers in the first epoch');
  await server.stop();
  await restored(place(), '--force');
  await server.launch();
  for (const since of [seen, '2', '0']) assert.deepEqual([(await sync(since)).reset, (await sync(since)).changes], [true, []], since);
  const { next, reset } = await sync();
  assert.match(next, /^[0-9a-f]{8}-3$/);
  assert.equal(reset, true);
  const late = await bert.send(anna, text());
  const answer = await sync(next);
  assert.deepEqual([answer.reset, answer.changes.map((change) => change.message.messageId)], [false, [late._id]]);
  assert.deepEqual([answer.next, answer.changes[0].position], [next.replace(/3$/, '4'), next.replace(/3$/, '4')]);
  // Once more: another epoch.
  await server.stop();
  await restored(place(), '--force');
  await server.launch();
  assert.equal((await sync(answer.next)).reset, true);
  assert.equal((await sync(next)).reset, true);
});

test('with MongoDB the rest is saved, it is said what else to use, and pages begin afresh after it was put back', async () => {
  await server.finish();
  const mongo = await startMongo();
  try {
    server = await startServer({ JWT_SECRET: undefined, CHAT_STORE: mongo.url });
    const family = await FAMILIES.push(server);
    const anna = await push.signup(server, 'anna');
    assert.equal((await anna.put('/auth/update-profile', { profilePic: dataUrl('image/png', png) })).status, 200);
    const page = await open(io, server, family, { transports: ['websocket'] });
    const [kept, later] = [some(2), some(3)];
    await sayAll(family, kept);
    await shows(page, kept);
    const said = await backup();
    assert.match(said, /NOT in it are accounts and messages: .*`mongodump --oplog`/);
    assert.deepEqual(below(place()).filter((file) => !file.startsWith('media')).sort(), ['jwt-secret', 'manifest.json', 'manifest.sha256']);
    assert.equal(below(place()).filter((file) => file.endsWith('.png')).length, 1);
    await meanwhile([page], async () => {
      rmSync(path.join(server.dataDir, 'media'), { recursive: true });
      rmSync(path.join(server.dataDir, 'jwt-secret'));
      await restored(place());
    });
    assert.equal(page.recovered, false);
    page.texts.length = 0;
    await sayAll(family, later);
    await shows(page, later);
    assert.deepEqual(page.texts, later);
    const { profilePic } = (await anna.get('/auth/check')).data;
    assert.equal((await fetch(new URL(profilePic, server.url))).status, 200);
    closeSockets();
    await server.stop();
    await restored('--by-hand');
    await server.launch();
  } finally {
    await server.finish().finally(() => mongo.finish());
    server = await startServer({ JWT_SECRET: undefined });
  }
});
