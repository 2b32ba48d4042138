// Clients that hand on the whole argument list of an event, or count it, are told what their old backend tells them: one
// argument. Those by socket.io-client recover everything after a cut all the same.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Socket as EngineSocket } from 'engine.io-client';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

import * as camel from './support/camel.mjs';
import { FAMILIES, sayAll, some } from './support/families.mjs';
import { startProxy } from './support/proxy.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, leaveSockets, once, until } from './support/wait.mjs';

const CHROMIUM = '/usr/bin/chromium';
const here = path.dirname(fileURLToPath(import.meta.url));
// `./test` installs it and says where.
const PYTHON = process.env.PYTHON_SOCKETIO ?? path.resolve(here, '../../target/python-socketio-5.18.1/bin/python');
const HEARTBEAT = { CHAT_PING_INTERVAL: '1500', CHAT_PING_TIMEOUT: '1500' };

/** The fields of a message, by the event that tells of it: what the old backends send, and nothing else. */
const FIELDS = { privateMessage: camel.MESSAGE_FIELDS, newMessage: push.MESSAGE_FIELDS };

let frontend;
let browser;
let server;
let proxy;

before(async () => {
  assert.ok(existsSync(CHROMIUM), `this test needs ${CHROMIUM}: apt-get install chromium`);
  frontend = mkdtempSync(path.join(os.tmpdir(), 'chat-pages-'));
  const entryPoints = ['rxjs', 'vue2', 'vue3'].map((name) => path.join(here, 'pages', `${name}.js`));
  const define = { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false' };
  await build({ entryPoints, bundle: true, format: 'iife', outdir: frontend, define, logLevel: 'error' });
  for (const name of ['rxjs', 'vue2', 'vue3']) {
    writeFileSync(path.join(frontend, `${name}.html`), `<!doctype html><title>${name}</title><body><script src="/${name}.js"></script>`);
  }
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-proxy-server'],
  });
});
after(async () => {
  await browser?.close();
  if (frontend) rmSync(frontend, { recursive: true, force: true });
  leaveSockets();
});
beforeEach(async () => {
  server = await startServer({ ...HEARTBEAT, CHAT_STATIC_DIR: frontend });
  proxy = await startProxy(server);
});
afterEach(async () => {
  closeSockets();
  await proxy.close();
  await server.finish();
});

/** A message is handed over as it is, not in a list, and has the fields of the old backend. */
function assertMessages(event, messages, texts) {
  assert.deepEqual(messages.map((message) => message?.text), texts);
  for (const message of messages) {
    assert.ok(!Array.isArray(message), JSON.stringify(message));
    assert.deepEqual(Object.keys(message).sort(), FIELDS[event]);
  }
}

for (const name of ['rxjs', 'vue2', 'vue3']) {
  for (const [family, prepare] of Object.entries(FAMILIES)) {
    for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
      test(`${name}, ${family}, ${transports}: one argument, and after a cut all of it, once, in order`, async () => {
        const reader = await prepare(server);
        const context = await browser.newContext();
        try {
          const page = await context.newPage();
          const errors = [];
          page.on('pageerror', (error) => errors.push(error.message));
          const wanted = new URLSearchParams({ token: reader.token, event: reader.event, transports: transports.join() });
          await page.goto(`${proxy.url}/${name}.html#${wanted}`);
          const connections = (count) => page.waitForFunction((count) => window.connections.length === count, count, { polling: 20 });
          const messages = (count) => page.waitForFunction((count) => window.messages.length >= count, count, { polling: 20 });
          await connections(1);
          const texts = some(9);
          await sayAll(reader, texts.slice(0, 3));
          await messages(3);
          if (name !== 'rxjs') {
            // This library takes the place of the function that remembers positions, and the server goes by heartbeats. When
            // the second one comes the first was answered.
            await page.evaluate(() => new Promise((resolve) => {
              let count = 0;
              window.socket.io.on('ping', () => ++count === 2 && resolve());
            }));
          }
          proxy.cut();
          await page.waitForFunction(() => !window.socket.connected, undefined, { polling: 20 });
          await sayAll(reader, texts.slice(3, 6));
          proxy.accept();
          await connections(2);
          await sayAll(reader, texts.slice(6));
          await messages(9);
          assertMessages(reader.event, await page.evaluate(() => window.messages), texts);
          assert.deepEqual(await page.evaluate(() => window.connections), [false, true]);
          assert.deepEqual(errors, []);
        } finally {
          await context.close();
        }
      });
    }
  }
}

