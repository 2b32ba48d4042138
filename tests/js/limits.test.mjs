// Limits against guessing and flooding: 429 with a message, for the one who does it and nobody else.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { password, text, unique } from './support/names.mjs';
import { Browser, signup } from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { assertAccepted, assertRefused, closeSockets } from './support/wait.mjs';

let server;
afterEach(async () => {
  closeSockets();
  await server?.finish();
});
after(closeSockets);

const TOO_MANY = 'Rate limit exceeded. Please try again later.';

const camelLogin = (name, pass, headers) => camel.post(server, '/api/login', { username: name, password: pass }, headers);
const pushLogin = (email, pass) => new Browser(server).post('/auth/login', { email, password: pass });

function assertTooMany(answer) {
  const body = answer.data ?? answer.json;
  assert.deepEqual([answer.status, body?.message], [429, TOO_MANY]);
  assert.match(answer.headers['content-type'], /^application\/json/);
}

test('too many failed log-ins lock the account for this address, and no other account', async () => {
  server = await startServer({ CHAT_LOGIN_LIMIT: '3' });
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const carl = await signup(server, 'carl');
  for (let i = 0; i < 3; i++) {
    assert.equal((await camelLogin(anna.name, password())).status, 400);
    assert.equal((await pushLogin(carl.email, password())).status, 400);
  }
  assertTooMany(await camelLogin(anna.name, password()));
  assertTooMany(await camelLogin(anna.name, anna.password));
  assertTooMany(await pushLogin(carl.email, carl.password));
  // Neither another spelling nor a header opens it again.
  assertTooMany(await camelLogin(anna.name.toUpperCase(), anna.password));
  assertTooMany(await camelLogin(` ${anna.name} `, anna.password));
  assertTooMany(await pushLogin(carl.email.toUpperCase(), carl.password));
  assertTooMany(await camelLogin(anna.name, anna.password, { 'x-forwarded-for': '203.0.113.7', 'x-real-ip': '203.0.113.7' }));

  assert.equal((await camelLogin(bert.name, bert.password)).status, 200);
  assert.equal((await camel.get(server, '/api/validate-token', anna.token)).status, 200, 'who is logged in stays so');
  assert.equal((await carl.get('/auth/check')).status, 200);
});

test('a good log-in is not a failure', async () => {
  server = await startServer({ CHAT_LOGIN_LIMIT: '3' });
  const anna = await camel.register(server, 'anna');
  for (let i = 0; i < 8; i++) assert.equal((await camelLogin(anna.name, anna.password)).status, 200);
});

test('unknown accounts count as well', async () => {
  server = await startServer({ CHAT_LOGIN_LIMIT: '3' });
  const name = unique('nobody');
  for (let i = 0; i < 3; i++) assert.equal((await camelLogin(name, password())).status, 400);
  assertTooMany(await camelLogin(name, password()));
});

test('guesses sent at once are counted as well', async () => {
  server = await startServer({ CHAT_LOGIN_LIMIT: '5' });
  const anna = await camel.register(server, 'anna');
  const answers = await Promise.all(Array.from({ length: 40 }, () => camelLogin(anna.name, password())));
  const tried = answers.filter((answer) => answer.status === 400).length;
  assert.ok(tried <= 5, `${tried} guesses were tried`);
  assertTooMany(await camelLogin(anna.name, anna.password));
});

test('an address that fails with many accounts is locked', async () => {
  server = await startServer({ CHAT_LOGIN_ADDRESS_LIMIT: '6' });
  const anna = await camel.register(server, 'anna');
  for (let i = 0; i < 6; i++) assert.equal((await camelLogin(unique('nobody'), password())).status, 400);
  assertTooMany(await camelLogin(unique('nobody'), password()));
  assertTooMany(await camelLogin(anna.name, anna.password));
});

test('log-ins are not limited when the limits are 0', async () => {
  server = await startServer({ CHAT_LOGIN_LIMIT: '0', CHAT_LOGIN_ADDRESS_LIMIT: '0' });
  const anna = await camel.register(server, 'anna');
  for (let i = 0; i < 60; i++) assert.equal((await camelLogin(anna.name, password())).status, 400);
  assert.equal((await camelLogin(anna.name, anna.password)).status, 200);
});

test('sign-ups are limited per address, over both dialects', async () => {
  server = await startServer({ CHAT_SIGNUP_LIMIT: '3' });
  const anna = await camel.register(server, 'anna');
  await signup(server, 'bert');
  await signup(server, 'carl');
  const pushBody = { fullName: 'Dora', email: `${unique('dora')}@example.com`, password: password() };
  assertTooMany(await new Browser(server).post('/auth/signup', pushBody));
  assertTooMany(await camel.post(server, '/api/register', { username: unique('dora'), password: password() }));
  assert.equal((await camelLogin(anna.name, anna.password)).status, 200, 'log-ins go on');
});

test('messages are limited per user', async () => {
  server = await startServer({ CHAT_MESSAGE_LIMIT: '5' });
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const send = (from, to) => from.post(`/messages/send/${to.id}`, { text: text() });
  for (let i = 0; i < 5; i++) assert.equal((await send(anna, bert)).status, 201);
  assertTooMany(await send(anna, bert));
  assert.equal((await send(bert, anna)).status, 201, 'others go on');
  assert.equal((await anna.history(bert)).length, 6);

  const [carl, dora] = [await camel.register(server, 'carl'), await camel.register(server, 'dora')];
  const [carls, doras] = [await camel.enter(server, carl), await camel.enter(server, dora)];
  for (let i = 0; i < 5; i++) assertAccepted(await camel.sayAcked(carls, dora.name, text()));
  assertRefused(await camel.sayAcked(carls, dora.name, text()), 'over the limit');
  assertAccepted(await camel.sayAcked(doras, carl.name, text()));
  assert.equal((await camel.history(carls, dora.name)).length, 6);
  assert.deepEqual(carls.drops, []);
});
