// More connections of one person than a server keeps: the newest takes the place of the one that is needed least.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';

import ioV2 from 'socket.io-client-2';

import * as camel from './support/camel.mjs';
import { text } from './support/names.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, leaveSockets, once, until } from './support/wait.mjs';

const MAX_PER_PERSON = 64;
/** Clients that come back as soon as they are cut. */
const BACK_SOON = { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 };

let server;
let anna;
let bert;
let annas;
beforeEach(async () => {
  server = await startServer({ CHAT_LOG: 'warn,security=info' });
  [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  annas = await camel.enter(server, anna);
});
afterEach(async () => {
  closeSockets();
  await server.finish();
});
after(leaveSockets);

async function tabs(count, options) {
  const opened = [];
  for (let n = 0; n < count; n++) opened.push(await camel.enter(server, bert, { ...BACK_SOON, ...options(n) }));
  for (const tab of opened) {
    tab.connects = 0;
    tab.on('connect', () => tab.connects++);
  }
  return opened;
}

/** All of these are told what anna says. */
async function allHear(these) {
  const words = text();
  const hearing = these.map((tab) => once(tab, 'privateMessage', (message) => message.text === words));
  await camel.say(annas, bert.name, words);
  await Promise.all(hearing);
}

for (const [way, transports] of Object.entries({ websocket: ['websocket'], polling: ['polling'] })) {
  test(`${way}: the 65th takes the place of the one that has said nothing for longest`, async () => {
    const opened = await tabs(MAX_PER_PERSON, () => ({ transports }));
    // The two oldest say something, so the third is the one.
    for (const tab of opened.slice(0, 2)) await camel.say(tab, anna.name, text());
    const dropped = once(opened[2], 'disconnect');
    const newest = await camel.enter(server, bert, { transports });
    assert.equal(await dropped, 'io server disconnect');
    const second = once(opened[3], 'disconnect');
    const another = await camel.enter(server, bert, { transports });
    assert.equal(await second, 'io server disconnect');

    const kept = [...opened.slice(0, 2), ...opened.slice(4), newest, another];
    await allHear(kept);
    assert.ok(kept.every((tab) => tab.connected && tab.drops.length === 0), 'nobody else was cut');
    assert.deepEqual([opened[2].connects, opened[3].connects], [0, 0], 'they do not come back by themselves');
    assert.ok(!opened[2].active && !opened[3].active);
    await until(() => /"?connections"?/.test(server.log), 'a line of the security log');
    // Somebody else is none of theirs.
    assert.deepEqual([annas.connected, annas.drops], [true, []]);
  });
}

test('an older client, and many that come at once: there are never more than 64', async () => {
  // It has no `auth`; its pages send the header.
  const extraHeaders = { Authorization: `Bearer ${bert.token}` };
  const oldest = await camel.enter(server, bert, { transports: ['websocket'], extraHeaders }, ioV2);
  const dropped = once(oldest, 'disconnect');
  const opened = await Promise.all(
    Array.from({ length: 100 }, () => camel.enter(server, bert, { transports: ['websocket'], reconnection: false })),
  );
  assert.equal(await dropped, 'io server disconnect');
  await until(() => opened.filter((tab) => tab.connected).length <= MAX_PER_PERSON, '64 at most');
  const left = opened.filter((tab) => tab.connected);
  assert.equal(left.length, MAX_PER_PERSON);
  await allHear(left);
  assert.ok(opened.every((tab) => tab.drops.every((reason) => reason === 'io server disconnect')));
});
