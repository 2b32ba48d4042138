// What a start says, and what it refuses: the real program, with wrong settings, missing disks, long starts and signals.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, test } from 'node:test';

import { startMongo } from './support/mongodb.mjs';
import { JWT_SECRET, binary, freePort } from './support/server.mjs';
import { LIMIT, until, within } from './support/wait.mjs';

const running = new Set();
const folders = [];
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
afterEach(() => {
  running.forEach((child) => child.kill('SIGKILL'));
  folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});

const newFolder = () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'chat-start-'));
  folders.push(folder);
  return folder;
};

/** Starts the program in a folder, which is also where its data are. */
async function start(folder, env = {}, args = []) {
  const port = await freePort();
  const child = spawn(binary, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, PORT: String(port), CHAT_HOST: '127.0.0.1', CHAT_DATA_DIR: folder, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.add(child);
  const server = { child, log: '', port, url: `http://127.0.0.1:${port}` };
  child.stderr.on('data', (chunk) => (server.log += chunk));
  server.ended = new Promise((resolve) =>
    child.once('close', (code, signal) => {
      running.delete(child);
      server.end = { code, signal };
      resolve(server.end);
    }),
  );
  server.listens = async () => {
    await until(() => server.end || server.log.includes('node: '), 'the end of the start');
    assert.equal(server.end, undefined, server.log);
    return server;
  };
  server.stop = async (signal = 'SIGTERM') => {
    child.kill(signal);
    return within(server.ended, LIMIT, `the end by ${signal}`);
  };
  return server;
}

/** What a start that is refused says. */
async function refused(folder, env = {}, args = []) {
  const server = await start(folder, env, args);
  const { code } = await within(server.ended, LIMIT, 'the end of a start that is refused');
  assert.equal(code, 2, server.log);
  return server.log;
}

test('a wrong setting stops the start with code 2, by its name, and a secret is not shown', async () => {
  const folder = newFolder();
  for (const [name, value, said] of [
    ['NODE_ENV', 'prod', /NODE_ENV: "prod" is not one of development, production, test \(is production meant\?\)/],
    ['CHAT_LOG', 'verbose', /CHAT_LOG: must be error, warn, info/],
    ['CHAT_TOKEN_DAYS', '0', /CHAT_TOKEN_DAYS: "0" is not a whole number from 1 to 3650: with 0 a token/],
    ['CHAT_PING_INTERVAL', '0', /CHAT_PING_INTERVAL: "0" is not a whole number from 100 to 300000: /],
    ['CHAT_THREADS', '100000', /CHAT_THREADS: "100000" is not a whole number from 1 to 256: /],
    ['PORT', 'http', /PORT: "http" is not a whole number from 0 to 65535/],
    ['CHAT_HOST', 'mongodb://ann:hush-hush@db', /CHAT_HOST: must be an address/],
    ['CHAT_BCRYPT_COST', '31', /CHAT_BCRYPT_COST: "31" is not a whole number from 4 to 16/],
    ['CHAT_PUBLIC_URL', 'chat.example.com', /CHAT_PUBLIC_URL: must be like https:/],
    ['CHAT_PASSWORD_CHECK', 'perhaps', /CHAT_PASSWORD_CHECK: "perhaps" cannot be: it must be on or off/],
    ['CHAT_LOGIN_LIMT', '3', /CHAT_LOGIN_LIMT: there is no such setting; the nearest one is CHAT_LOGIN_LIMIT\./],
    ['CHAT_STORE_FLIE', 'hush-hush', /CHAT_STORE_FLIE: there is no such setting; the nearest one is CHAT_STORE_FILE\./],
  ]) {
    const log = await refused(folder, { [name]: value });
    assert.match(log, said);
    assert.ok(!log.includes('hush-hush'), log);
  }
  writeFileSync(path.join(folder, '.env'), 'CHAT_DATADIR=/hush-hush\nVITE_CHAT_X=1\nAWS_CHAT=2\n');
  const log = await refused(folder);
  assert.match(log, /CHAT_DATADIR: there is no such setting; the nearest one is CHAT_DATA_DIR\./);
  assert.deepEqual(readdirSync(folder), ['.env'], 'nothing was made');
});

test('empty variables are none, and what an old .env holds beside is passed over', async () => {
  const folder = newFolder();
  writeFileSync(path.join(folder, '.env'), 'CHAT_THREADS=\nCHAT_MAX_CONNECTIONS=""\nNODE_ENV=\nJWT_REFRESH_SECRET=x\nMONGO_URI=\n');
  const server = await start(folder, { CHAT_SERVICE_HOST: '10.0.0.1', CHAT_PORT: 'tcp://10.0.0.1:80' });
  await server.listens();
  assert.match(server.log, /chat-server \d+\.\d+\.\d+, development/);
  assert.match(server.log, /store: SQLite in .*chat\.db, made new with layout \d+/);
  assert.match(server.log, /secret: made new, kept in .*jwt-secret/);
  assert.match(server.log, /no limit: CHAT_MESSAGE_LIMIT/);
  assert.match(server.log, /taken from \.env: .*CHAT_THREADS/);
  const secret = readFileSync(path.join(folder, 'jwt-secret'), 'utf8');
  assert.ok(!server.log.includes(secret));
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('no empty chat is served in place of a database that is missing', async () => {
  const folder = newFolder();
  assert.equal((await (await (await start(folder)).listens()).stop()).code, 0);
  for (const name of readdirSync(folder)) if (name.startsWith('chat.db')) rmSync(path.join(folder, name));
  const before = readdirSync(folder);
  const log = await refused(folder);
  assert.match(log, /CHAT_STORE: there is no database .*jwt-secret: there was one.*--new/s);
  assert.deepEqual(readdirSync(folder), before, 'nothing was made');
  const anew = await (await start(folder, {}, ['--new'])).listens();
  assert.match(anew.log, /made new with layout/);
  assert.match(anew.log, /secret: kept in /);
  await anew.stop();
  const again = await (await start(folder)).listens();
  assert.match(again.log, /as it was, with layout/);
  await again.stop();
});

test('a kept secret that is too short is refused, not replaced', async () => {
  const folder = newFolder();
  assert.equal((await (await (await start(folder)).listens()).stop()).code, 0);
  const file = path.join(folder, 'jwt-secret');
  writeFileSync(file, 'hush-hush');
  const log = await refused(folder);
  assert.match(log, /CHAT_DATA_DIR: the secret in .*jwt-secret has less than 32 characters/);
  assert.ok(!log.includes('hush-hush'));
  assert.equal(readFileSync(file, 'utf8'), 'hush-hush');
});

test('a second server on one file is told which lock is held', async () => {
  const folder = newFolder();
  const first = await (await start(folder)).listens();
  const second = await start(folder);
  const { code } = await within(second.ended, LIMIT, 'the end of the second');
  assert.equal(code, 1, 'it may work later');
  assert.match(second.log, /chat\.db is in use by another process, which holds the lock file .*chat\.db\.lock/);
  await first.stop();
});

test('while a start takes long it says so, and SIGHUP and SIGTERM are obeyed', async () => {
  // A database that takes connections and never says anything.
  const held = new Set();
  const silent = net.createServer((socket) => held.add(socket.on('error', () => {})));
  await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const uri = `mongodb://127.0.0.1:${silent.address().port}/chat?serverSelectionTimeoutMS=60000`;
  const server = await start(newFolder(), { CHAT_STORE: uri, JWT_SECRET });
  try {
    const status = (where) => fetch(server.url + where).then((answer) => answer, () => undefined);
    await until(async () => (await status('/healthz'))?.status === 200, 'an answer of /healthz');
    const ready = await status('/readyz');
    assert.equal(ready.status, 503);
    assert.equal((await ready.json()).status, 'starting');
    const polling = await status('/socket.io/?EIO=4&transport=polling');
    assert.deepEqual([polling.status, polling.headers.get('retry-after')], [503, '2']);
    server.child.kill('SIGHUP');
    await until(() => server.log.includes('SIGHUP'), 'what is said of SIGHUP');
    assert.equal((await status('/healthz')).status, 200);
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
  } finally {
    held.forEach((socket) => socket.destroy());
    silent.close();
  }
});

test('SIGHUP has the level of the log read again from .env, and never ends the server', async () => {
  const folder = newFolder();
  const dotenv = path.join(folder, '.env');
  writeFileSync(dotenv, 'CHAT_LOG=info\n');
  const server = await (await start(folder)).listens();
  const hangup = async (said) => {
    server.log = '';
    server.child.kill('SIGHUP');
    await until(() => said.test(server.log), `${said}`);
  };
  writeFileSync(dotenv, 'CHAT_LOG=debug\n');
  await hangup(/by CHAT_LOG=debug of \.env from now on/);
  for (const wrong of ['CHAT_LOG=verbose\n', 'MY NAME=x\n']) {
    writeFileSync(dotenv, wrong);
    await hangup(/nothing was changed/);
  }
  rmSync(dotenv);
  await hangup(/by CHAT_LOG=info of \.env/);
  assert.equal((await fetch(`${server.url}/readyz`)).status, 200);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });

  const flagged = await (await start(folder, {}, ['--log=info,chat_server=debug'])).listens();
  flagged.child.kill('SIGHUP');
  await until(() => flagged.log.includes('stays as it is'), 'that a flag counts');
  await flagged.stop();
});

/** A certificate that vouches for itself. */
const AUTHORITY = `-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUIeh2VhwP46v5bF+JlPTdPsYI0kQwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKcmVkaXMudGVzdDAgFw0yNjExMjgxMzA0MjZaGA8yMTI2MTEw
NDEzMDQyNlowFTETMBEGA1UEAwwKcmVkaXMudGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABDHaCItEZVm/zMxjCPvGO5+VobaBgCsIOA4N//YTFCPHEbeMk8G8
IUr5Grr6m15BvsdnXTmaiJ56L6HO8KE62CujUzBRMB0GA1UdDgQWBBRhNz9aHp7O
zjXxzHt1GOabYMl6njAfBgNVHSMEGDAWgBRhNz9aHp7OzjXxzHt1GOabYMl6njAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCICTUZeFU7A2HJ17axYIF
HH/ePZVwN/DHV4qbCq5J8J69AiB8hEvjMxBxSGlH4eZzpR6bnetToZFTDxCHgHrO
ovnztw==
-----END CERTIFICATE-----
`;

test('SIGHUP has the certificates for Redis read again, and bad ones leave the old ones in force', async () => {
  const folder = newFolder();
  const ca = path.join(folder, 'ca.pem');
  writeFileSync(ca, AUTHORITY);
  const settings = { REDIS_URL: 'rediss://127.0.0.1:1', CHAT_REDIS_CA: ca, CHAT_LOG: 'info' };
  const server = await (await start(folder, settings)).listens();
  const hangup = async (said) => {
    server.log = '';
    server.child.kill('SIGHUP');
    await until(() => said.test(server.log), `${said}`);
  };
  await hangup(/certificates for Redis were read again/);
  for (const spoil of [() => writeFileSync(ca, AUTHORITY.slice(0, 200)), () => rmSync(ca)]) {
    spoil();
    await hangup(/WARN.*certificates for Redis stay as they are.*CHAT_REDIS_CA/);
  }
  writeFileSync(ca, AUTHORITY);
  await hangup(/certificates for Redis were read again/);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  rmSync(ca);
  assert.match(await refused(folder, settings), /CHAT_REDIS_CA: the file cannot be read/);
});

test('what was moved to MongoDB is not served from the old file again', async () => {
  const mongo = await startMongo();
  try {
    const folder = newFolder();
    assert.equal((await (await (await start(folder)).listens()).stop()).code, 0);
    const unmoved = await refused(folder, { CHAT_STORE: mongo.url });
    assert.match(unmoved, /there is nothing of a chat-server.*jwt-secret.*chat-server copy.*--new/s);
    const copying = await start(folder, { CHAT_STORE: mongo.url }, ['copy']);
    assert.equal((await within(copying.ended, LIMIT, 'copying')).code, 0, copying.log);
    const moved = await (await start(folder, { CHAT_STORE: mongo.url })).listens();
    assert.match(moved.log, /store: MongoDB, as it was/);
    await moved.stop();
    const forgotten = await refused(folder);
    assert.match(forgotten, /CHAT_STORE: .*chat\.db was moved to MongoDB at \d{4}-.*remove .*chat\.db\.moved/s);
    assert.ok(existsSync(path.join(folder, 'chat.db')));
    rmSync(path.join(folder, 'chat.db.moved'));
    await (await (await start(folder)).listens()).stop();
  } finally {
    await mongo.finish();
  }
});

test('nodes that do not fit together are refused or warned of, by both names', async () => {
  const mongo = await startMongo();
  try {
    const env = (more) => ({ CHAT_STORE: mongo.url, JWT_SECRET, ...more });
    const folder = newFolder();
    const a = await (await start(folder, env({ CHAT_NODE: 'a' }))).listens();
    const twin = await refused(newFolder(), env({ CHAT_NODE: 'a' }));
    assert.match(twin, new RegExp(`CHAT_NODE: node a on .* \\(process ${a.child.pid}\\) has this name already`));
    const other = 'another-secret-0123456789abcdef0123456789abcdef';
    const stranger = await refused(newFolder(), env({ CHAT_NODE: 'b', JWT_SECRET: other }));
    assert.match(stranger, /JWT_SECRET: that of node a on .* is another one than that of node b on /);
    assert.ok(!stranger.includes(other) && !stranger.includes(JWT_SECRET));
    const changing = await (
      await start(newFolder(), env({ CHAT_NODE: 'b', JWT_SECRET: other, CHAT_OLD_JWT_SECRET: JWT_SECRET, CHAT_LOGIN_LIMIT: '9' }))
    ).listens();
    assert.match(changing.log, /WARN.*JWT_SECRET: only one of node b on .* and node a on /);
    assert.match(changing.log, /WARN.*CHAT_LOGIN_LIMIT is 9 at node b on .*, and 5 at node a on /);
    await changing.stop();
    // A node that was killed is not in its own way.
    await a.stop('SIGKILL');
    const begin = Date.now();
    const again = await (await start(folder, env({ CHAT_NODE: 'a' }))).listens();
    assert.ok(Date.now() - begin < 6_000, 'nobody waits for a process that is known to be over');
    await again.stop();
  } finally {
    await mongo.finish();
  }
});