describe('python-socketio', { skip: !existsSync(PYTHON) && `python-socketio is not installed: there is no ${PYTHON}` }, () => {
  for (const [family, prepare] of Object.entries(FAMILIES)) {
    for (const transport of ['websocket', 'polling']) {
      test(`${family}, ${transport}: handlers of one parameter are called, also after a cut`, async () => {
        const reader = await prepare(server);
        const told = { connect: [], disconnect: [], message: [] };
        const client = path.join(here, 'pages/client.py');
        const python = spawn(PYTHON, [client, proxy.url, reader.token, reader.event, transport], { stdio: ['pipe', 'pipe', 'pipe'] });
        let [rest, errors] = ['', ''];
        python.stderr.on('data', (chunk) => (errors += chunk));
        python.stdout.on('data', (chunk) => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop();
          for (const line of lines) {
            const [kind, value] = JSON.parse(line);
            told[kind].push(value);
          }
        });
        try {
          await until(() => told.connect.length === 1, `the connection\n${errors}`);
          const texts = some(6);
          await sayAll(reader, texts.slice(0, 3));
          await until(() => told.message.length === 3, `three messages\n${errors}`);
          proxy.cut();
          await until(() => told.disconnect.length === 1, `the end of the connection\n${errors}`);
          proxy.accept();
          await until(() => told.connect.length === 2, `the second connection\n${errors}`);
          await sayAll(reader, texts.slice(3));
          await until(() => told.message.length === 6, `six messages\n${errors}`);
          // Each is handled by a thread of its own: what comes together may be handled in any order.
          const [before, since] = [told.message.slice(0, 3), told.message.slice(3)].map((part) =>
            part.sort((a, b) => texts.indexOf(a.text) - texts.indexOf(b.text)),
          );
          assertMessages(reader.event, [...before, ...since], texts);
        } finally {
          python.stdin.end();
          python.kill();
        }
        assert.doesNotMatch(errors, /Traceback/);
      });
    }
  }
});

/** Socket.IO over Engine.IO as the Dart client has it: a handler gets the argument, and the list where there are several. */
class DartLike {
  constructor(url, token, transports) {
    this.handlers = new Map();
    this.engine = new EngineSocket(url, { path: '/socket.io/', transports });
    this.engine.on('open', () => this.engine.send(`0${JSON.stringify({ token })}`));
    this.engine.on('message', (packet) => {
      if (packet.startsWith('0')) this.connected = true;
      if (!packet.startsWith('2')) return;
      const [event, ...args] = JSON.parse(packet.slice(1));
      this.handlers.get(event)?.(args.length === 1 ? args[0] : args);
    });
  }

  on(event, handler) {
    this.handlers.set(event, handler);
  }
}

for (const [family, prepare] of Object.entries(FAMILIES)) {
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    test(`a client that hands on the list, ${family}, ${transports}: there is none`, async () => {
      const reader = await prepare(server);
      const messages = [];
      const texts = some(6);
      for (const part of [texts.slice(0, 3), texts.slice(3)]) {
        const client = new DartLike(proxy.url, reader.token, transports);
        client.on(reader.event, (message) => messages.push(message));
        await until(() => client.connected, 'the connection');
        await sayAll(reader, part);
        await until(() => messages.length >= texts.indexOf(part.at(-1)) + 1, 'the messages');
        // Not by a reset alone: one that falls between two polls is noticed by nobody.
        const closed = once(client.engine, 'close');
        proxy.cut();
        await closed;
        proxy.accept();
      }
      assertMessages(reader.event, messages, texts);
    });
  }
}
