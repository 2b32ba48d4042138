// Moving house: from SQLite to MongoDB by `chat-server copy`, while pages wait for the server to come back.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { io } from 'socket.io-client';

import { BACK_SOON } from './support/families.mjs';
import { startMongo } from './support/mongodb.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, connect, once, until } from './support/wait.mjs';

let mongo;
let server;
after(async () => {
  closeSockets();
  await server?.finish();
  await mongo?.finish();
});

test('a page goes on where it was when the server has moved from SQLite to MongoDB', async () => {
  mongo = await startMongo();
  server = await startServer();
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const page = await connect(io, server.url, { auth: { token: bert.token }, ...BACK_SOON });
  const shown = [];
  page.on('newMessage', (message) => shown.push(message.text));
  const [first, gone, sent] = [text(), text(), { text: text(), clientId: 'once' }];
  await anna.send(bert, first);
  const deleted = await anna.send(bert, gone);
  const original = await anna.send(bert, sent);
  await anna.delete(`/messages/${deleted._id}`);
  await until(() => shown.length === 3, 'three messages');
  const before = await anna.history(bert);

  const [dropped, back] = [once(page, 'disconnect'), once(page, 'connect')];
  await server.stop();
  await dropped;
  const refused = await server.run('copy');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /CHAT_STORE/, 'it must be said where to');
  server.env.CHAT_STORE = mongo.url;
  const copied = await server.run('copy');
  assert.deepEqual([copied.code, copied.stderr], [0, '']);
  assert.match(copied.stdout, /2 accounts, 1 conversations and 3 messages/);
  const again = await server.run('copy');
  assert.equal(again.code, 1);
  assert.match(again.stderr, /not empty/);
  await server.launch();
  await back;

  assert.equal(page.recovered, true, 'it is the same session');
  assert.deepEqual(await anna.history(bert), before);
  assert.equal((await anna.send(bert, sent))._id, original._id, 'a send that is repeated is known');
  assert.equal((await anna.put(`/messages/${deleted._id}/restore`)).status, 200);
  const last = text();
  await anna.send(bert, last);
  await until(() => shown.at(-1) === last, 'what is said after the move');
  assert.deepEqual(shown, [first, gone, sent.text, last], 'nothing twice, nothing missing');
  assert.equal((await bert.history(anna)).length, 4);
});
