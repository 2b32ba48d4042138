// What bad networks do short of a clean cut: delays, jitter, stalls, and connections that carry only one way.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, test } from 'node:test';

import { io as io48 } from 'socket.io-client';
import { io as io31 } from 'socket.io-client-3.1';
import { io as io41 } from 'socket.io-client-4.1';
import { io as io46 } from 'socket.io-client-4.6';

import { FAMILIES, TRANSPORTS, back, cut, open, sayAll, shows, some } from './support/families.mjs';
import { DOWN, UP, startProxy } from './support/proxy.mjs';
import { random } from './support/random.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, leaveSockets, once } from './support/wait.mjs';

/** Who is half cut off is found out by this alone. */
const HEARTBEAT = { CHAT_PING_INTERVAL: '500', CHAT_PING_TIMEOUT: '1000' };

let server;
let proxy;
beforeEach(async () => {
  server = await startServer(HEARTBEAT);
  proxy = await startProxy(server);
});
afterEach(async () => {
  closeSockets();
  await proxy.close();
  await server.finish();
});
after(leaveSockets);

const RECOVERING = { 4.8: io48, 4.6: io46 };
const EACH = Object.entries(RECOVERING).flatMap((client) => Object.entries(FAMILIES).map((family) => [client, family]));

for (const [[version, client], [name, prepare]] of EACH) {
  describe(`${name}, socket.io-client ${version}`, () => {
    for (const [way, transports] of Object.entries(TRANSPORTS)) {
      test(`${way}: every byte comes late, some much later than others`, async () => {
        const chance = random(7);
        proxy.delay(() => 40 * chance() ** 3);
        const family = await prepare(server);
        const page = await open(client, proxy, family, { transports });
        const texts = some(24);
        await sayAll(family, texts.slice(0, 8));
        await cut(proxy, page);
        await sayAll(family, texts.slice(8, 12));
        // Written while the page comes back, in any order with what is replayed.
        await Promise.all([back(proxy, page), sayAll(family, texts.slice(12, 20))]);
        assert.equal(page.recovered, true);
        await sayAll(family, texts.slice(20));
        await shows(page, texts);
        assert.deepEqual(page.texts, texts);
      });
    }

    test('a stall shorter than the heartbeat allows is no cut', async () => {
      const family = await prepare(server);
      const page = await open(client, proxy, family, { transports: ['websocket'] });
      const texts = some(6);
      await sayAll(family, texts.slice(0, 2));
      await shows(page, texts.slice(0, 2));
      proxy.hold();
      await sayAll(family, texts.slice(2, 4));
      assert.deepEqual(page.texts, texts.slice(0, 2));
      proxy.release();
      await sayAll(family, texts.slice(4));
      await shows(page, texts);
      assert.deepEqual([page.texts, page.drops], [texts, []]);
    });

    // These take as long as the heartbeat, so each client in one family.
    if ((version === '4.8') !== (name === 'camel')) return;
    for (const [way, transports] of Object.entries({ websocket: ['websocket'], polling: ['polling'] })) {
      for (const [what, direction] of [['hears nothing any more, but is heard', DOWN], ['hears, but is not heard any more', UP]]) {
        test(`${way}: the page ${what}`, async () => {
          const family = await prepare(server);
          const page = await open(client, proxy, family, { transports });
          const texts = some(8);
          await sayAll(family, texts.slice(0, 2));
          await shows(page, texts.slice(0, 2));
          const [dropped, again] = [once(page, 'disconnect'), once(page, 'connect')];
          proxy.blacken(direction);
          await sayAll(family, texts.slice(2, 5));
          // Without the other way there are no more polls.
          if (direction === UP && way === 'websocket') await shows(page, texts.slice(0, 5));
          const reason = await dropped;
          // The page notices by its own heartbeat what it does not hear; what is not heard, the server ends.
          if (direction === DOWN) assert.equal(reason, 'ping timeout');
          proxy.heal();
          await again;
          assert.equal(page.recovered, true);
          await sayAll(family, texts.slice(5));
          await shows(page, texts);
          assert.deepEqual(page.texts, texts);
        });
      }
    }
  });
}

for (const [version, client] of Object.entries({ 4.1: io41, 3.1: io31 })) {
  for (const [name, prepare] of Object.entries(FAMILIES)) {
    for (const [way, transports] of Object.entries(TRANSPORTS)) {
      test(`${name}, socket.io-client ${version}, ${way}: who cannot recover comes back and reads the history`, async () => {
        const family = await prepare(server);
        const page = await open(client, proxy, family, { transports });
        const texts = some(9);
        await sayAll(family, texts.slice(0, 3));
        await shows(page, texts.slice(0, 3));
        await cut(proxy, page);
        await sayAll(family, texts.slice(3, 6));
        await back(proxy, page);
        assert.deepEqual(await family.history(), texts.slice(0, 6));
        await sayAll(family, texts.slice(6));
        const shown = [...texts.slice(0, 3), ...texts.slice(6)];
        await shows(page, shown);
        assert.deepEqual(page.texts, shown, 'nothing twice and nothing that was missed');
        assert.deepEqual(await family.history(), texts);
      });
    }
  }
}
