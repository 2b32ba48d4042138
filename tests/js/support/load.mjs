// Pages that talk in pairs at a steady pace, and an account of what became of what they said.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';

import * as camel from './camel.mjs';
import { connect, until } from './wait.mjs';

/** How long an answer may take: 5 s are promised, and a machine that is busy otherwise adds to them. */
const ANSWER_WITHIN = 8_000;

/** One person with one page, which comes back by itself. */
class Talker {
  constructor(account, partner) {
    Object.assign(this, { account, partner, sent: 0, acknowledged: new Set(), refused: 0, unanswered: 0, slowest: 0 });
    /** What the page shows, in the order in which it came. */
    this.shown = [];
    this.disorder = 0;
    this.position = 0n;
  }

  async open(url) {
    this.page = await connect(io, url, {
      auth: { token: this.account.token },
      transports: ['websocket'],
      reconnection: true,
      reconnectionDelay: 100,
      reconnectionDelayMax: 1_000,
    });
    this.fresh = 0;
    this.cuts = 0;
    this.page.on('disconnect', () => (this.cuts += 1));
    this.page.on('connect', () => (this.fresh += this.page.recovered ? 0 : 1));
    this.page.on('privateMessage', ({ text }) => this.shown.push(text));
    // Behind each message comes its position, which no page listens to.
    this.page.on('\u0001position', (position) => {
      if (BigInt(position) <= this.position) this.disorder += 1;
      this.position = BigInt(position);
    });
  }

  /** Says one thing after the other until `stop()` is true. */
  async talk(pace, stop) {
    while (!stop()) {
      const [begun, cuts] = [performance.now(), this.cuts];
      const words = `${this.account.name} ${this.sent}`;
      this.sent += 1;
      try {
        const answer = await this.page.timeout(ANSWER_WITHIN).emitWithAck('privateMessage', camel.letter(this.partner.account.name, words));
        if (answer.ok) this.acknowledged.add(words);
        else this.refused += 1;
        if (answer.ok) this.lastAcknowledged = performance.now();
        else assert.ok(answer.error?.code && answer.error.message, JSON.stringify(answer));
        this.slowest = Math.max(this.slowest, performance.now() - begun);
      } catch {
        // Who was cut off meanwhile cannot know.
        if (this.cuts === cuts && this.page.connected) this.unanswered += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, pace - (performance.now() - begun))));
    }
  }
}

/** `count` people in pairs, each pair at both of `urls`. */
export async function talkers(count, urls, register) {
  const accounts = await Promise.all(Array.from({ length: count }, (_, i) => register(i)));
  const all = accounts.map((account) => new Talker(account));
  all.forEach((talker, i) => (talker.partner = all[i ^ 1]));
  await Promise.all(all.map((talker, i) => talker.open(urls[i % urls.length])));
  return all;
}

/** Has them talk while `trouble` goes on and for some time before and after it. */
export async function talkThrough(talkers, pace, trouble, before = 2_000, after = 3_000) {
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  let over = false;
  const talking = Promise.all(talkers.map((talker) => talker.talk(pace, () => over)));
  try {
    await pause(before);
    await trouble();
    const mended = performance.now();
    await until(() => talkers.every((talker) => talker.lastAcknowledged > mended), 'that everybody can send again', 20_000);
    const recovery = performance.now() - mended;
    await pause(after);
    return recovery;
  } finally {
    over = true;
    await talking;
  }
}

/** Waits until everything that was acknowledged is shown to both, and counts. */
export async function account(talkers) {
  const missing = (talker) => {
    const shown = new Set(talker.shown);
    return [...talker.acknowledged, ...talker.partner.acknowledged].filter((words) => !shown.has(words));
  };
  const waited = until(() => talkers.every((talker) => missing(talker).length === 0), 'everything that was acknowledged', 30_000);
  await waited.catch(() => {});
  const sum = (of) => talkers.reduce((total, talker) => total + of(talker), 0);
  return {
    sent: sum((talker) => talker.sent),
    acknowledged: sum((talker) => talker.acknowledged.size),
    refused: sum((talker) => talker.refused),
    unanswered: sum((talker) => talker.unanswered),
    delivered: sum((talker) => new Set(talker.shown).size),
    lost: sum((talker) => missing(talker).length),
    doubled: sum((talker) => talker.shown.length - new Set(talker.shown).size),
    disordered: sum((talker) => talker.disorder),
    fresh: sum((talker) => talker.fresh),
    slowest: Math.round(Math.max(...talkers.map((talker) => talker.slowest))),
  };
}
