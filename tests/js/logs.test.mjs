// What is logged holds no password, token, text, search or address, at any level and whoever logs it: libraries show
// what they read and write as it is, some of them as hexadecimal digits.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { signed } from './support/forge.mjs';
import { dataUrl, png } from './support/images.mjs';
import { password, text, unique } from './support/names.mjs';
import * as push from './support/push.mjs';
import { secret, startServer } from './support/server.mjs';
import { ask, assertAccepted, closeSockets, once, refusal } from './support/wait.mjs';

after(closeSockets);

/** Everything that is said here and must stay here. */
const hidden = new Set();

function hide(words) {
  hidden.add(words);
  return secret(words);
}

/** The forms in which a library may write bytes. */
function forms(words) {
  const bytes = Buffer.from(words);
  // The beginning and the end of a longer text are cut off by base64's groups of three.
  const inner = bytes.subarray(3, 3 + 3 * Math.floor((bytes.length - 6) / 3));
  return [words, JSON.stringify(words).slice(1, -1), encodeURIComponent(words), bytes.toString('hex'), [...bytes].join(', ')].concat(
    inner.length >= 6 ? [0, 1, 2].map((at) => bytes.subarray(at, at + inner.length).toString('base64').slice(0, -4)) : [],
  );
}

/** A search that is not taken from a message. */
const QUESTION = hide('needle-in-no-haystack');

async function talkInCamel(server, transports) {
  const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
  for (const person of [anna, bert]) [person.password, person.token].forEach(hide);
  const wrong = { username: anna.name, password: hide(password()) };
  assert.equal((await camel.post(server, '/api/login', wrong)).status, 400);
  const again = await camel.post(server, '/api/login', { username: anna.name, password: anna.password });
  hide(again.json.token);
  const [annas, berts] = [await camel.enter(server, anna, { transports }), await camel.enter(server, bert, { transports })];
  const [plain, acked, file] = [hide(text('plain')), hide(text('acked')), hide(`${text('file')} `.repeat(20).trim())];
  await camel.say(annas, bert.name, plain);
  assertAccepted(await camel.sayAcked(annas, bert.name, acked));
  await camel.say(berts, anna.name, file, { isFile: true, fileName: 'notes.txt' });
  assert.equal((await camel.history(berts, anna.name)).length, 3);
  for (const q of [QUESTION, plain]) {
    assertAccepted(await ask(annas, 'search', { q }));
    const found = await camel.get(server, `/api/search?${new URLSearchParams({ q })}`, anna.token);
    assert.equal(found.status, 200, found.text);
  }
  assert.equal((await ask(annas, 'privateMessage', { text: hide(text('refused')), receiver: unique('nobody') })).ok, false);
  annas.emit('nonsense', hide(text('nonsense')));
  const stranger = { token: hide(signed({ username: unique('ghost') })) };
  await refusal(camel.enter(server, stranger, { transports }));
}

async function talkInPush(server, transports) {
  const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
  for (const person of [anna, bert]) [person.password, person.token, person.email].forEach(hide);
  const berts = await bert.open({ transports });
  const annas = await anna.open({ transports });
  const words = hide(text('words'));
  const came = once(berts, 'newMessage', (message) => message.text === words);
  const sent = await anna.send(bert, words);
  await came;
  assert.equal((await anna.history(bert)).length, 1);
  await anna.send(bert, { text: hide(text('caption')), image: dataUrl('image/png', png) });
  annas.emit('typing', { to: bert.id });
  await once(berts, 'userTyping');
  assertAccepted(await ask(annas, 'search', { q: QUESTION }));
  assert.equal((await anna.get(`/search?${new URLSearchParams({ q: words })}`)).status, 200);
  assert.equal((await anna.delete(`/messages/${sent._id}`)).status, 200);
  assert.equal((await anna.put('/auth/update-profile', { profilePic: dataUrl('image/png', png) })).status, 200);
  assert.equal((await bert.login()).status, 200);
  hide(bert.token);
  assert.equal((await bert.post('/auth/logout')).status, 200);
}

for (const env of [
  { CHAT_LOG: 'trace', CHAT_LOG_FORMAT: 'text' },
  { CHAT_LOG: 'trace,tungstenite=trace,tungstenite::protocol=trace,hyper_util=trace', CHAT_LOG_FORMAT: 'json' },
]) {
  test(`with ${env.CHAT_LOG} as ${env.CHAT_LOG_FORMAT} nothing is shown that people say`, async () => {
    const server = await startServer(env);
    try {
      for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
        await talkInCamel(server, transports);
        await talkInPush(server, transports);
      }
    } finally {
      closeSockets();
      await server.finish();
    }
    assert.match(server.log, /TRACE|DEBUG/, 'something is logged at these levels');
    assert.match(server.log, /chat_server::http/);
    for (const words of hidden) {
      for (const form of forms(words)) {
        assert.ok(!server.log.includes(form), `${form.slice(0, 60)} is in the log`);
      }
    }
    assert.ok(!server.log.includes(server.env.JWT_SECRET));
  });
}
