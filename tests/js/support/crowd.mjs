// Ordinary clients who talk in pairs for as long as a test does something to the server, and what became of it.

//
// They live in a process of their own, so that what an attack costs the test is not taken for slowness of the server. This
// file is that process, too.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';

import * as camel from './camel.mjs';
import { unique } from './names.mjs';
import { until } from './wait.mjs';

/** How often each says something. */
const EVERY_MS = 400;

/** Opens `count` pages, every other one by long polling alone, and has them talk until `finish` is called. */
export async function openCrowd(server, count) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = fork(fileURLToPath(import.meta.url), [String(server.port), String(count)], { env, execArgv: [] });
  const waiting = [];
  child.on('message', ({ value, error }) => {
    const { resolve, reject } = waiting.shift();
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  child.on('exit', () => waiting.splice(0).forEach(({ reject }) => reject(new Error('the crowd has ended'))));
  const next = () => new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  const ask = (what) => {
    const answer = next();
    child.send(what);
    return answer;
  };
  await next();
  return {
    /** How many were answered since `p99` was asked for last. */
    answered: () => ask('answered'),
    acknowledged: () => ask('acknowledged'),
    p99: () => ask('p99'),
    finish: () => ask('finish'),
    kill: () => child.kill(),
  };
}

async function begin(server, count) {
  const people = [];
  for (let i = 0; i < count; i++) people.push(await camel.register(server, 'ordinary'));
  const pages = await Promise.all(
    people.map((person, i) => camel.enter(server, person, i % 4 < 2 ? { transports: ['websocket'] } : polling())),
  );
  const crowd = new Crowd(people, pages);
  crowd.talk();
  return crowd;
}

/** Long polling as browsers do it, over connections that stay open. Node's client would open one for each request. */
function polling() {
  return { transports: ['polling'], agent: new http.Agent({ keepAlive: true }) };
}

class Crowd {
  constructor(people, pages) {
    Object.assign(this, { people, pages, sent: people.map(() => []), times: [], stopped: false });
    this.partner = (i) => i ^ 1;
  }

  talk() {
    this.talking = Promise.all(
      this.people.map(async (_, i) => {
        // Not all at the same moment.
        await pause((EVERY_MS * i) / this.people.length);
        while (!this.stopped) {
          const words = unique('words');
          const started = performance.now();
          const ack = await camel.sayAcked(this.pages[i], this.people[this.partner(i)].name, words);
          assert.equal(ack.ok, true, JSON.stringify(ack));
          this.times.push(performance.now() - started);
          this.sent[i].push(words);
          await pause(EVERY_MS);
        }
      }),
    );
    // Whoever fails is heard of when the crowd is stopped.
    this.talking.catch(() => {});
  }

  answered() {
    return this.times.length;
  }

  /** How many messages were acknowledged. */
  acknowledged() {
    return this.sent.reduce((sum, sent) => sum + sent.length, 0);
  }

  /** The slowest of a hundred answers, of those since it was asked last. */
  p99() {
    const times = this.times.splice(0).sort((a, b) => a - b);
    return times[Math.floor(times.length * 0.99)] ?? 0;
  }

  /** Ends the talk: nobody was cut, and everything that was acknowledged arrived, once and in order. */
  async finish() {
    this.stopped = true;
    await this.talking;
    for (const [i, page] of this.pages.entries()) {
      const expected = this.sent[this.partner(i)];
      const heard = () => page.seen.privateMessage.filter((message) => message.receiver === this.people[i].name).map((message) => message.text);
      await until(() => heard().length >= expected.length, `${expected.length} messages for one of the crowd`);
      assert.deepEqual(heard(), expected);
      assert.deepEqual(page.drops, [], 'nobody of the crowd is cut');
      page.disconnect();
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const say = (work) => work.then(
    (value) => process.send({ value }),
    (error) => process.send({ error: error.stack }),
  );
  const beginning = begin({ port: Number(process.argv[2]), url: `http://127.0.0.1:${process.argv[2]}` }, Number(process.argv[3]));
  say(beginning.then(() => null));
  process.on('message', (what) => say(beginning.then((crowd) => crowd[what]())));
  process.on('disconnect', () => process.exit());
}
