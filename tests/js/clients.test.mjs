// Every client generation over every transport, in both dialects: log in, send, receive, history.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { io as io48 } from 'socket.io-client';
import ioV2 from 'socket.io-client-2';
import { io as io31 } from 'socket.io-client-3.1';
import { io as io41 } from 'socket.io-client-4.1';
import { io as io46 } from 'socket.io-client-4.6';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { ask, assertAccepted, assertRefused, closeSockets, connect, once, refusal, within } from './support/wait.mjs';

let server;
before(async () => {
  server = await startServer();
});
after(async () => {
  closeSockets();
  await server?.finish();
});

const clients = { 4.8: io48, 4.6: io46, 4.1: io41, 3.1: io31, 2.5: ioV2 };
const transports = {
  'polling, then upgrade': undefined,
  'websocket only': ['websocket'],
  'polling only': ['polling'],
};

/** With the default transports every client must end up on websocket. */
async function settled(socket, names) {
  const engine = socket.io.engine;
  const wanted = names?.[0] ?? 'websocket';
  if (engine.transport.name !== wanted) {
    await within(new Promise((resolve) => engine.once('upgrade', resolve)), 10_000, 'the upgrade');
  }
  assert.equal(engine.transport.name, wanted);
}

for (const [version, client] of Object.entries(clients)) {
  describe(`socket.io-client ${version}`, () => {
    for (const [name, names] of Object.entries(transports)) {
      const options = names ? { transports: names } : {};

      test(`camel: ${name}`, async () => {
        const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
        // The oldest client has no `auth`; its pages send the header.
        const enter = (user) => {
          const header = version === '2.5' ? { auth: undefined, ...authorization(user.token) } : {};
          return camel.enter(server, user, { ...options, ...header }, client);
        };
        const [annas, berts] = [await enter(anna), await enter(bert)];
        const early = text('early');
        await Promise.all([camel.heard(berts, early), camel.say(annas, bert.name, early)]);
        await Promise.all([settled(annas, names), settled(berts, names)]);
        const late = text(`late ${'and long '.repeat(30)}`);
        await Promise.all([camel.heard(annas, late), camel.say(berts, anna.name, late)]);
        assertAccepted(await camel.sayAcked(annas, bert.name, 'acked'));
        assertRefused(await camel.sayAcked(annas, bert.name, ''), 'empty text');
        for (const [socket, other] of [[annas, bert], [berts, anna]]) {
          assert.deepEqual((await camel.history(socket, other.name)).map((message) => message.text), [early, late, 'acked']);
        }
        assert.deepEqual([annas.drops, berts.drops], [[], []]);
      });

      test(`push: ${name}`, async () => {
        const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
        const [annas, berts] = [await anna.open(options, client), await bert.open(options, client)];
        await push.roster(annas, (list) => list.includes(anna.id) && list.includes(bert.id));
        await push.roster(berts, (list) => list.includes(anna.id) && list.includes(bert.id));
        const first = once(berts, 'newMessage');
        const early = await anna.send(bert, text('early'));
        assert.deepEqual(await first, early);
        await Promise.all([settled(annas, names), settled(berts, names)]);
        const second = once(annas, 'newMessage');
        const late = await bert.send(anna, text('late'));
        assert.deepEqual(await second, late);
        const typing = once(berts, 'userTyping');
        assertAccepted(await ask(annas, 'typing', { to: bert.id }));
        assert.deepEqual(await typing, { userId: anna.id, senderId: anna.id, chatId: anna.id, groupId: null, isGroup: false, isTyping: true, typing: true });
        assert.deepEqual(await anna.history(bert), [early, late]);
        const offline = once(annas, 'getOnlineUsers', (list) => !list.includes(bert.id));
        berts.disconnect();
        await offline;
      });

      test(`refused: ${name}`, async () => {
        const token = 'nonsense';
        const header = version === '2.5' ? authorization(token) : { auth: { token } };
        assert.equal(await refusal(connect(client, server.url, { ...options, ...header })), 'Authentication error');
      });
    }
  });
}

function authorization(token) {
  return { extraHeaders: { authorization: `Bearer ${token}` } };
}
