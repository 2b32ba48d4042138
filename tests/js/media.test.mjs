// Images: whose host stands in their links, what stays on the disk, and how much anybody may store.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { BACK_SOON } from './support/families.mjs';
import { request } from './support/http.mjs';
import { dataUrl, noise, png } from './support/images.mjs';
import { text, unique } from './support/names.mjs';
import { signup } from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { once } from './support/wait.mjs';

const QUOTA = 400_000;

let server;
before(async () => {
  server = await startServer({ CHAT_MEDIA_QUOTA: String(QUOTA), CHAT_MESSAGE_LIMIT: '30' });
});
after(() => server?.finish());

const image = dataUrl('image/png', png);

const linkTo = (base, name) => `${base}/media/${name}`;

/** The names of all images on the disk. */
function stored() {
  const media = path.join(server.dataDir, 'media');
  return readdirSync(media).filter((name) => !name.startsWith('.')).flatMap((folder) => readdirSync(path.join(media, folder)));
}

/** One request as it is, with the host and headers that are wanted. */
function raw(person, method, where, host, body) {
  return request(server, { method, path: `/api${where}`, body, headers: { host, cookie: person.cookie, 'x-forwarded-host': 'evil.example' } });
}

test('the host that an upload names reaches nobody else, by REST or by event', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const open = (host, transports) => bert.open({ ...BACK_SOON, transports, extraHeaders: { cookie: bert.cookie, host } });
  const own = await open(`127.0.0.1:${server.port}`, ['websocket']);
  const other = await open('bert.example', ['websocket']);
  const polling = await bert.open({ transports: ['polling'] });
  const told = [own, other, polling].map((socket) => once(socket, 'newMessage', (message) => message.senderId === anna.id));
  const sent = await raw(anna, 'POST', `/messages/send/${bert.id}`, 'evil.example', { text: text(), image });
  assert.equal(sent.status, 201, sent.text);
  const name = sent.json.image.split('/').at(-1);
  const bases = [server.url, 'http://bert.example', server.url];
  for (const [nth, arrived] of (await Promise.all(told)).entries()) assert.equal(arrived.image, linkTo(bases[nth], name));
  assert.equal((await raw(anna, 'PUT', '/auth/update-profile', 'evil.example', { profilePic: image })).status, 200);
  for (const where of [`/messages/${anna.id}`, '/messages/users', '/messages/chats', '/sync?since=0', '/unread']) {
    const answer = await raw(bert, 'GET', where, 'own.example');
    assert.equal(answer.status, 200, where);
    assert.ok(!answer.text.includes('evil.example'), where);
  }
  const [message] = (await raw(bert, 'GET', `/messages/${anna.id}`, 'own.example')).json;
  assert.equal(message.image, linkTo('http://own.example', name));
  // Who comes back after a cut is told the same.
  other.io.engine.close();
  const again = once(other, 'newMessage', (one) => one.senderId === anna.id && one.image !== message.image);
  const second = await raw(anna, 'POST', `/messages/send/${bert.id}`, 'evil.example', { text: text(), image });
  const missed = await again;
  assert.equal(missed.image, linkTo('http://bert.example', second.json.image.split('/').at(-1)));
  for (const socket of [own, other, polling]) socket.disconnect();
});

test('what is refused or repeated leaves no image, and a replaced picture goes', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const clientId = unique('id');
  const first = await anna.send(bert, { text: '', image, clientId });
  const before = stored();
  for (let round = 0; round < 3; round++) {
    const again = await anna.send(bert, { text: '', image: dataUrl('image/png', noise(20, 20)), clientId });
    assert.equal(again.image, first.image);
  }
  assert.equal((await anna.post(`/messages/send/${bert.id}`, { text: 'x'.repeat(65 * 1024), image })).status, 400);
  assert.equal((await anna.post(`/messages/send/${'f'.repeat(24)}`, { text: '', image })).status, 404);
  assert.equal((await anna.put('/auth/update-profile', { fullName: 'x'.repeat(1_000), profilePic: image })).status, 400);
  assert.deepEqual(stored().sort(), before.sort());
  const pictures = [];
  for (let round = 0; round < 3; round++) pictures.push((await anna.put('/auth/update-profile', { profilePic: image })).data.profilePic);
  assert.equal(stored().length, before.length + 1);
  const [old, , current] = pictures.map((link) => new URL(link).pathname);
  assert.equal((await request(server, { path: old })).status, 404);
  assert.equal((await request(server, { path: current })).status, 200);
});

test('a person stores as much as they may, also over a restart, and is told so', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const large = dataUrl('image/png', noise(200, 200)); // some 120 kB
  for (let n = 0; n < 3; n++) await anna.send(bert, { text: '', image: large });
  const full = async () => {
    const before = stored().length;
    const answer = await anna.post(`/messages/send/${bert.id}`, { text: '', image: large });
    assert.equal(answer.status, 413);
    assert.match(answer.data.message, /space/);
    assert.equal(stored().length, before);
  };
  await full();
  await server.stop();
  await server.launch();
  await full();
  await anna.send(bert, { text: 'a text is still sent', image: null });
  await bert.send(anna, { text: '', image: large });
});

test('a limit says how it stands', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  for (let n = 1; n <= 30; n++) {
    const answer = await anna.post(`/messages/send/${bert.id}`, { text: text(), image: null });
    assert.equal(answer.status, 201);
    assert.deepEqual([answer.headers['ratelimit-limit'], answer.headers['ratelimit-remaining']], ['30', String(30 - n)]);
  }
  const refused = await anna.post(`/messages/send/${bert.id}`, { text: text(), image: null });
  assert.deepEqual([refused.status, refused.headers['ratelimit-remaining']], [429, '0']);
  assert.ok(Number(refused.headers['retry-after']) > 0 && refused.headers['ratelimit-reset'] === refused.headers['retry-after']);
});

test('a body that does not say that it is JSON is refused', async () => {
  const anna = await signup(server, 'anna');
  const body = JSON.stringify({ fullName: 'Forged' });
  const put = (type) => anna.put('/auth/update-profile', body, { headers: { 'content-type': type }, transformRequest: [(data) => data] });
  for (const type of ['text/plain', 'text/plain;charset=UTF-8', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
    const answer = await put(type);
    assert.equal(answer.status, 415, type);
    assert.equal(typeof answer.data.message, 'string', type);
  }
  assert.equal((await request(server, { method: 'POST', path: '/api/auth/login', body })).status, 415, 'none at all');
  assert.equal((await request(server, { method: 'POST', path: '/api/auth/logout', headers: { 'content-type': 'text/plain' } })).status, 200);
  assert.equal((await anna.get('/auth/check')).data.fullName, anna.fullName);
  assert.equal((await put('application/json')).status, 200);
});
