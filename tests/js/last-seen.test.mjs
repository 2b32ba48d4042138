// When people were last seen: never before their last message or connection, also when the server is killed right behind it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, once } from './support/wait.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(async () => {
  closeSockets();
  await server?.finish();
});

/** Kills the server and starts it again; nobody is connected then. */
async function killed() {
  closeSockets();
  await server.kill9();
  await server.launch();
}

/** Checks that somebody is shown as seen between two moments. */
function assertSeen(lastSeen, from, what) {
  assert.match(lastSeen ?? 'never', /^\d{4}-.*Z$/, what);
  const moment = new Date(lastSeen).getTime();
  assert.ok(moment >= from, `${what}: ${lastSeen} is not before ${new Date(from).toISOString()}`);
  assert.ok(moment <= Date.now(), `${what}: ${lastSeen} is not in the future`);
}

test('camel: after a connection, and after a message', async () => {
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  const seen = async () => (await camel.get(server, '/api/users', bert.token)).json.find(({ username }) => username === anna.name);
  for (let round = 0; round < 3; round++) {
    const connecting = Date.now();
    const page = await camel.enter(server, anna);
    await killed();
    assertSeen((await seen()).lastSeen, connecting, 'connected');
    assert.equal((await seen()).online, false);
    assert.equal(page.connected, false);

    const again = await camel.enter(server, anna);
    for (let said = 0; said < 3; said++) {
      const before = Date.now();
      await camel.say(again, bert.name, text());
      if (said === 2) await killed();
      assertSeen((await seen()).lastSeen, before, 'said something');
    }
  }
});

test('push: by REST alone, without any socket', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const seen = async (path) => (await bert.get(path)).data.find(({ _id }) => _id === anna.id).lastSeen;
  for (let round = 0; round < 3; round++) {
    const message = await anna.send(bert, text());
    if (round > 0) await killed();
    const sent = new Date(message.createdAt).getTime();
    for (const path of ['/messages/contacts', '/messages/chats']) assertSeen(await seen(path), sent, path);
  }
});

test('who has left in order is shown with the moment at which they left, also after the server has stopped', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const berts = await bert.open();
  const annas = await anna.open();
  await push.roster(berts, (list) => list.includes(anna.id));
  await anna.send(bert, text());
  const gone = once(berts, 'getOnlineUsers', (list) => !list.includes(anna.id));
  const leaving = Date.now();
  annas.disconnect();
  await gone;
  const left = Date.now();
  const seen = async () => (await bert.get('/messages/contacts')).data.find(({ _id }) => _id === anna.id).lastSeen;
  const shown = await seen();
  assertSeen(shown, leaving, 'left');
  assert.ok(new Date(shown).getTime() <= left, 'the moment itself, nothing that was written ahead');
  closeSockets();
  await server.restart();
  assert.equal(await seen(), shown);
});
