// Pages of another origin that poll without cookies, `io(URL, {query: {userId}})`: who they are is known when their websocket
// comes, which browsers send with cookies. And pages at home behind a proxy that says where that is.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';

import { io as io48 } from 'socket.io-client';
import ioV2 from 'socket.io-client-2';

import { text } from './support/names.mjs';
import { signup } from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, connect, leaveSockets, once, refusal, until } from './support/wait.mjs';

const CHROMIUM = '/usr/bin/chromium';

let server;
let anna;
let bert;
before(async () => {
  server = await startServer();
  [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
});
after(async () => {
  closeSockets();
  await server?.finish();
});
after(leaveSockets);

/** A page that sends these headers with its websocket alone, as a browser does with cookies. */
const onlyOnUpgrade = (headers) => ({ transportOptions: { websocket: { extraHeaders: headers } } });
const PAGE = 'http://localhost:5173';

for (const [version, client] of Object.entries({ 4.8: io48, 2.5: ioV2 })) {
  describe(`socket.io-client ${version}`, () => {
    test('a cookie that comes with the websocket alone says who it is', async () => {
      const page = await connect(client, server.url, {
        query: { userId: bert.id },
        ...onlyOnUpgrade({ cookie: bert.cookie, origin: PAGE }),
      });
      const words = text();
      const shown = once(page, 'newMessage', (message) => message.text === words);
      await anna.send(bert, words);
      await shown;
      assert.equal(page.recovered ?? false, false);
      await until(() => page.io.engine.transport.name === 'websocket', 'the upgrade');
      assert.deepEqual(page.drops, []);
    });

    test('the cookie decides, whoever the page says it is', async () => {
      const page = await connect(client, server.url, {
        query: { userId: anna.id },
        ...onlyOnUpgrade({ cookie: bert.cookie, origin: PAGE }),
      });
      const shown = once(page, 'newMessage');
      const words = text();
      await anna.send(bert, words);
      assert.equal((await shown).text, words);
    });

    test('the cookie of a foreign page is not used', async () => {
      const refused = await refusal(
        connect(client, server.url, {
          query: { userId: bert.id },
          ...onlyOnUpgrade({ cookie: bert.cookie, origin: 'https://evil.example' }),
        }),
      );
      assert.match(refused, /^Authentication error/);
    });

    test('without a cookie the refusal says so: at once when the websocket has brought none, in a while when none comes', async () => {
      for (const [options, least, most] of [
        [{}, 0, 4_000],
        [{ transports: ['polling'] }, 4_500, 10_000],
        [{ transports: ['websocket'] }, 0, 4_000],
      ]) {
        const started = performance.now();
        const refused = await refusal(connect(client, server.url, { query: { userId: bert.id }, ...options }));
        const took = performance.now() - started;
        assert.match(refused, /^Authentication error: no log-in cookie .*withCredentials/);
        assert.ok(took >= least && took <= most, `${JSON.stringify(options)} took ${took} ms`);
      }
    });
  });
}

test('what came with the first request is not replaced by what comes later', async () => {
  const page = await connect(io48, server.url, {
    transportOptions: {
      polling: { extraHeaders: { cookie: anna.cookie } },
      websocket: { extraHeaders: { cookie: bert.cookie, origin: PAGE } },
    },
  });
  await until(() => page.io.engine.transport.name === 'websocket', 'the upgrade');
  const words = text();
  const shown = once(page, 'newMessage');
  await bert.send(anna, words);
  assert.equal((await shown).text, words);
});

test('in Chromium, a page on another port without credentials', async () => {
  assert.ok(existsSync(CHROMIUM), `this test needs ${CHROMIUM}: apt-get install chromium`);
  const bundle = readFileSync(new URL('./node_modules/socket.io-client/dist/socket.io.min.js', import.meta.url));
  const pages = http.createServer((request, response) => {
    const isScript = request.url === '/socket.io.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? bundle : '<!doctype html><script src="/socket.io.js"></script>');
  });
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-proxy-server'],
  });
  try {
    const context = await browser.newContext();
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    const handshakes = [];
    page.on('request', (request) => {
      if (request.url().includes('/socket.io/?')) handshakes.push(request.allHeaders());
    });
    await page.goto(`http://localhost:${pages.address().port}/`);
    const url = `http://localhost:${server.port}`;
    // As these pages do: axios with credentials, the socket without.
    const joined = await page.evaluate(
      async ({ url, email, password }) => {
        const headers = { 'content-type': 'application/json' };
        const body = JSON.stringify({ email, password });
        const answer = await fetch(`${url}/api/auth/login`, { method: 'POST', credentials: 'include', headers, body });
        const user = await answer.json();
        globalThis.texts = [];
        globalThis.socket = globalThis.io(url, { query: { userId: user._id } });
        globalThis.socket.on('newMessage', (message) => globalThis.texts.push(message.text));
        return new Promise((resolve) => {
          globalThis.socket.on('connect', () => resolve('connected'));
          globalThis.socket.on('connect_error', (error) => resolve(error.message));
        });
      },
      { url, email: bert.email, password: bert.password },
    );
    assert.equal(joined, 'connected');
    const words = text();
    await anna.send(bert, words);
    await page.waitForFunction((words) => globalThis.texts.includes(words), words);
    await page.waitForFunction(() => globalThis.socket.io.engine.transport.name === 'websocket');
    const polls = await Promise.all(handshakes);
    assert.ok(polls.length > 0 && polls.every((headers) => headers.cookie === undefined), 'its polls carry no cookie');
  } finally {
    await browser.close();
    await new Promise((resolve) => pages.close(resolve));
  }
});

test('a page is at home where a trusted proxy says that it is, and nowhere else', async () => {
  const home = { cookie: '', origin: 'https://chat.example', 'x-forwarded-host': 'chat.example', 'x-forwarded-proto': 'https' };
  const trusting = await startServer({ CHAT_TRUST_PROXY: '1' });
  try {
    const carl = await signup(trusting, 'carl');
    for (const transports of [['websocket'], ['polling']]) {
      const page = await connect(io48, trusting.url, { transports, extraHeaders: { ...home, cookie: carl.cookie } });
      page.disconnect();
      for (const other of [{ origin: 'https://evil.example' }, { 'x-forwarded-host': 'other.example' }]) {
        const extraHeaders = { ...home, cookie: carl.cookie, ...other };
        assert.match(await refusal(connect(io48, trusting.url, { transports, extraHeaders })), /^Authentication error/);
      }
      const forged = { ...home, cookie: anna.cookie };
      assert.match(await refusal(connect(io48, server.url, { transports, extraHeaders: forged })), /^Authentication error/);
    }
    const login = (origin) =>
      carl.post('/auth/login', { email: carl.email, password: carl.password }, { headers: { ...home, cookie: undefined, origin } });
    assert.equal((await login('https://chat.example')).status, 200);
    assert.equal((await login('https://evil.example')).status, 403);
  } finally {
    closeSockets();
    await trusting.finish();
  }
});
