// People who talk with each other all the time, whatever happens to the server and the network, and the comparison of
// what they sent, what they were told and what is stored.
//
// Each sends one message after the other, and the next when the last is acknowledged. `camel` pages leave re-sending to
// the client (`retries`), `push` pages repeat the request with its `Idempotency-Key`.

import assert from 'node:assert/strict';

import * as camel from './camel.mjs';
import { BACK_SOON } from './families.mjs';
import { unique } from './names.mjs';
import * as push from './push.mjs';
import { LIMIT, connect, once, until, within } from './wait.mjs';

class Talker {
  constructor() {
    Object.assign(this, { mark: unique('talker'), sent: [], acknowledged: 0, shown: [], afresh: 0, drops: 0 });
  }

  /** Opens the page. */
  async open(client, url, token, options, events) {
    this.page = await connect(client, url, { auth: { token }, ...BACK_SOON, ...options });
    for (const event of events) this.page.on(event, (message) => this.shown.push(message.text));
    this.page.on('connect', () => (this.afresh += this.page.recovered ? 0 : 1));
    this.page.on('disconnect', () => this.drops++);
  }

  /** Sends one message, however often that takes. */
  async say() {
    // Trimmed, as one of the families does with what it stores.
    const words = `${this.mark} ${this.sent.length} ${'some more words '.repeat(this.sent.length % 6)}`.trim();
    this.sent.push(words);
    await this.send(words);
    this.acknowledged++;
  }
}

/** A page of the `camel` family. */
class CamelTalker extends Talker {
  static async prepare(server) {
    const talker = new CamelTalker();
    talker.account = await camel.register(server, 'talker');
    return talker;
  }

  get token() {
    return this.account.token;
  }

  enter(client, proxy, options) {
    // Longer than any test: only a new connection makes the client send again.
    const resending = { retries: 1_000, ackTimeout: 600_000 };
    return this.open(client, proxy.url, this.token, { ...resending, ...options }, ['privateMessage']);
  }

  async send(words) {
    const letter = camel.letter(this.partner.account.name, words);
    for (;;) {
      const ack = await new Promise((resolve, reject) => {
        this.page.emit('privateMessage', letter, (error, answer) => (error ? reject(error) : resolve(answer)));
      });
      if (ack.ok) return;
      // A server that is about to end may be unable to store any more.
      assert.equal(ack.error.code, 'unavailable', JSON.stringify(ack.error));
    }
  }

  async stored() {
    return (await camel.history(this.page, this.partner.account.name)).map((message) => message.text);
  }
}

/** A page of the `push` family. */
class PushTalker extends Talker {
  static async prepare(server) {
    const talker = new PushTalker();
    talker.account = await push.signup(server, 'talker');
    return talker;
  }

  get token() {
    return this.account.token;
  }

  enter(client, proxy, options) {
    this.browser = new push.Browser(proxy);
    this.browser.cookies = this.account.cookies;
    return this.open(client, proxy.url, this.token, options, ['newMessage', 'messageSent']);
  }

  async send(words) {
    const headers = { 'idempotency-key': words.split(' ', 2).join('-') };
    // A kept connection may have become a black hole while nothing was sent on it, and the page has another one.
    const timeout = 5_000;
    for (;;) {
      const aborted = new AbortController();
      const lost = () => aborted.abort();
      this.page.once('disconnect', lost);
      const answer = await this.browser
        .post(`/messages/send/${this.partner.account.id}`, { text: words, image: null }, { headers, timeout, signal: aborted.signal })
        .catch(() => undefined)
        .finally(() => this.page.off('disconnect', lost));
      if (answer?.status === 201) return;
      if (answer) assert.ok(answer.status >= 500, `${answer.status} ${JSON.stringify(answer.data)}`);
      // A page that is cut off waits until it is back.
      if (!this.page.connected) await once(this.page, 'connect', () => true, 6 * LIMIT);
    }
  }

  async stored() {
    return (await this.account.history(this.partner.account)).map((message) => message.text);
  }
}

const FAMILIES = [CamelTalker, PushTalker];

/**
 * Pairs of people who talk, half of them in each family, whose pages are opened at `proxy` (or the server itself);
 * `options(index)` are the client's.
 */
export async function gather(pairs, server, client, proxy, options = () => ({})) {
  const talkers = [];
  for (let pair = 0; pair < pairs; pair++) {
    const Family = FAMILIES[pair % FAMILIES.length];
    const [one, other] = [await Family.prepare(server), await Family.prepare(server)];
    Object.assign(one, { partner: other });
    Object.assign(other, { partner: one });
    talkers.push(one, other);
  }
  await Promise.all(talkers.map((talker, index) => talker.enter(client, proxy, options(index))));
  return new Load(talkers);
}

class Load {
  #stopped = false;

  constructor(talkers) {
    this.talkers = talkers;
  }

  get acknowledged() {
    return this.talkers.reduce((sum, talker) => sum + talker.acknowledged, 0);
  }

  /** Everybody begins to talk. */
  start() {
    const talking = this.talkers.map(async (talker) => {
      while (!this.#stopped) await talker.say();
    });
    this.talking = Promise.all(talking);
    // Awaited in `finish`; until then nobody need hear of it.
    this.talking.catch(() => {});
  }

  /** Waits until everybody was acknowledged so many messages more. */
  async more(messages) {
    const goals = this.talkers.map((talker) => talker.acknowledged + messages);
    const done = () => this.talkers.every((talker, i) => talker.acknowledged >= goals[i]);
    await Promise.race([this.talking, until(done, `${messages} messages more from everybody`, 3 * LIMIT)]);
  }

  /** Waits until so many messages more were acknowledged, whosoever. */
  async some(messages) {
    const goal = this.acknowledged + messages;
    await Promise.race([this.talking, until(() => this.acknowledged >= goal, `${messages} messages more`, 3 * LIMIT)]);
  }

  /** Everybody stops, and each page must show what was sent, all of it, once, in order, as it is stored. */
  async finish() {
    this.#stopped = true;
    await within(this.talking, 3 * LIMIT, 'the last acknowledgements');
    // What comes twice would have come before this.
    for (const talker of this.talkers) await within(talker.say(), LIMIT, 'the acknowledgement of the last message');
    for (const talker of this.talkers) {
      const expected = talker.sent.length + talker.partner.sent.length;
      await until(() => talker.shown.length >= expected, `${expected} messages on the page`).catch(() => {});
    }
    for (const talker of this.talkers) {
      for (const sender of [talker, talker.partner]) {
        const shown = talker.shown.filter((words) => words.startsWith(`${sender.mark} `));
        assert.deepEqual(shown, sender.sent, 'all, once, in order');
      }
      assert.deepEqual(await talker.stored(), talker.shown, 'as it is stored');
      assert.equal(talker.afresh, 0, 'every session went on where it was');
      assert.equal(talker.acknowledged, talker.sent.length);
    }
  }
}
