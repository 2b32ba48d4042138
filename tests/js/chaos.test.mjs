// A crowd talks while its network and its server do their worst, at random. The seed is printed; `CHAOS_SEED=…` repeats
// the same order of faults, though not the same timing.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';

import { io } from 'socket.io-client';

import { gather } from './support/talkers.mjs';
import { DOWN, UP, startProxy } from './support/proxy.mjs';
import { random } from './support/random.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, leaveSockets } from './support/wait.mjs';

const PAIRS = 10;
const FAULTS = 24;

let server;
let proxy;
afterEach(async () => {
  closeSockets();
  await proxy?.close();
  await server?.finish();
});
after(leaveSockets);

test('a crowd under random faults: all of it, once, in order', async (t) => {
  const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`CHAOS_SEED=${seed}`);
  const chance = random(seed);
  const any = (list) => list[Math.floor(chance() * list.length)];
  server = await startServer({ CHAT_PING_INTERVAL: '500', CHAT_PING_TIMEOUT: '1000' });
  proxy = await startProxy(server);
  const transports = [['websocket'], ['polling'], ['polling', 'websocket']];
  const load = await gather(PAIRS, server, io, proxy, (index) => ({ transports: transports[index % 3], timeout: 5_000 }));

  /** Each begins; what it gives ends it. */
  const faults = {
    'a reset': () => proxy.reset(),
    'no way in': () => {
      proxy.cut();
      return () => proxy.accept();
    },
    'a black hole': () => {
      proxy.swallow();
    },
    'one way only': () => {
      const way = any([UP, DOWN]);
      proxy.blacken(way);
      return () => proxy.heal();
    },
    'a stall': () => {
      proxy.hold(...any([[UP], [DOWN], [UP, DOWN]]));
      return () => proxy.release();
    },
    jitter: () => {
      proxy.delay(() => 60 * chance() ** 4);
      return () => proxy.delay(() => 0);
    },
    'an orderly restart': async () => {
      await server.stop();
      return () => server.launch();
    },
    'kill -9': async () => {
      await server.kill9();
      return () => server.launch();
    },
  };
  load.start();
  const happened = {};
  for (let i = 0; i < FAULTS; i++) {
    // Not everybody gets through between two faults.
    await load.some(Math.floor(40 * chance()));
    const name = any(Object.keys(faults));
    happened[name] = (happened[name] ?? 0) + 1;
    const end = await faults[name]();
    // How long it lasts: for nobody gets through while some of them last.
    await new Promise((resolve) => setTimeout(resolve, 250 * chance()));
    await end?.();
  }
  await load.finish();
  t.diagnostic(`${load.acknowledged} messages, ${JSON.stringify(happened)}`);
  assert.ok(load.acknowledged >= 2 * PAIRS);
});
