// The database of two running nodes is put back to an earlier state: pages begin afresh by themselves and miss nothing new.

import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';

import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { FAMILIES, open, sayAll, shows, some } from './support/families.mjs';
import { request } from './support/http.mjs';
import { startNodes } from './support/nodes.mjs';
import { leaveSockets, once, until } from './support/wait.mjs';

after(leaveSockets);

const LINE = 'the log has gone back or is another one';

/** The same families with writers who can come back when they were cut. */
const WRITERS = {
  push: FAMILIES.push,
  camel: async (server) => {
    const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
    let annas = await camel.enter(server, anna);
    return {
      event: 'privateMessage',
      token: bert.token,
      say: (words) => camel.say(annas, bert.name, words),
      history: async () => (await camel.history(annas, bert.name)).map((message) => message.text),
      comeBack: async () => (annas = await camel.enter(server, anna)),
    };
  },
};

for (const [name, prepare] of Object.entries(WRITERS)) {
  test(`${name}: a database that is put back under running nodes`, async () => {
    const nodes = await startNodes();
    const { a, b, mongo } = nodes;
    const data = path.join(mongo.folder, 'data');
    const saved = path.join(mongo.folder, 'saved');
    /** Does something to the database's files, beside running nodes. */
    const offline = async (work) => {
      await mongo.kill9();
      work();
      await mongo.start();
      for (const node of [a, b]) await until(async () => (await request(node, { path: '/readyz' })).status === 200, 'that it is ready');
    };
    try {
      const family = await prepare(a);
      const page = await open(io, b, family, { transports: ['websocket'] });
      const [kept, lost, later] = [some(3), some(5), some(12)];
      await sayAll(family, kept);
      await shows(page, kept);
      await offline(() => cpSync(data, saved, { recursive: true }));
      await sayAll(family, lost);
      await shows(page, [...kept, ...lost]);
      assert.equal(page.drops.length, 0, 'nothing was put back yet');

      const [dropped, connected] = [once(page, 'disconnect', undefined, 60_000), once(page, 'connect', undefined, 60_000)];
      await offline(() => {
        rmSync(data, { recursive: true });
        cpSync(saved, data, { recursive: true });
      });
      await dropped;
      await connected;
      assert.equal(page.recovered, false, 'what it has seen is void');
      await until(() => [a, b].every((node) => node.log.includes(LINE)), 'that both nodes have noticed');
      await family.comeBack?.();
      assert.deepEqual(await family.history(), kept, 'what was put back');

      page.texts.length = 0;
      await sayAll(family, later);
      await shows(page, later);
      assert.deepEqual(page.texts, later, 'none is missed, none comes twice');
      assert.deepEqual(await family.history(), [...kept, ...later]);
      for (const node of [a, b]) {
        const lines = node.log.split('\n').filter((line) => line.includes(LINE));
        assert.ok(lines.length <= 2 && lines.every((line) => line.includes('ERROR') && line.includes('remedy=')), lines.join('\n'));
      }
    } finally {
      await nodes.finish();
    }
  });
}
