// What a restart, wanted or not, must leave as it was.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { dataUrl, noise } from './support/images.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, once, refusal, within } from './support/wait.mjs';

let server;
afterEach(async () => {
  closeSockets();
  await server?.finish();
});
after(closeSockets);

/** No secret in the environment: the server makes one and keeps it in its data folder. */
const OWN_SECRET = { JWT_SECRET: undefined, NODE_ENV: undefined };

beforeEach(async () => {
  server = await startServer(OWN_SECRET);
});

test('kill -9: camel accounts, tokens and histories are as they were', async () => {
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const annas = await camel.enter(server, anna);
  const notes = [text('short'), text('long '.repeat(500)), text('größer 日本語 '.repeat(20))];
  for (const note of notes) await camel.say(annas, bert.name, note);
  const file = text('file '.repeat(300_000));
  await camel.say(annas, bert.name, file, { isFile: true, fileName: 'big.txt' });
  const before = await camel.history(annas, bert.name);
  await server.kill9();
  await server.restart();

  for (const [user, other] of [[anna, bert], [bert, anna]]) {
    const socket = await camel.enter(server, user);
    assert.deepEqual(await camel.history(socket, other.name), before);
  }
  const login = await camel.post(server, '/api/login', { username: anna.name, password: anna.password });
  assert.equal(login.status, 200);
  assert.equal((await camel.post(server, '/api/register', { username: anna.name, password: anna.password })).status, 400);
});

test('kill -9: push accounts, cookies, messages and pictures are as they were', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const [picture, portrait] = [noise(300, 200), noise(50, 50)];
  const gone = await anna.send(bert, text('deleted'));
  await anna.send(bert, { text: text(), image: dataUrl('image/png', picture) });
  await bert.send(anna, text());
  await anna.delete(`/messages/${gone._id}`);
  const profile = (await anna.put('/auth/update-profile', { profilePic: dataUrl('image/png', portrait) })).data;
  const before = await anna.history(bert);
  await server.kill9();
  await server.restart();

  assert.equal((await anna.get('/auth/check')).data.profilePic, profile.profilePic, 'the old cookie is still good');
  assert.equal(before.length, 2);
  assert.deepEqual(await anna.history(bert), before);
  assert.deepEqual(await bert.history(anna), before);
  for (const [url, bytes] of [[before[0].image, picture], [profile.profilePic, portrait]]) {
    const loaded = await request(server, { path: new URL(url, server.url).pathname });
    assert.equal(loaded.status, 200);
    assert.ok(loaded.raw.equals(bytes), 'byte for byte');
  }
  assert.equal((await anna.put(`/messages/${gone._id}/restore`)).status, 200, 'even what was deleted');
  assert.equal((await anna.history(bert)).length, 3);
  await anna.open();
});

test('a revoked token stays revoked', async () => {
  const anna = await push.signup(server, 'anna');
  const cookie = anna.cookie;
  await anna.post('/auth/logout');
  const check = () => anna.get('/auth/check', { headers: { cookie } });
  assert.equal((await check()).status, 401);
  await server.kill9();
  await server.restart();
  assert.equal((await check()).status, 401);
  await refusal(anna.open({ extraHeaders: { cookie } }));
  assert.equal((await anna.login()).status, 200);
});

for (const [how, transports] of [['websocket', ['websocket']], ['polling', ['polling']], ['polling, then websocket', ['polling', 'websocket']]]) {
  test(`SIGTERM with open sockets (${how}): it ends in time, and the clients come back by themselves`, async () => {
    const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
    const [carl, dora] = [await push.signup(server, 'carl'), await push.signup(server, 'dora')];
    const patient = { transports, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
    const [annas, berts] = [await camel.enter(server, anna, patient), await camel.enter(server, bert, patient)];
    const [carls, doras] = [await carl.open(patient), await dora.open(patient)];
    const all = [annas, berts, carls, doras];
    const gone = all.map((socket) => once(socket, 'disconnect'));
    await server.stop();
    await Promise.all(gone);
    const back = all.map((socket) => within(new Promise((resolve) => socket.once('connect', resolve)), 20_000, 'the reconnect'));
    await server.launch();
    await Promise.all(back);

    const note = text();
    await Promise.all([camel.heard(berts, note), camel.say(annas, bert.name, note)]);
    const arrives = once(doras, 'newMessage');
    const message = await carl.send(dora, text());
    assert.deepEqual(await arrives, message);
    await push.roster(doras, (list) => list.includes(carl.id) && list.includes(dora.id));
  });
}

test('kill -9 with open sockets: the clients come back by themselves', async () => {
  const [carl, dora] = [await push.signup(server, 'carl'), await push.signup(server, 'dora')];
  const doras = await dora.open({ reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  await server.kill9();
  const back = within(new Promise((resolve) => doras.once('connect', resolve)), 20_000, 'the reconnect');
  await server.restart();
  await back;
  const arrives = once(doras, 'newMessage');
  const message = await carl.send(dora, text());
  assert.deepEqual(await arrives, message);
});
