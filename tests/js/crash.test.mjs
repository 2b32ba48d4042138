// kill -9 under load: every message that was acknowledged must be there afterwards, once and in order.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { unique } from './support/names.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets } from './support/wait.mjs';

const ROUNDS = 3;
const ACKS_PER_ROUND = 2_000;
const CAMEL_SENDERS = 16;
const PUSH_SENDERS = 4;
const IN_FLIGHT = 32;

let server;
before(async () => {
  server = await startServer();
});
after(async () => {
  closeSockets();
  await server?.finish();
});

/** The texts one sender has sent, in order, and those that were acknowledged. */
class Sender {
  constructor(account, partner) {
    Object.assign(this, { account, partner, sent: [], acknowledged: new Set() });
    this.mark = unique('sender');
  }

  next() {
    const number = this.sent.length;
    // Short ones and long ones, so that plain and compressed bodies are on the disk.
    // Trimmed, as one of the families does with what it stores.
    const text = `${this.mark} ${number} ${'some more words '.repeat(number % 12)}`.trim();
    this.sent.push(text);
    return text;
  }

  /** Compares what is stored with what was sent. */
  check(stored) {
    const known = new Set(this.sent);
    assert.deepEqual(stored.filter((text) => !known.has(text)), [], 'nothing that was not sent');
    assert.equal(new Set(stored).size, stored.length, 'nothing twice');
    const present = new Set(stored);
    assert.deepEqual([...this.acknowledged].filter((text) => !present.has(text)), [], 'nothing acknowledged is lost');
    const numbers = stored.map((text) => Number(text.split(' ')[1]));
    assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), 'nothing out of order');
  }
}

test(`${ROUNDS} times kill -9 under load on the same data`, async (t) => {
  const talkers = await Promise.all(Array.from({ length: CAMEL_SENDERS }, (_, i) => camel.register(server, `talker${i}`)));
  const posters = await Promise.all(Array.from({ length: PUSH_SENDERS }, (_, i) => push.signup(server, `poster${i}`)));
  const pairs = (accounts) => accounts.map((account, i) => new Sender(account, accounts[i ^ 1]));
  const [socketSenders, restSenders] = [pairs(talkers), pairs(posters)];

  for (let round = 1; round <= ROUNDS; round++) {
    await t.test(`round ${round}`, async () => {
      const load = new Load();
      const sockets = await Promise.all(socketSenders.map((sender) => camel.enter(server, sender.account)));
      const ends = [
        ...socketSenders.map((sender, i) => floodSocket(sockets[i], sender, load)),
        ...restSenders.map((sender) => floodRest(sender, load)),
      ];
      await load.enough;
      await server.kill9();
      await Promise.all(ends);
      await server.restart();

      await Promise.all(
        socketSenders.map(async (sender) => {
          const socket = await camel.enter(server, sender.account);
          const list = await camel.history(socket, sender.partner.name);
          sender.check(list.filter((message) => message.sender === sender.account.name).map((message) => message.text));
          socket.disconnect();
        }),
      );
      for (const sender of restSenders) {
        const list = await sender.account.history(sender.partner);
        sender.check(list.filter((message) => message.senderId === sender.account.id).map((message) => message.text));
      }
    });
  }
});

/** Counts acknowledgements, and tells when there are enough. */
class Load {
  constructor() {
    this.count = 0;
    this.enough = new Promise((resolve) => (this.reached = resolve));
  }
  acknowledge(sender, text) {
    sender.acknowledged.add(text);
    if (++this.count >= ACKS_PER_ROUND) this.reached();
  }
}

/** Keeps messages in flight until the socket is gone. */
function floodSocket(socket, sender, load) {
  return new Promise((resolve) => {
    socket.once('disconnect', resolve);
    const send = () => {
      if (!socket.connected) return;
      const text = sender.next();
      socket.emit('privateMessage', camel.letter(sender.partner.name, text), (ack) => {
        if (ack.ok) load.acknowledge(sender, text);
        send();
      });
    };
    for (let i = 0; i < IN_FLIGHT; i++) send();
  });
}

/** One request after the other until the server is gone. */
async function floodRest(sender, load) {
  for (;;) {
    const text = sender.next();
    const answer = await sender.account.post(`/messages/send/${sender.partner.id}`, { text }).catch(() => undefined);
    if (!answer) return;
    assert.equal(answer.status, 201);
    load.acknowledge(sender, text);
  }
}
