// A text that a page has cut in the middle of an emoji ends in half a surrogate pair, which browsers send as "\ud83d". Node
// takes it and shows U+FFFD; so does this server, wherever it stands.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { io } from 'socket.io-client';
import { io as io31 } from 'socket.io-client-3.1';
import io2 from 'socket.io-client-2';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { password, text, unique } from './support/names.mjs';
import * as push from './support/push.mjs';
import { startServer } from './support/server.mjs';
import { ask, assertAccepted, closeSockets, connect, once } from './support/wait.mjs';

let server;
before(async () => (server = await startServer()));
after(async () => {
  closeSockets();
  await server.finish();
});

/** Texts as pages send them, and as Node's `Buffer.from(text)` makes them UTF-8. */
const CUT = ['\ud83d', 'cut \ud83d', '\ude00 low', 'high \ud83d\ud83d\ude00 pair', 'pair \ud83d\ude00\ude00 low', '\\ud83d \\\ud83d "\udfff"'];
const asStored = (cut) => Buffer.from(cut).toString();

test('Node writes U+FFFD for what these tests send', () => {
  assert.equal(JSON.stringify('\ud83d'), '"\\ud83d"');
  assert.equal(asStored('a\ud83d'), 'a\ufffd');
});

for (const [name, client, options] of [
  ['websocket', io, { transports: ['websocket'] }],
  ['polling', io, { transports: ['polling'] }],
  ['socket.io-client 3.1 with an upgrade', io31, {}],
  ['socket.io-client 2 over polling', io2, { transports: ['polling'] }],
]) {
  test(`camel over ${name}: texts, names of files and fields that nobody knows`, async () => {
    const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
    // Clients of Socket.IO 2 have no `auth`.
    const entering = client === io2 ? { ...options, extraHeaders: { authorization: `Bearer ${anna.token}` } } : options;
    const annas = await camel.enter(server, anna, entering, client);
    const berts = await camel.enter(server, bert, { transports: ['websocket'] });
    for (const cut of CUT) {
      const said = `${text()} ${cut}`;
      const stored = asStored(said);
      const came = once(berts, 'privateMessage', (message) => message.text === stored);
      annas.emit('privateMessage', { text: said, receiver: bert.name, ['key \ud83d']: [{ ['\udc00']: '\ud83d' }] });
      await came;
      const file = { receiver: bert.name, text: said, isFile: true, fileName: `${cut.replace(/\W/gu, '')}\ud83d.txt` };
      const arrived = once(berts, 'privateMessage', (message) => message.isFile && message.text === stored);
      assertAccepted(await ask(annas, 'privateMessage', file));
      assert.equal((await arrived).fileName, asStored(file.fileName));
    }
    const history = await camel.history(annas, bert.name);
    assert.equal(history.length, 2 * CUT.length);
    assert.ok(history.every((message) => message.text.isWellFormed() && message.text.includes('\ufffd')));
    // A long one is read in another place.
    const long = `${text()} ${'\ud83d'.repeat(100_000)}`;
    const came = once(berts, 'privateMessage', (message) => message.text.startsWith(long.slice(0, 12)));
    annas.emit('privateMessage', { text: long, receiver: bert.name, isFile: true, fileName: 'long.txt' });
    assert.equal((await came).text, asStored(long));
    assertAccepted(await ask(annas, 'search', { q: 'nothing \ud83d' }));
  });
}

test('a CONNECT packet with halves beside the token lets in', async () => {
  const anna = await camel.register(server, 'anna');
  for (const transports of [['websocket'], ['polling']]) {
    const auth = { name: 'a\ud83d', ['\ud83d']: { ['\udc00']: ['\ud83d'] }, token: anna.token };
    assert.ok((await connect(io, server.url, { transports, auth })).connected);
  }
});

test('push: what is sent, names and profiles', async () => {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  const berts = await bert.open();
  for (const cut of CUT) {
    const said = `${text()} ${cut}`;
    const stored = asStored(said).trim();
    const came = once(berts, 'newMessage', (message) => message.text === stored);
    assert.equal((await anna.send(bert, { text: said, ['\ud83d']: '\ud83d' })).text, stored);
    await came;
  }
  assert.equal((await anna.history(bert)).length, CUT.length);
  const renamed = await anna.put('/auth/update-profile', { fullName: 'Anna \ud83d' });
  assert.deepEqual([renamed.status, renamed.data.fullName], [200, 'Anna \ufffd']);
});

test('accounts: a name and a password that were cut are the same at the log-in', async () => {
  const name = unique('cut');
  const pass = `${password()}\ud83d`;
  const form = { fullName: `${name} \ud83d`, email: `${name}@example.com`, password: pass, ['\ud83d']: 1 };
  const signup = await request(server, { method: 'POST', path: '/api/auth/signup', body: form });
  assert.equal(signup.status, 201, signup.text);
  assert.equal(signup.json.fullName, `${name} \ufffd`);
  const login = await request(server, { method: 'POST', path: '/api/auth/login', body: form });
  assert.equal(login.status, 200, login.text);
  const camels = { username: unique('cut'), password: pass };
  for (const path of ['/api/register', '/api/login']) {
    const answer = await request(server, { method: 'POST', path, body: camels });
    assert.equal(answer.status, 200, answer.text);
  }
});
