// What Node's Socket.IO serves beside the sockets: the browser builds of its client; and sockets at another path.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { gunzipSync } from 'node:zlib';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { text } from './support/names.mjs';
import { signup } from './support/push.mjs';
import { secret, startServer } from './support/server.mjs';
import { closeSockets, connect, once, refusal } from './support/wait.mjs';

const client = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules/socket.io-client');
const { version } = JSON.parse(readFileSync(path.join(client, 'package.json'), 'utf8'));

let server;
before(async () => {
  server = await startServer();
});
after(async () => {
  closeSockets();
  await server?.finish();
});

test('every file of the npm package is served as it is there, with the headers of Node', async () => {
  const files = readdirSync(path.join(client, 'dist'));
  assert.equal(files.length, 8);
  for (const file of files) {
    const expected = readFileSync(path.join(client, 'dist', file));
    const plain = await request(server, { path: `/socket.io/${file}` });
    assert.equal(plain.status, 200, file);
    assert.ok(plain.raw.equals(expected), `${file} is that of socket.io-client ${version}`);
    assert.equal(plain.headers['content-type'], `application/${file.endsWith('.map') ? 'json' : 'javascript'}; charset=utf-8`);
    assert.equal(plain.headers['cache-control'], 'public, max-age=0');
    assert.equal(plain.headers.etag, `"${version}"`);
    assert.equal(plain.headers['content-encoding'], undefined);

    const packed = await request(server, { path: `/socket.io/${file}?t=1`, headers: { 'accept-encoding': 'gzip, deflate, br' } });
    assert.equal(packed.headers['content-encoding'], 'gzip', file);
    assert.ok(gunzipSync(packed.raw).equals(expected), file);
    assert.ok(packed.raw.length < expected.length / 2, file);

    for (const known of [`"${version}"`, `W/"${version}"`]) {
      const unchanged = await request(server, { path: `/socket.io/${file}`, headers: { 'if-none-match': known } });
      assert.deepEqual([unchanged.status, unchanged.raw.length], [304, 0], file);
    }
    const head = await request(server, { method: 'HEAD', path: `/socket.io/${file}` });
    assert.deepEqual([head.status, head.raw.length], [200, 0], file);
  }
  assert.equal((await request(server, { path: '/socket.io/socket.io.msgpack.js' })).status, 404);
});

test('the file defines io, as a page without a bundler needs it', async () => {
  const { text: source } = await request(server, { path: '/socket.io/socket.io.js' });
  const page = { console };
  page.self = page.window = page.globalThis = page;
  vm.runInNewContext(source, page);
  assert.equal(typeof page.io, 'function');
  assert.equal(typeof page.io.Manager, 'function');
});

test('files of the client open no session and are served to a page of another origin', async () => {
  const answer = await request(server, { path: '/socket.io/socket.io.min.js', headers: { origin: 'http://localhost:5173' } });
  assert.equal(answer.headers['access-control-allow-origin'], 'http://localhost:5173');
  assert.equal(answer.headers['cross-origin-resource-policy'], 'cross-origin');
  for (let n = 0; n < 300; n++) {
    assert.equal((await request(server, { path: '/socket.io/socket.io.esm.min.js' })).status, 200);
  }
  const anna = await camel.register(server, 'anna');
  await camel.enter(server, anna);
});

for (const given of ['/my/sockets', '/api/socket.io/']) {
  test(`sockets at ${given}`, async () => {
    const elsewhere = await startServer({ CHAT_SOCKET_PATH: given, CHAT_NODE: 'a' });
    try {
      const [anna, bert] = [await camel.register(elsewhere, 'anna'), await camel.register(elsewhere, 'bert')];
      const at = given.replace(/\/$/, '');
      for (const spelling of [at, `${at}/`]) {
        for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
          const options = { path: spelling, transports };
          const [annas, berts] = [await camel.enter(elsewhere, anna, options), await camel.enter(elsewhere, bert, options)];
          const note = text();
          const heard = camel.heard(berts, note);
          await camel.say(annas, bert.name, note);
          await heard;
          annas.disconnect();
          berts.disconnect();
        }
      }
      const file = await request(elsewhere, { path: `${at}/socket.io.js` });
      assert.equal(file.status, 200);
      assert.equal((await request(elsewhere, { path: '/socket.io/?EIO=4&transport=polling' })).status, 404);
      const opened = await request(elsewhere, { path: `${at}/?EIO=4&transport=polling` });
      assert.deepEqual([opened.status, opened.headers['cache-control']], [200, 'no-store']);
      assert.match((await request(elsewhere, { path: '/' })).text, new RegExp(`data-socket-path="${at}"`));
    } finally {
      closeSockets();
      await elsewhere.finish();
    }
  });
}

test('a path that cannot be stops the start and is named', async () => {
  const { code, stderr } = await server.run('--socket-path', '/api/users');
  assert.notEqual(code, 0);
  assert.match(stderr, /CHAT_SOCKET_PATH/);
});

test('a token in the address logs in clients of Socket.IO 2 alone, and only when configured', async () => {
  const withToken = await startServer({ CHAT_TOKEN_IN_QUERY: 'true', CHAT_LOG: 'debug' });
  try {
    for (const [where, allowed] of [[server, false], [withToken, true]]) {
      const anna = await signup(where, 'anna');
      for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
        const entering = () => connect(io2, where.url, { transports, query: { token: secret(anna.token) } });
        if (!allowed) {
          await refusal(entering());
          continue;
        }
        const page = await entering();
        const heard = once(page, 'messageSent');
        const bert = await signup(where, 'bert');
        await anna.send(bert, text());
        await heard;
        page.disconnect();
        await refusal(connect(io2, where.url, { transports, query: { token: 'nonsense' } }));
        // Those who can send it elsewhere must.
        await refusal(connect(io, where.url, { transports, query: { token: anna.token } }));
      }
    }
    assert.match(withToken.log, /DEBUG/);
  } finally {
    closeSockets();
    await withToken.finish();
  }
});
