// Files: uploads as bodies, forms and by tus, with the clients that people use; who may read them; what stays on the disk.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as tus from 'tus-js-client';

import { request } from './support/http.mjs';
import { png } from './support/images.mjs';
import { signup } from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { LIMIT, within } from './support/wait.mjs';

const MAX = 30_000_000;

let server;
before(async () => {
  server = await startServer({ CHAT_FILES_MAX_BYTES: String(MAX) });
});
after(() => server?.finish());

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

const origin = () => ({ origin: server.url });

/** What lies in the folder of files besides what is kept of people and references. */
function stored(folder = path.join(server.dataDir, 'files')) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (['.usage', '.references'].includes(entry.name)) return [];
    return entry.isDirectory() ? stored(path.join(folder, entry.name)) : [entry.name];
  });
}

const post = (person, name, body, headers = {}) =>
  request(server, { method: 'POST', path: `/api/v1/files?name=${name}`, body, headers: { cookie: person.cookie, ...origin(), ...headers } });

const get = (person, where, headers = {}) => request(server, { path: where, headers: { cookie: person?.cookie ?? '', ...headers } });

const text = (bytes) => Buffer.from(randomBytes(bytes / 2).toString('hex'));

test('a large body comes back whole and in parts', async () => {
  const anna = await signup(server, 'anna');
  const content = text(10_000_000);
  const sent = await post(anna, 'notes.txt', content);
  assert.equal(sent.status, 201, sent.text);
  assert.equal(sent.json.sha256, sha256(content));
  assert.equal(sent.json.url, `${server.url}/api/v1/files/${sent.json.id}`);
  const whole = await get(anna, `/api/v1/files/${sent.json.id}`);
  assert.equal(sha256(whole.raw), sent.json.sha256);
  const part = await get(anna, `/api/v1/files/${sent.json.id}`, { range: 'bytes=5000000-5000099' });
  assert.equal(part.status, 206);
  assert.deepEqual(part.raw, content.subarray(5_000_000, 5_000_100));
  const removed = await request(server, { method: 'DELETE', path: `/api/v1/files/${sent.json.id}`, headers: { cookie: anna.cookie, ...origin() } });
  assert.equal(removed.status, 204);
});

test('uploads take little memory, however long they are', { skip: !existsSync('/proc/self/status') }, async () => {
  const anna = await signup(server, 'anna');
  const highest = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]) * 1024;
  const body = Buffer.alloc(8_000_000, 'line of text\n');
  assert.equal((await post(anna, 'a.txt', body)).status, 201);
  const before = highest();
  const sent = await Promise.all(Array.from({ length: 8 }, () => post(anna, 'a.txt', body)));
  assert.deepEqual(sent.map((answer) => answer.status), Array(8).fill(201));
  const more = highest() - before;
  // 256 KiB each, and as much again for connections, threads and what the allocator keeps.
  assert.ok(more < 8 * 2 * 256 * 1024 + 4_000_000, `${more} bytes for 64 MB`);
});

test('a form of a browser is taken, and its file is shown to who is told of it', async () => {
  const [anna, bert, eve] = [await signup(server, 'anna'), await signup(server, 'bert'), await signup(server, 'eve')];
  const form = new FormData();
  form.append('file', new Blob([png], { type: 'image/png' }), 'C:\\me.png');
  const sent = await fetch(`${server.url}/api/v1/files`, { method: 'POST', body: form, headers: { cookie: anna.cookie, ...origin() } });
  assert.equal(sent.status, 201);
  const file = await sent.json();
  assert.deepEqual([file.name, file.type, file.width, file.height], ['me.png', 'image/png', 2, 2]);
  const where = `/api/v1/files/${file.id}`;
  assert.equal((await get(bert, where)).status, 404);
  const told = await request(server, {
    method: 'POST', path: `/api/messages/send/${bert.id}`, body: { text: `look: ${file.url}` }, headers: { cookie: anna.cookie },
  });
  assert.equal(told.status, 201, told.text);
  const shown = await get(bert, where);
  assert.equal(shown.status, 200);
  assert.deepEqual(shown.raw, Buffer.from(png));
  assert.equal(shown.headers['content-type'], 'image/png');
  assert.equal((await get(eve, where)).status, 404);
  assert.equal((await get(null, where)).status, 401);
  const link = (await get(bert, `${where}/link`)).json.url;
  const signed = await get(null, link.slice(server.url.length));
  assert.equal(signed.status, 200);
  assert.equal(signed.headers['cross-origin-resource-policy'], 'cross-origin');
});

