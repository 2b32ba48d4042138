// The `camel` dialect over REST: accounts, tokens, the user list, and CORS. Its events: camel-events.test.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { enter, get, post, register } from './support/camel.mjs';
import { expired, signed, tampered, unsigned, withOtherSecret } from './support/forge.mjs';
import { request } from './support/http.mjs';
import { password, unique } from './support/names.mjs';
import { secret, startServer } from './support/server.mjs';
import { closeSockets, until } from './support/wait.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(async () => {
  closeSockets();
  await server?.finish();
});

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** An error body: JSON with a `message` the page can show. */
function assertMessage(answer, status, message) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(typeof answer.json?.message, 'string', answer.text);
  assert.ok(answer.json.message);
  if (message) assert.equal(answer.json.message, message);
}

// ---- REST ------------------------------------------------------------------------------------------------

test('register answers 200 with token and user name', async () => {
  const username = unique('anna');
  const answer = await post(server, '/api/register', { username, password: password() });
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.deepEqual(Object.keys(answer.json).sort(), ['token', 'username']);
  assert.equal(answer.json.username, username);
  assert.equal(secret(answer.json.token).split('.').length, 3);
});

test('register trims the user name', async () => {
  const username = unique('trim');
  const answer = await post(server, '/api/register', { username: `  ${username} `, password: password() });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.username, username);
});

test('register refuses a name that is taken, whatever its case', async () => {
  const { name } = await register(server, 'taken');
  for (const username of [name, name.toUpperCase(), ` ${name} `]) {
    const answer = await post(server, '/api/register', { username, password: password() });
    assertMessage(answer, 400, 'Username already exists');
  }
});

test('two sign-ups with one name at the same time: one wins', async () => {
  const username = unique('race');
  const attempts = Array.from({ length: 8 }, () => post(server, '/api/register', { username, password: password() }));
  const statuses = (await Promise.all(attempts)).map((answer) => answer.status).sort();
  assert.deepEqual(statuses, [200, 400, 400, 400, 400, 400, 400, 400]);
});

test('register refuses what is too short, too long or of the wrong type, with a message', async () => {
  const good = { username: unique('fine'), password: password() };
  const bad = {
    'short name': { ...good, username: 'ab' },
    'name of spaces': { ...good, username: '      ' },
    'short password': { ...good, password: 'five5' },
    'long name': { ...good, username: 'n'.repeat(65) },
    'control character': { ...good, username: 'new\nline' },
    'NUL': { ...good, username: 'nul\u0000nul' },
    'no name': { password: good.password },
    'no password': { username: good.username },
    'name null': { ...good, username: null },
    'name number': { ...good, username: 123456 },
    'name object': { ...good, username: { $gt: '' } },
    'password object': { ...good, password: { $gt: '' } },
    'password array': { ...good, password: ['secret1'] },
    'array': [],
    'null': 'null',
    'empty body': undefined,
    'text': '"hello"',
    'not JSON': '{"username":',
    'deep': `{"username":${'['.repeat(10_000)}${']'.repeat(10_000)}}`,
  };
  for (const [what, body] of Object.entries(bad)) {
    const answer = await post(server, '/api/register', body, { 'content-type': 'application/json' });
    assertMessage(answer, 400);
    assert.equal(answer.json.token, undefined, what);
  }
  assert.equal((await post(server, '/api/register', good)).status, 200, 'none of them took the name');
});

test('login answers 200 with token and user name', async () => {
  const { name, password: pass } = await register(server, 'login');
  const answer = await post(server, '/api/login', { username: name, password: pass });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(Object.keys(answer.json).sort(), ['token', 'username']);
  assert.equal(answer.json.username, name);
  const check = await get(server, '/api/validate-token', secret(answer.json.token));
  assert.deepEqual([check.status, check.json], [200, { valid: true }]);
});

test('login names its two errors', async () => {
  const { name } = await register(server, 'login');
  assertMessage(await post(server, '/api/login', { username: unique('nobody'), password: password() }), 400, 'User not found');
  assertMessage(await post(server, '/api/login', { username: name, password: password() }), 400, 'Invalid credentials');
});

