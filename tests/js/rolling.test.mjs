// Restarts under load, on a socket that outlives the server (`LISTEN_FDS`, see sd_listen_fds(3)).

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, afterEach, test } from 'node:test';

import { io as io48 } from 'socket.io-client';
import { io as io46 } from 'socket.io-client-4.6';

import { gather } from './support/talkers.mjs';
import { startServer } from './support/server.mjs';
import { startSupervisor } from './support/supervisor.mjs';
import { closeSockets, leaveSockets, until } from './support/wait.mjs';

let server;
let supervisor;
afterEach(async () => {
  closeSockets();
  await server?.finish();
  await supervisor?.close();
  [server, supervisor] = [];
});
after(leaveSockets);

/** Asks all the time, each time on a connection of its own, and counts what becomes of it. */
class Prober {
  outcomes = {};
  #stopped = false;

  constructor(server, path) {
    this.asking = (async () => {
      while (!this.#stopped) {
        const outcome = await ask(server, path);
        this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
      }
    })();
  }

  get answered() {
    return this.outcomes[200] ?? 0;
  }

  async stop() {
    this.#stopped = true;
    await this.asking;
  }
}

function ask(server, path) {
  return new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port: server.port, path, agent: false }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode)).on('error', () => resolve('broken'));
    });
    request.on('error', (error) => resolve(error.code));
  });
}

test('on an inherited socket nobody is refused while the server is restarted', async () => {
  supervisor = await startSupervisor();
  server = await startServer({}, supervisor);
  const probers = Array.from({ length: 4 }, () => new Prober(server, '/healthz'));
  const more = (count) => {
    const goals = probers.map((prober) => prober.answered + count);
    return until(() => probers.every((prober, i) => prober.answered >= goals[i]), `${count} answers more`);
  };
  for (let restart = 0; restart < 5; restart++) {
    await more(20);
    await server.restart();
  }
  await more(20);
  await Promise.all(probers.map((prober) => prober.stop()));
  for (const { outcomes } of probers) assert.deepEqual(Object.keys(outcomes), ['200'], JSON.stringify(outcomes));
});

test('a socket meant for another process is left alone', async () => {
  server = await startServer({ LISTEN_FDS: '1', LISTEN_PID: '1' });
  assert.equal(await ask(server, '/healthz'), 200);
});

for (const [version, client, inherited] of [
  ['4.8', io48, true],
  ['4.6', io46, false],
]) {
  const where = inherited ? 'an inherited socket' : 'a socket of its own';
  test(`five restarts under load on ${where}, socket.io-client ${version}: all of it, once, in order`, async () => {
    supervisor = inherited ? await startSupervisor() : undefined;
    server = await startServer({}, supervisor);
    const transports = [['websocket'], ['polling'], ['polling', 'websocket']];
    const load = await gather(6, server, client, server, (index) => ({ transports: transports[index % 3] }));
    load.start();
    for (let restart = 0; restart < 5; restart++) {
      await load.more(8);
      if (restart % 2) await server.kill9();
      await server.restart();
    }
    await load.more(8);
    await load.finish();
    for (const talker of load.talkers) assert.ok(talker.drops > 0, 'every page was cut off');
  });
}
