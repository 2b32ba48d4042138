// The two services outside: pictures at Cloudinary and mail through Resend, each played by a small server here.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { after, afterEach, beforeEach, test } from 'node:test';

import { dataUrl, png } from './support/images.mjs';
import { text } from './support/names.mjs';
import { signup } from './support/push.mjs';
import { secret, startServer } from './support/server.mjs';
import { until } from './support/wait.mjs';

const API_SECRET = secret('cloudinary-secret-5d41402abc4b2a76b9719d91');
const MAIL_KEY = secret('re_5d41402abc4b2a76b9719d911017c592');

let server;
let service;
let requests;
let answer;

/** Both services in one: keeps what it is sent, and answers what the test wants. */
beforeEach(async () => {
  requests = [];
  service = http.createServer((incoming, outgoing) => {
    const chunks = [];
    incoming.on('data', (chunk) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method, url, headers } = incoming;
      const call = { method, url, headers, body: Buffer.concat(chunks) };
      requests.push(call);
      answer(call, (status, body) => outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)));
    });
  });
  await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${service.address().port}`;
  server = await startServer({
    CLOUDINARY_CLOUD_NAME: 'our-cloud',
    CLOUDINARY_API_KEY: '123456789',
    CLOUDINARY_API_SECRET: API_SECRET,
    CHAT_CLOUDINARY_URL: address,
    RESEND_API_KEY: MAIL_KEY,
    EMAIL_FROM: 'chat@example.com',
    EMAIL_FROM_NAME: 'The Chat',
    CHAT_RESEND_URL: address,
  });
});
afterEach(async () => {
  service?.closeAllConnections();
  service.close();
  await server?.finish();
});
after(() => service?.close());

const uploads = () => requests.filter((call) => call.url.includes('/image/upload'));
const mails = () => requests.filter((call) => !call.url.includes('/image/upload'));

/** The fields of a multipart body; the file as bytes. */
function fields({ headers, body }) {
  const boundary = headers['content-type'].match(/boundary="?([^";]+)/)[1];
  const parts = body.toString('latin1').split(`--${boundary}`).slice(1, -1);
  return Object.fromEntries(
    parts.map((part) => {
      const [head, ...rest] = part.split('\r\n\r\n');
      return [head.match(/name="([^"]+)"/)[1], Buffer.from(rest.join('\r\n\r\n').slice(0, -2), 'latin1')];
    }),
  );
}

test('pictures go to Cloudinary, signed, and messages carry its URL', async () => {
  const url = 'https://res.cloudinary.com/our-cloud/image/upload/v1/picture.png';
  answer = (_, reply) => reply(200, { secure_url: url });
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const message = await anna.send(bert, { text: text(), image: dataUrl('image/png', png) });
  assert.equal(message.image, url);
  const profile = await anna.put('/auth/update-profile', { profilePic: dataUrl('image/png', png) });
  assert.deepEqual([profile.status, profile.data.profilePic], [200, url]);

  assert.equal(uploads().length, 2);
  for (const call of uploads()) {
    assert.deepEqual([call.method, call.url], ['POST', '/v1_1/our-cloud/image/upload']);
    const { file, signature, api_key: key, ...signed } = fields(call);
    assert.ok(file.equals(png));
    assert.equal(key.toString(), '123456789');
    const line = Object.keys(signed).sort().map((name) => `${name}=${signed[name]}`).join('&');
    assert.equal(signature.toString(), createHash('sha1').update(line + API_SECRET).digest('hex'));
  }
});

test('when Cloudinary fails the sender is told, and nothing is stored', async () => {
  answer = (call, reply) => (call.url.includes('/image/upload') ? reply(500, { error: { message: 'broken' } }) : reply(200, { id: '1' }));
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const failed = await anna.post(`/messages/send/${bert.id}`, { text: text(), image: dataUrl('image/png', png) });
  assert.ok(failed.status >= 500, `${failed.status}`);
  assert.equal(typeof failed.data.message, 'string');
  assert.doesNotMatch(JSON.stringify(failed.data), /broken|cloudinary/i);
  assert.deepEqual(await anna.history(bert), []);
  assert.ok((await anna.send(bert, text()))._id, 'text still goes');
});

test('a new user is sent a welcome through Resend', async () => {
  answer = (_, reply) => reply(200, { id: '1' });
  const anna = await signup(server, 'anna');
  await until(() => new Promise((resolve) => setImmediate(() => resolve(mails().length))), 'the mail');
  const [mail] = mails();
  assert.deepEqual([mail.method, mail.url, mail.headers.authorization], ['POST', '/emails', `Bearer ${MAIL_KEY}`]);
  const body = JSON.parse(mail.body);
  assert.deepEqual([body.to].flat(), [anna.email]);
  assert.match(body.from, /The Chat.*<chat@example\.com>/);
  assert.ok(body.subject && body.html && body.text);
  // Whoever signs up with a stranger's address has us say no word of their choice to them.
  for (const part of [body.subject, body.html, body.text]) assert.ok(!part.includes(anna.fullName), part);
});

test('a mail service that never answers holds up neither the sign-up nor the end of the server', async () => {
  answer = () => {};
  const anna = await signup(server, 'anna');
  assert.equal((await anna.get('/auth/check')).status, 200);
  await server.stop();
});
