// Logging in and signing up among people who mean no good: nobody is kept waiting by somebody else's log-ins, what happened
// is in the security log, and nothing in it is anybody's name, address or password.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { password, unique } from './support/names.mjs';
import { Browser, signup } from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, until } from './support/wait.mjs';

let server;
afterEach(async () => {
  closeSockets();
  await server?.finish();
});
after(closeSockets);

const logIn = (name, pass, from) =>
  camel.post(server, '/api/login', { username: name, password: pass }, from && { 'x-forwarded-for': from });

test('48 log-ins in flight from one address keep nobody else waiting', async () => {
  // Dear enough that the queue is never empty, whatever the machine.
  server = await startServer({ CHAT_TRUST_PROXY: '1', CHAT_BCRYPT_COST: '10', CHAT_LOGIN_ADDRESS_LIMIT: '0' });
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  let [done, ends] = [0, false];
  const greedy = Array.from({ length: 48 }, async () => {
    while (!ends) {
      assert.equal((await logIn(anna.name, anna.password, '203.0.113.7')).status, 200);
      done++;
    }
  });
  await until(() => new Promise((resolve) => setImmediate(() => resolve(done > 3))), 'the queue to fill');
  for (let i = 0; i < 3; i++) {
    const before = done;
    assert.equal((await logIn(bert.name, bert.password, '198.51.100.9')).status, 200);
    // In turns: one that is under way on every core, and those that ended while this answer travelled.
    assert.ok(done - before <= 24, `${done - before} log-ins of the other address came first`);
  }
  ends = true;
  await Promise.all(greedy);
});

test('more log-ins at once than may wait are told to come back, and it is nobody\'s failure', async () => {
  server = await startServer({ CHAT_BCRYPT_COST: '8', CHAT_LOGIN_LIMIT: '5' });
  const anna = await camel.register(server, 'anna');
  const answers = await Promise.all(Array.from({ length: 400 }, () => logIn(anna.name, anna.password)));
  const [good, busy] = [200, 429].map((status) => answers.filter((answer) => answer.status === status));
  assert.equal(good.length + busy.length, 400);
  assert.ok(good.length >= 300 && busy.length > 0, `${good.length} were let in, ${busy.length} were not`);
  for (const answer of busy) {
    assert.equal(answer.json.message, 'Too many log-ins at once. Please try again later.');
    assert.ok(Number(answer.headers['retry-after']) >= 1);
  }
  assert.equal((await logIn(anna.name, anna.password)).status, 200);
});

test('the security log says what happened, to whom and from where, and no word of anybody\'s', async () => {
  server = await startServer({ CHAT_LOG: 'warn,security=info', CHAT_LOG_FORMAT: 'json', CHAT_LOGIN_LIMIT: '2' });
  const lines = () =>
    server.log
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
      .filter((line) => line.target === 'security')
      .map((line) => line.fields);
  const line = async (event, request) => {
    let found;
    await until(
      () =>
        new Promise((resolve) =>
          setImmediate(() => {
            found = lines().find((fields) => fields.event === event && (!request || fields.request_id === request));
            resolve(found);
          }),
        ),
      `a line about ${event}`,
    );
    return found;
  };

  const carl = await signup(server, 'carl');
  const id = carl.id ?? carl.user?._id ?? (await carl.get('/auth/check')).data._id;
  const signedUp = await line('sign_up');
  assert.deepEqual([signedUp['user.id'], signedUp.address], [id, '127.0.0.1']);
  assert.match(signedUp.request_id, /^[0-9a-f]{16}$/);

  const browser = new Browser(server);
  const wrong = await browser.post('/auth/login', { email: carl.email, password: password() });
  assert.equal(wrong.status, 400);
  assert.deepEqual((await line('log_in_failed', wrong.headers['x-request-id']))['user.id'], id);
  const good = await browser.post('/auth/login', { email: carl.email, password: carl.password });
  assert.equal((await line('log_in', good.headers['x-request-id']))['user.id'], id);

  const name = unique('nobody');
  for (let i = 0; i < 2; i++) await logIn(name, password());
  const locked = await logIn(name, password());
  assert.equal(locked.status, 429);
  assert.ok(await line('locked_out', locked.headers['x-request-id']));

  const socket = io(server.url, { auth: { token: 'nonsense' }, reconnection: false, forceNew: true });
  await new Promise((resolve) => socket.once('connect_error', resolve));
  const refused = await line('refused');
  assert.deepEqual([refused.what, refused.address], ['socket', '127.0.0.1']);
  assert.match(refused.request_id, /^[0-9a-f]{16}$/);
  socket.close();

  const out = await browser.post('/auth/logout');
  assert.equal((await line('log_out', out.headers['x-request-id']))['user.id'], id);

  const before = lines().length;
  for (let i = 0; i < 20; i++) assert.equal((await logIn(name, password())).status, 429);
  assert.ok(lines().length - before <= 1, 'what happens again is counted');
  await server.stop();
  const summed = lines().find((fields) => fields.event === 'locked_out' && fields.repeated);
  assert.equal(summed.repeated, 20);
  for (const word of [carl.email, carl.fullName, name]) assert.ok(!server.log.includes(word), word);
});

test('a name or an address is one person\'s, however many ask for it at once', async () => {
  server = await startServer();
  const shared = `${unique('shared')}@example.com`;
  const ask = (n) =>
    n % 2
      ? camel.post(server, '/api/register', { username: shared, password: password() })
      : new Browser(server).post('/auth/signup', { fullName: 'Somebody', email: shared, password: password() });
  const answers = await Promise.all(Array.from({ length: 16 }, (_, n) => ask(n)));
  assert.equal(answers.filter((answer) => answer.status < 300).length, 1);
  for (const answer of answers.filter((answer) => answer.status >= 300)) {
    assert.equal(answer.status, 400);
    assert.match((answer.data ?? answer.json).message, /already exists$/);
  }
});
