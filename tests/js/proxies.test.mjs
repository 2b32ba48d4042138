// What is said to the owner of a server behind a proxy that it does not know of, or that does not say all.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { request } from './support/http.mjs';
import { password, unique } from './support/names.mjs';
import { startServer } from './support/server.mjs';

let server;
afterEach(async () => {
  await server?.finish();
  server = undefined;
});

const UNTRUSTED = 'no proxy is trusted';
const INSECURE = 'a log-in cookie is not Secure';
const PAST_THE_PROXY = 'CHAT_TRUST_PROXY is set and the server listens on all addresses';

const lines = (words) => server.log.split('\n').filter((line) => line.includes(words));

/** Signs up as a page does, and gives the cookie that it is given. */
async function cookieFor(headers) {
  const body = { fullName: unique('Anna'), email: `${unique('anna')}@example.com`, password: password() };
  const answer = await request(server, { method: 'POST', path: '/api/auth/signup', headers: { host: 'chat.example', ...headers }, body });
  assert.equal(answer.status, 201, answer.text);
  return answer.headers['set-cookie'].find((cookie) => cookie.startsWith('jwt='));
}

test('headers of a proxy that nobody trusts are spoken of once', async () => {
  server = await startServer();
  assert.equal((await request(server, { path: '/readyz' })).status, 200);
  assert.deepEqual(lines(UNTRUSTED), []);
  for (const name of ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded']) {
    for (const path of ['/', '/api/users', '/socket.io/?EIO=4&transport=polling', '/nothing']) {
      await request(server, { path, headers: { [name]: 'made-up.example' } });
    }
  }
  await server.stop();
  const said = lines(UNTRUSTED);
  assert.equal(said.length, 1, server.log);
  assert.match(said[0], /WARN.*from=127\.0\.0\.1.*CHAT_TRUST_PROXY=1/);
  assert.ok(!server.log.includes('made-up'), 'what strangers send is not shown');
});

test('a cookie that is not Secure for a page that came by https is spoken of once', async () => {
  server = await startServer();
  assert.doesNotMatch(await cookieFor({ origin: 'http://chat.example' }), /Secure/);
  assert.deepEqual(lines(INSECURE), []);
  for (const headers of [{ origin: 'https://chat.example' }, { referer: 'https://chat.example/login' }, { origin: 'https://chat.example' }]) {
    assert.doesNotMatch(await cookieFor(headers), /Secure/);
  }
  await server.stop();
  const said = lines(INSECURE);
  assert.equal(said.length, 1, server.log);
  assert.match(said[0], /WARN.*CHAT_TRUST_PROXY=1.*X-Forwarded-Proto: https/);
  assert.ok(!said[0].includes('chat.example'));
});

test('a proxy that says https in another way than by X-Forwarded-Proto is spoken of', async () => {
  server = await startServer({ CHAT_TRUST_PROXY: '1' });
  assert.doesNotMatch(await cookieFor({ forwarded: 'for=10.0.0.1;proto=https', 'x-forwarded-for': '10.0.0.1' }), /Secure/);
  await server.stop();
  assert.equal(lines(INSECURE).length, 1, server.log);
  assert.deepEqual(lines(UNTRUSTED), []);
});

test('with a proxy that is trusted and says all there is nothing to say', async () => {
  server = await startServer({ CHAT_TRUST_PROXY: '1' });
  const headers = { origin: 'https://chat.example', 'x-forwarded-for': '10.0.0.1', 'x-forwarded-proto': 'https' };
  assert.match(await cookieFor(headers), /; Secure/);
  await server.stop();
  assert.equal(server.log, '');
});

test('who trusts a proxy and listens on all addresses is told so once', async () => {
  server = await startServer({ CHAT_TRUST_PROXY: '1', CHAT_HOST: undefined });
  await request(server, { path: '/readyz' });
  assert.equal(lines(PAST_THE_PROXY).length, 1, server.log);
  assert.match(lines(PAST_THE_PROXY)[0], /WARN.*CHAT_HOST=127\.0\.0\.1/);
});
