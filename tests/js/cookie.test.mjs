// Pages of another site, and pages that keep their token themselves: `SameSite` of the cookie, `CHAT_TOKEN_IN_BODY`, and what
// forks call a person's full name.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { io } from 'socket.io-client';

import { request } from './support/http.mjs';
import { password, unique } from './support/names.mjs';
import { secret, startServer } from './support/server.mjs';
import { closeSockets, connect } from './support/wait.mjs';

after(closeSockets);

const VERCEL = 'https://my-chat.vercel.app';
const RENDER = { host: 'my-chat.onrender.com' };

async function withServer(env, run) {
  const server = await startServer(env);
  try {
    await run(server);
  } finally {
    closeSockets();
    await server.finish();
  }
}

const form = (more = {}) => ({ fullName: 'Anna', email: `${unique('anna')}@example.com`, password: password(), ...more });

const post = (server, path, body, headers = {}) => request(server, { method: 'POST', path: `/api/auth/${path}`, body, headers });

/** What the cookie's value and times are followed by, at sign-up, log-in and log-out. */
async function kept(server, headers) {
  const body = form();
  const answers = [await post(server, 'signup', body, headers), await post(server, 'login', body, headers)];
  assert.deepEqual(answers.map(({ status }) => status), [201, 200]);
  answers.push(await post(server, 'logout', undefined, headers));
  const all = answers.map((answer) => answer.headers['set-cookie'][0].replace(/^.*GMT/, ''));
  assert.deepEqual(new Set(all).size, 1, all.join());
  return all[0];
}

test('an https page of another site gets a cookie that it can send back, and uses it', async () => {
  await withServer({ NODE_ENV: 'production', CLIENT_URL: `${VERCEL},http://localhost:5173` }, async (server) => {
    const page = { ...RENDER, origin: VERCEL };
    assert.equal(await kept(server, page), '; HttpOnly; Secure; SameSite=None');
    assert.equal(await kept(server, { ...RENDER, origin: 'http://localhost:5173' }), '; HttpOnly; SameSite=Strict');
    assert.equal(await kept(server, RENDER), '; HttpOnly; SameSite=Strict');
    const signup = await post(server, 'signup', form(), page);
    assert.equal(signup.json.token, undefined);
    const cookie = secret(signup.headers['set-cookie'][0].match(/^[^;]+/)[0]);
    const check = (headers) => request(server, { path: '/api/auth/check', headers: { ...RENDER, cookie, ...headers } });
    assert.equal((await check({ origin: VERCEL })).status, 200);
    // Browsers now add the cookie to requests of every page; it counts for none that is not allowed.
    for (const origin of ['https://evil.vercel.app', 'https://evil.example', 'null']) {
      assert.equal((await check({ origin })).status, 401, origin);
      await assert.rejects(connect(io, server.url, { transports: ['websocket'], extraHeaders: { cookie, origin } }), origin);
    }
    const socket = await connect(io, server.url, { transports: ['websocket'], extraHeaders: { ...RENDER, cookie, origin: VERCEL } });
    assert.ok(socket.connected);
  });
});

test('a page of the same site gets it as before, and CHAT_COOKIE_SAMESITE overrules', async () => {
  const CLIENT_URL = 'https://www.example.co.uk';
  const page = { host: 'internal:3000', origin: CLIENT_URL };
  await withServer({ CLIENT_URL, CHAT_PUBLIC_URL: 'https://api.example.co.uk' }, async (server) => {
    assert.equal(await kept(server, page), '; HttpOnly; SameSite=Strict');
  });
  for (const [given, expected] of [
    ['none', '; HttpOnly; Secure; SameSite=None'],
    ['lax', '; HttpOnly; SameSite=Lax'],
    ['strict', '; HttpOnly; SameSite=Strict'],
  ]) {
    await withServer({ CLIENT_URL, CHAT_COOKIE_SAMESITE: given }, async (server) => assert.equal(await kept(server, page), expected));
  }
});

test('with CHAT_TOKEN_IN_BODY a page can keep its token itself', async () => {
  await withServer({ CHAT_TOKEN_IN_BODY: 'on' }, async (server) => {
    const body = form();
    for (const path of ['signup', 'login']) {
      const { json, headers } = await post(server, path, body);
      assert.equal(json.email, body.email.toLowerCase());
      assert.ok(headers['set-cookie'][0].startsWith(`jwt=${secret(json.token)};`));
      const check = await request(server, { path: '/api/auth/check', headers: { authorization: `Bearer ${json.token}` } });
      assert.deepEqual([check.status, check.json._id, check.json.token], [200, json._id, undefined]);
      assert.ok((await connect(io, server.url, { auth: { token: json.token } })).connected);
    }
  });
});

test('name or username stand in for fullName', async () => {
  await withServer({}, async (server) => {
    const named = async (names) => (await post(server, 'signup', form({ fullName: undefined, ...names }))).json;
    assert.equal((await named({ name: ' Anna Name ' })).fullName, 'Anna Name');
    assert.equal((await named({ username: 'anna_user' })).fullName, 'anna_user');
    assert.equal((await named({ name: 'Name', username: 'user' })).fullName, 'Name');
    assert.equal((await named({ fullName: '', name: null, username: 'user' })).fullName, 'user');
    assert.equal((await named({ fullName: 'Full', name: 'Name', username: { $gt: '' } })).fullName, 'Full');
    assert.equal((await named({ name: ' ' })).message, 'All fields are required');
    assert.equal((await named({ name: { $gt: '' } })).message, 'name must be a string');
    assert.equal((await named({ username: 7 })).message, 'username must be a string');
  });
});

test('the log of a start says where to look, and names no value', async () => {
  await withServer({ CHAT_LOG: 'info', RESEND_API_KEY: secret('re_hush_hush'), EMAIL_FROM: 'chat@example.com' }, async (server) => {
    await server.stop();
    for (const line of [`open http://localhost:${server.port}`, `store: SQLite in ${server.dataDir}/chat.db`, 'dialects: camel, push; push for']) {
      assert.ok(server.log.includes(line), `${line} is not in\n${server.log}`);
    }
  });
});