test('whoever hangs up or sends what is not taken leaves nothing behind', async () => {
  const anna = await signup(server, 'anna');
  const before = stored();
  for (const [name, body, status] of [
    ['a.html', '<script>alert(1)</script>', 415],
    ['a.png', 'no image', 415],
    ['a.txt', '', 400],
    ['a.txt', Buffer.alloc(MAX + 1, 'x'), 413],
  ]) {
    const refused = await post(anna, name, body);
    assert.equal(refused.status, status, refused.text);
    assert.ok(refused.json.message, 'every error has a message');
  }
  const half = net.connect(server.port, '127.0.0.1');
  half.write(`POST /api/v1/files?name=a.txt HTTP/1.1\r\nhost: x\r\ncookie: ${anna.cookie}\r\ncontent-type: text/x\r\ncontent-length: 1000000\r\n\r\n`);
  half.write('x'.repeat(200_000));
  const begun = async () => {
    while (stored().length === before.length) await new Promise((resolve) => setImmediate(resolve));
  };
  await within(begun(), LIMIT, 'the upload to begin');
  half.destroy();
  const gone = async () => {
    while (stored().length !== before.length) await new Promise((resolve) => setImmediate(resolve));
  };
  await within(gone(), LIMIT, 'the half file to go');
});

/** Uploads with the real client of tus, through a connection that is cut once if `cutAfter` is given. */
function upload(person, content, metadata, options = {}) {
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(content, {
      endpoint: `${server.url}/api/v1/uploads`,
      headers: { cookie: person.cookie, ...origin() },
      metadata,
      retryDelays: [0, 0, 0],
      onError: reject,
      onSuccess: () => resolve(upload),
      ...options,
    });
    upload.start();
  });
}

test('the client of tus uploads in parts, and goes on after a cut', async () => {
  const anna = await signup(server, 'anna');
  const content = text(2_000_000);
  const metadata = { filename: 'notes.txt', filetype: 'text/plain' };
  const parts = await within(upload(anna, content, metadata, { chunkSize: 1_000_000 }), LIMIT, 'an upload in parts');
  const file = await get(anna, `${parts.url.slice(server.url.length).replace('uploads', 'files')}`);
  assert.equal(sha256(file.raw), sha256(content));
  // A body that ends too early, as when a network goes; the client asks how far it has come, and goes on.
  let cuts = 0;
  const through = http.createServer((incoming, outgoing) => {
    const onward = http.request({ host: '127.0.0.1', port: server.port, method: incoming.method, path: incoming.url, headers: incoming.headers });
    onward.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode, { ...answer.headers, location: answer.headers.location?.replace(String(server.port), String(through.address().port)) ?? '' });
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    let passed = 0;
    incoming.on('data', (data) => {
      passed += data.length;
      onward.write(data);
      if (incoming.method === 'PATCH' && cuts === 0 && passed > 1_500_000) {
        cuts += 1;
        onward.destroy();
        incoming.destroy();
      }
    });
    incoming.on('end', () => onward.end());
    incoming.on('error', () => onward.destroy());
  });
  await new Promise((resolve) => through.listen(0, '127.0.0.1', resolve));
  try {
    const endpoint = `http://127.0.0.1:${through.address().port}/api/v1/uploads`;
    const retryDelays = [0, 100, 200, 400, 800, 1600];
    const resumed = await within(upload(anna, content, metadata, { endpoint, retryDelays }), LIMIT, 'an upload that is cut');
    assert.equal(cuts, 1);
    const id = resumed.url.split('/').at(-1);
    assert.equal(sha256((await get(anna, `/api/v1/files/${id}`)).raw), sha256(content));
  } finally {
    through.close();
    through.closeAllConnections();
  }
});

test('an upload goes on after the server was killed', async () => {
  const anna = await signup(server, 'anna');
  const content = text(1_000_000);
  const first = { method: 'POST', path: '/api/v1/uploads', headers: { cookie: anna.cookie, 'tus-resumable': '1.0.0', 'upload-length': String(content.length), 'upload-metadata': `filename ${btoa('a.txt')}` } };
  const begun = await request(server, first);
  assert.equal(begun.status, 201, begun.text);
  const where = begun.headers.location.slice(server.url.length);
  const headers = { cookie: anna.cookie, 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' };
  const part = await request(server, { method: 'PATCH', path: where, body: content.subarray(0, 700_000), headers: { ...headers, 'upload-offset': '0' } });
  assert.equal(part.status, 204, part.text);
  await server.kill9();
  await server.launch();
  const told = await request(server, { method: 'HEAD', path: where, headers });
  assert.equal(told.headers['upload-offset'], '700000');
  const rest = await request(server, { method: 'PATCH', path: where, body: content.subarray(700_000), headers: { ...headers, 'upload-offset': '700000' } });
  assert.equal(rest.status, 204, rest.text);
  assert.equal(sha256((await get(anna, where.replace('uploads', 'files'))).raw), sha256(content));
});