test('login refuses bodies of the wrong kind', async () => {
  const { name, password: pass } = await register(server, 'login');
  const bad = [
    {},
    [],
    'null',
    '{',
    undefined,
    { username: name },
    { password: pass },
    { username: { $gt: '' }, password: { $gt: '' } },
    { username: name, password: { $gt: '' } },
    { username: name, password: 12345678 },
    { username: [name], password: [pass] },
    { username: name, password: 'x'.repeat(1_000_000) },
    { username: 'x'.repeat(1_000_000), password: pass },
  ];
  for (const body of bad) {
    assertMessage(await post(server, '/api/login', body, { 'content-type': 'application/json' }), 400);
  }
});

test('validate-token gives its four answers', async () => {
  const user = await register(server, 'valid');
  const ask = async (token) => {
    const { status, json } = await get(server, '/api/validate-token', token);
    return [status, json];
  };
  assert.deepEqual(await ask(user.token), [200, { valid: true }]);
  assert.deepEqual(await ask(undefined), [401, { valid: false, message: 'No token provided' }]);
  const invalid = [403, { valid: false, message: 'Invalid or expired token' }];
  assert.deepEqual(await ask('nonsense'), invalid);
  assert.deepEqual(await ask(expired({ username: user.name })), invalid);
  assert.deepEqual(await ask(withOtherSecret({ username: user.name })), invalid);
  assert.deepEqual(await ask(unsigned({ username: user.name })), invalid);
  assert.deepEqual(await ask(tampered(user.token, { username: 'somebody' })), invalid);
  assert.deepEqual(await ask(signed({ username: unique('ghost') })), [401, { valid: false, message: 'User not found' }]);
  assert.deepEqual(await ask(signed({ username: user.name })), [200, { valid: true }], 'as the old backend signs: no exp');
});

test('the user list is a bare array of the others, without secrets', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const answer = await get(server, '/api/users', anna.token);
  assert.equal(answer.status, 200);
  assert.ok(Array.isArray(answer.json));
  assert.ok(!answer.json.some((user) => user.username === anna.name), 'oneself is left out');
  const found = answer.json.find((user) => user.username === bert.name);
  assert.match(found._id, /^[0-9a-f]{24}$/);
  assert.equal(found.online, false);
  assert.ok(found.lastSeen === null || ISO.test(found.lastSeen), `lastSeen: ${found.lastSeen}`);
  for (const user of answer.json) {
    assert.ok('lastSeen' in user && typeof user.online === 'boolean' && typeof user.username === 'string');
    for (const field of ['password', 'passwordHash', 'hash', 'token']) assert.ok(!(field in user), field);
  }
});

test('the user list needs a good token', async () => {
  const { name } = await register(server, 'list');
  assertMessage(await get(server, '/api/users'), 401);
  assertMessage(await get(server, '/api/users', 'nonsense'), 403);
  assertMessage(await get(server, '/api/users', expired({ username: name })), 403);
  assertMessage(await get(server, '/api/users', signed({ username: unique('ghost') })), 401);
});

test('the user list tells who is online, and when somebody was last seen', async () => {
  const [anna, bert] = [await register(server, 'anna'), await register(server, 'bert')];
  const seen = async () => (await get(server, '/api/users', anna.token)).json.find((user) => user.username === bert.name);
  const started = new Date().toISOString();
  const socket = await enter(server, bert);
  await until(async () => (await seen()).online, 'online after connecting');
  socket.disconnect();
  await until(async () => !(await seen()).online, 'offline after disconnecting');
  const { lastSeen } = await seen();
  assert.match(lastSeen, ISO);
  assert.ok(lastSeen >= started, `${lastSeen} >= ${started}`);
});

test('a page from another origin may read every answer, errors too', async () => {
  const origin = 'http://localhost:3000';
  const preflight = await request(server, {
    method: 'OPTIONS',
    path: '/api/users',
    headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' },
  });
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers['access-control-allow-headers'], /authorization/i);
  const plain = await request(server, { path: '/api/users', headers: { origin } });
  assert.equal(plain.status, 401);
  const polling = await request(server, { path: '/socket.io/?EIO=4&transport=polling', headers: { origin } });
  assert.equal(polling.status, 200);
  for (const answer of [preflight, plain, polling]) {
    assert.equal(answer.headers['access-control-allow-origin'], origin);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
  }
});
