// `.env` files are read as Node's dotenv reads them: compared with dotenv itself over files that chance writes, and with a
// server that is started with one. The seed is printed when something differs; DOTENV_SEED repeats it.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import dotenv from 'dotenv';
import jwt from 'jsonwebtoken';

import * as camel from './support/camel.mjs';
import { unique } from './support/names.mjs';
import { random } from './support/random.mjs';
import { binary, secret, startServer } from './support/server.mjs';

const folder = mkdtempSync(path.join(os.tmpdir(), 'chat-dotenv-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Prints what the server's parser reads; see chat-server/examples/dotenv.rs. */
const printer = path.join(path.dirname(binary), 'examples/dotenv');

function readByServer(files) {
  assert.ok(existsSync(printer), `there is no ${printer}: run "cargo build -p chat-server --example dotenv"`);
  const names = files.map((content, nth) => {
    const name = path.join(folder, `${nth}.env`);
    writeFileSync(name, content);
    return name;
  });
  return JSON.parse(execFileSync(printer, names, { encoding: 'utf8', maxBuffer: 1 << 28 }));
}

const readByNode = (content) => ({ ...dotenv.parse(Buffer.from(content)) });

const KEYS = ['A', 'B', 'PORT', 'JWT_SECRET', 'a.b', 'a-b', '9', '_', 'export', 'exportA', '__proto__', 'constructor', 'Ä', 'A B', ''];
const SEPARATORS = ['=', ' = ', '=  ', ': ', ':', ' : ', ':\t', '\n=', ':\n', '\t=\t', '', ' ', '\u00a0=\u3000', '=\ufeff', '\u0085='];
const ENDS = ['\n', '\n', '\r\n', '\r', '\n\n', ' \n', '\u2028', '\u2029', '\f', '\v\n', ''];
const BEGINS = ['', '', '', ' ', '\t', 'export ', 'export\t', ' export  ', 'export', 'export\n', '# ', '#', '// ', '\ufeff'];
const PARTS = ["'", '"', '`', "\\'", '\\"', '\\`', '\\\\', '\\n', '\\r', '\\t', '#', ' #', '# ', '$A', '${B}', '\\$', '=', ':', ' ', '\t',
  'Chat App', 'hush', 'mongodb://u:p%40@h/db?a=b&c=d', '\n', '\r\n', '\u2028', '\u00a0', '\u0085', '\ufeff', 'é', '😀', '{"a": "b"}', '0', '-----BEGIN KEY-----'];

/** Files of lines that look like assignments, and files of anything. */
function writer(seed) {
  const chance = random(seed);
  const below = (n) => Math.floor(chance() * n);
  const one = (of) => of[below(of.length)];
  const several = (of, most) => Array.from({ length: below(most + 1) }, () => one(of)).join('');
  const quoted = () => {
    const quote = one(["'", '"', '`']);
    return `${one(['', '', ' ', '\n'])}${quote}${several(PARTS, 5)}${quote}${one(['', '', ' ', ' # c', 'x', "'"])}`;
  };
  const value = () => (chance() < 0.5 ? quoted() : several(PARTS, 4));
  const line = () => `${one(BEGINS)}${one(KEYS)}${one(SEPARATORS)}${value()}${one(ENDS)}`;
  const anything = [...PARTS, ...KEYS, ...SEPARATORS, ...ENDS, ...BEGINS];
  return () => (chance() < 0.7 ? Array.from({ length: 1 + below(8) }, line).join('') : several(anything, 24));
}

test('600 files are read as dotenv reads them', () => {
  const seed = Number(process.env.DOTENV_SEED ?? Math.floor(Math.random() * 2 ** 32));
  const write = writer(seed);
  const files = Array.from({ length: 600 }, write);
  const ours = readByServer(files);
  let found = 0;
  files.forEach((content, nth) => {
    const theirs = readByNode(content);
    found += Object.keys(theirs).length;
    assert.deepEqual(ours[nth].values, theirs, `DOTENV_SEED=${seed}, file ${nth}: ${JSON.stringify(content)}`);
  });
  assert.ok(found > 300, `only ${found} assignments were compared`);
});

test('files that people have written are read as dotenv reads them', () => {
  const files = [
    'PORT=5001\nMONGO_URI=mongodb+srv://u:p@c.mongodb.net/chat?retryWrites=true&w=majority\nEMAIL_FROM_NAME=Chat App\nNODE_ENV=development\n',
    '\ufeffA="1"\r\nB=\'2\'\r\n\r\n# C=3\r\nD=`4`\r\n',
    'KEY="-----BEGIN PRIVATE KEY-----\nabc+/==\n-----END PRIVATE KEY-----\n"\nNEXT=1\n',
    'KEY="-----BEGIN PRIVATE KEY-----\\nabc\\n-----END PRIVATE KEY-----\\n"\n',
    'A=pa$$word$1\nB=${A}\nC="${A}"\nD=\\$A\nE=a\\\\b\n',
    'A=1\nA=2\nA=\n',
    'A=it\'s # fine\nB="it\'s" # fine\nC=\'say "hi"\'\n',
    'A=b#c\nB="b#c"\nC=b #c\nD=#c\n',
    'A = 1\nB= 2 \n  C=3\nexport D=4\nE: 5\n',
  ];
  readByServer(files).forEach(({ values, brokenLine }, nth) => {
    assert.deepEqual(values, readByNode(files[nth]), files[nth]);
    assert.equal(brokenLine, null, files[nth]);
  });
});

/** Starts the program in a folder with this `.env`, expecting that it ends by itself. */
function startIn(name, content) {
  const cwd = path.join(folder, name);
  spawnSync('mkdir', ['-p', cwd]);
  if (content !== undefined) writeFileSync(path.join(cwd, '.env'), content);
  const ended = spawnSync(binary, [], { cwd, env: { PATH: process.env.PATH }, encoding: 'utf8', timeout: 30_000 });
  return { ...ended, cwd };
}

test('a server takes what the old backend took, also behind a value with a space', async () => {
  const JWT_SECRET = secret("old $ecret'with\"all#kinds-of-signs-in-it");
  const write = (server) =>
    writeFileSync(
      path.join(server.dataDir, '.env'),
      `\ufeffEMAIL_FROM_NAME=Chat App\r\nCHAT_LOG = info # all of it\r\nexport JWT_SECRET=\`${JWT_SECRET}\`\r\nPORT=1\r\nJWT_REFRESH_SECRET=hush-refresh\r\n`,
    );
  const server = await startServer({ JWT_SECRET: undefined, CHAT_LOG: undefined });
  try {
    await server.stop();
    write(server);
    await server.launch();
    const anna = await camel.register(server, 'anna');
    assert.equal(jwt.verify(anna.token, JWT_SECRET).username, anna.name, 'it signs with the secret of the file');
    assert.match(server.log, /taken from \.env: CHAT_LOG, EMAIL_FROM_NAME, JWT_SECRET; 1 others/);
    assert.match(server.log, /environment says otherwise: PORT/);
    assert.ok(!server.log.includes('hush-refresh') && !server.log.includes('Chat App'));
    const old = jwt.sign({ username: unique('nobody') }, JWT_SECRET);
    assert.equal((await camel.get(server, '/api/users', old)).status, 401, 'nobody of that name');
  } finally {
    await server.finish();
  }
});

test('what cannot be read stops the start and is named by its line, never shown', () => {
  const hush = 'JWT_SECRET=hush-hush-hush\n';
  for (const [name, content, told] of [
    ['word', `${hush}EMAIL FROM=hush\n`, 'line 2 is no assignment'],
    ['crlf', `${hush}\r\n\r\nMONGO_URI mongodb://hush\r\n`, 'line 4 is no assignment'],
    ['pem', `${hush}KEY=-----BEGIN KEY-----\nhush\n-----END KEY-----\n`, 'line 4 is no assignment'],
    ['latin1', Buffer.from(`${hush}A=h\xfcsh`, 'latin1'), 'line 2 is not UTF-8 text'],
    ['utf16', Buffer.from(`\ufeff${hush}`, 'utf16le'), 'line 1 is not UTF-8 text'],
    ['zero', `${hush}A=h\0ush`, 'line 2 holds a zero byte'],
  ]) {
    const ended = startIn(name, content);
    assert.equal(ended.status, 2, `${name}: ${ended.stderr}`);
    assert.ok(ended.stderr.startsWith(`chat-server: the file .env: ${told}`), ended.stderr);
    assert.ok(!/hush/.test(ended.stderr + ended.stdout), ended.stderr);
    assert.ok(!existsSync(path.join(ended.cwd, 'data')), 'nothing was made');
  }
  spawnSync('mkdir', ['-p', path.join(folder, 'folder/.env')]);
  assert.match(startIn('folder').stderr, /^chat-server: the file \.env: it cannot be read: /);
});
