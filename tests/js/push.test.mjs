// The `push` dialect over REST: accounts, cookies, pictures, messages, and CORS. Its events: push-events.test.mjs.

import assert from 'node:assert/strict';
import axios from 'axios';
import { after, before, test } from 'node:test';

import { expired, signed, unsigned, withOtherSecret } from './support/forge.mjs';
import { request } from './support/http.mjs';
import { avif, dataUrl, gif, heic, jpeg, noise, png, webp } from './support/images.mjs';
import { password, text, unique } from './support/names.mjs';
import { Browser, MESSAGE_FIELDS, signup } from './support/push.mjs';
import { secret, startServer } from './support/server.mjs';

const PAGE = 'https://chat.example';

let server;
before(async () => {
  server = await startServer({ CLIENT_URL: `http://localhost:5173,${PAGE}` });
});
after(() => server?.finish());

const ID = /^[0-9a-f]{24}$/;
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const COOKIE = /^jwt=([\w-]+\.[\w-]+\.[\w-]+); Max-Age=604800; Path=\/; Expires=([^;]+ GMT); HttpOnly; SameSite=Strict$/;
const CLEARED = /^jwt=; Max-Age=0; Path=\/; Expires=([^;]+ GMT)(; HttpOnly; SameSite=Strict)?$/;
const NOBODY = 'f'.repeat(24);

/** An error answer: JSON with a `message`, as the page reads it without looking. */
function assertMessage(answer, status, message) {
  const body = answer.data ?? answer.json;
  assert.equal(answer.status, status, JSON.stringify(body));
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(typeof body?.message, 'string');
  assert.ok(body.message);
  if (message) assert.equal(body.message, message);
}

function assertUser(user, { id, fullName, email }) {
  assert.match(user._id, ID);
  if (id) assert.equal(user._id, id);
  assert.deepEqual([user.fullName, user.email], [fullName, email]);
  assert.equal(typeof user.profilePic, 'string');
  assert.match(user.createdAt, ISO);
  for (const field of ['password', 'passwordHash', 'hash', 'token']) assert.ok(!(field in user), field);
}

function assertSentMessage(message, from, to, content, image = null) {
  assert.deepEqual(Object.keys(message).sort(), MESSAGE_FIELDS);
  assert.match(message._id, ID);
  assert.deepEqual([message.senderId, message.receiverId, message.deleted], [from.id, to.id, false]);
  assert.equal(message.text ?? '', content);
  if (image === null) assert.ok(!message.image, `image: ${message.image}`);
  assert.match(message.createdAt, ISO);
  assert.match(message.updatedAt, ISO);
}

// ---- Accounts --------------------------------------------------------------------------------------------

test('signup answers 201 with the user, and the cookie exactly as Express sends it', async () => {
  const [fullName, email] = ['Anna Größe', `${unique('Anna')}@Example.com`];
  const answer = await new Browser(server).post('/auth/signup', { fullName, email, password: password() });
  assert.equal(answer.status, 201, JSON.stringify(answer.data));
  assertUser(answer.data, { fullName, email: email.toLowerCase() });
  const cookies = answer.headers['set-cookie'];
  assert.equal(cookies.length, 1);
  const [, token, expires] = cookies[0].match(COOKIE) ?? assert.fail(`cookie: ${cookies[0].replace(/jwt=[^;]*/, 'jwt=…')}`);
  secret(token);
  const left = (new Date(expires) - Date.now()) / 1000;
  assert.ok(Math.abs(left - 604_800) < 60, `Expires and Max-Age agree: ${left}`);
});

test('signup names what is wrong', async () => {
  const good = () => ({ fullName: 'Anna', email: `${unique('anna')}@example.com`, password: password() });
  const send = (body) => new Browser(server).post('/auth/signup', body);
  for (const field of ['fullName', 'email', 'password']) {
    assertMessage(await send({ ...good(), [field]: undefined }), 400, 'All fields are required');
    assertMessage(await send({ ...good(), [field]: '' }), 400, 'All fields are required');
    assertMessage(await send({ ...good(), [field]: null }), 400, 'All fields are required');
    for (const wrong of [42, { $gt: '' }, ['x'], true]) assertMessage(await send({ ...good(), [field]: wrong }), 400);
  }
  assertMessage(await send({}), 400, 'All fields are required');
  assertMessage(await send({ ...good(), fullName: '   ' }), 400, 'All fields are required');
  assertMessage(await send({ ...good(), password: 'five5' }), 400, 'Password must be at least 6 characters');
  for (const email of ['no-at', 'a@b', 'a b@example.com', '@example.com', 'anna@', `${'x'.repeat(1_000)}`]) {
    assertMessage(await send({ ...good(), email }), 400, 'Invalid email format');
  }
  const taken = await signup(server, 'taken');
  for (const email of [taken.email, taken.email.toUpperCase()]) {
    assertMessage(await send({ ...good(), email }), 400, 'Email already exists');
  }
  for (const extreme of [{ fullName: 'n'.repeat(1_000_000) }, { email: `${'n'.repeat(1_000_000)}@example.com` }, { password: 'p'.repeat(1_000_000) }]) {
    assertMessage(await send({ ...good(), ...extreme }), 400);
  }
});

test('two people may have the same full name', async () => {
  const body = () => ({ fullName: 'Same Name', email: `${unique('same')}@example.com`, password: password() });
  assert.equal((await new Browser(server).post('/auth/signup', body())).status, 201);
  assert.equal((await new Browser(server).post('/auth/signup', body())).status, 201);
});

test('two sign-ups with one address at the same time: one wins', async () => {
  const body = { fullName: 'Race', email: `${unique('race')}@example.com`, password: password() };
  const answers = await Promise.all(Array.from({ length: 8 }, () => new Browser(server).post('/auth/signup', body)));
  assert.deepEqual(answers.map((answer) => answer.status).sort(), [201, 400, 400, 400, 400, 400, 400, 400]);
});

test('login answers 200 with the same object and a cookie, whatever the case of the address', async () => {
  const anna = await signup(server, 'anna');
  for (const email of [anna.email, anna.email.toUpperCase()]) {
    const browser = new Browser(server);
    const answer = await browser.post('/auth/login', { email, password: anna.password });
    assert.equal(answer.status, 200, JSON.stringify(answer.data));
    assertUser(answer.data, anna);
    assert.match(answer.headers['set-cookie'][0], COOKIE);
    assert.equal((await browser.get('/auth/check')).status, 200);
  }
});

test('login gives the same 400 for an unknown address and a wrong password', async () => {
  const anna = await signup(server, 'anna');
  const send = (body) => new Browser(server).post('/auth/login', body);
  assertMessage(await send({ email: `${unique('nobody')}@example.com`, password: password() }), 400, 'Invalid credentials');
  assertMessage(await send({ email: anna.email, password: password() }), 400, 'Invalid credentials');
  for (const body of [{}, { email: anna.email }, { password: anna.password }, { email: '', password: '' }]) {
    assertMessage(await send(body), 400, 'Email and password are required');
  }
  for (const body of [{ email: { $gt: '' }, password: { $gt: '' } }, { email: anna.email, password: { $ne: '' } }, { email: [anna.email], password: 1 }]) {
    assertMessage(await send(body), 400);
  }
});

test('the page reads error.response.data.message, as axios throws it', async () => {
  const thrown = await axios
    .post(`${server.url}/api/auth/login`, { email: 'nobody@example.com', password: password() }, { withCredentials: true, proxy: false })
    .then(() => assert.fail('must throw'), (error) => error);
  assert.equal(thrown.response.data.message, 'Invalid credentials');
});

test('check answers the user, 401 without a good cookie, 404 for a user who is no more', async () => {
  const anna = await signup(server, 'anna');
  const answer = await anna.get('/auth/check');
  assert.equal(answer.status, 200);
  assertUser(answer.data, anna);
  assert.match(answer.data.updatedAt, ISO);

  const check = (cookie) => new Browser(server).get('/auth/check', { headers: { cookie } });
  assertMessage(await new Browser(server).get('/auth/check'), 401);
  for (const cookie of [
    'jwt=',
    'jwt=nonsense',
    'other=1',
    'jwt',
    ';;;=',
    `jwt=${expired({ userId: anna.id })}`,
    `jwt=${withOtherSecret({ userId: anna.id })}`,
    `jwt=${unsigned({ userId: anna.id })}`,
    `jwt=${signed({ userId: { $gt: '' } })}`,
  ]) {
    assertMessage(await check(cookie), 401);
  }
  assertMessage(await check(`jwt=${signed({ userId: NOBODY })}`), 404, 'User not found');
  assert.equal((await check(`jwt=${signed({ userId: anna.id }, { expiresIn: '7d' })}`)).status, 200, 'a token of the old backend');
});

test('of several jwt cookies the first that verifies wins, with or without spaces', async () => {
  const anna = await signup(server, 'anna');
  const bert = await signup(server, 'bert');
  for (const cookie of [
    `jwt=nonsense; jwt=${anna.token}`,
    `jwt=${anna.token}; jwt=nonsense`,
    `jwt=${anna.token};jwt=${bert.token}`,
    `theme=dark;jwt=${anna.token}`,
    `theme=dark;jwt=nonsense;jwt=${anna.token};last=1`,
    `jwt=${expired({ userId: bert.id })}; jwt=${anna.token}`,
  ]) {
    const answer = await new Browser(server).get('/auth/check', { headers: { cookie } });
    assert.deepEqual([answer.status, answer.data._id], [200, anna.id]);
  }
});

test('logout clears the cookie and revokes the token', async () => {
  const anna = await signup(server, 'anna');
  const elsewhere = await anna.elsewhere();
  const cookie = anna.cookie;
  const answer = await anna.post('/auth/logout');
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.data, { message: 'User logged out successfully' });
  const [, expires] = answer.headers['set-cookie'][0].match(CLEARED) ?? assert.fail(answer.headers['set-cookie'][0]);
  assert.ok(new Date(expires) <= new Date(Date.now() + 1000));
  assertMessage(await new Browser(server).get('/auth/check', { headers: { cookie } }), 401);
  assertMessage(await new Browser(server).get('/messages/contacts', { headers: { cookie } }), 401);
  assert.equal((await elsewhere.get('/auth/check')).status, 200, 'the other browser stays logged in');
  assert.equal((await anna.login()).status, 200, 'and one can log in again');
});

test('logout needs no login', async () => {
  for (const cookie of [undefined, 'jwt=nonsense', `jwt=${unsigned({ userId: NOBODY })}`]) {
    const answer = await new Browser(server).post('/auth/logout', undefined, { headers: cookie ? { cookie } : {} });
    assert.deepEqual([answer.status, answer.data], [200, { message: 'User logged out successfully' }]);
  }
});

test('every route but signup, login and logout needs the cookie', async () => {
  const stranger = new Browser(server);
  for (const [method, path] of [
    ['get', '/auth/check'],
    ['put', '/auth/update-profile'],
    ['get', '/messages/contacts'],
    ['get', '/messages/users'],
    ['get', '/messages/chats'],
    ['get', `/messages/${NOBODY}`],
    ['post', `/messages/send/${NOBODY}`],
    ['delete', `/messages/${NOBODY}`],
    ['delete', `/messages/delete/${NOBODY}`],
    ['put', `/messages/${NOBODY}/restore`],
  ]) {
    assertMessage(await stranger.axios.request({ method, url: path, data: method === 'get' ? undefined : {} }), 401);
  }
});

// ---- Pictures --------------------------------------------------------------------------------------------

/** The picture as a browser would load it from another page. */
async function load(url) {
  assert.match(url, /^http:\/\/127\.0\.0\.1:/, 'a page of another origin needs the whole URL');
  const { pathname, search } = new URL(url);
  return request(server, { path: pathname + search });
}

const pictures = [
  ['image/png', png],
  ['image/jpeg', jpeg],
  ['image/gif', gif],
  ['image/webp', webp],
  ['image/avif', avif],
  ['image/heic', heic],
];

test('a profile picture comes back byte for byte, with its type and nosniff', async () => {
  const anna = await signup(server, 'anna');
  for (const [type, bytes] of pictures) {
    const answer = await anna.put('/auth/update-profile', { profilePic: dataUrl(type, bytes) });
    assert.equal(answer.status, 200, `${type}: ${JSON.stringify(answer.data)}`);
    assertUser(answer.data, anna);
    const loaded = await load(answer.data.profilePic);
    assert.equal(loaded.status, 200);
    assert.ok(loaded.raw.equals(bytes), type);
    assert.equal(loaded.headers['content-type'], type);
    assert.equal(loaded.headers['x-content-type-options'], 'nosniff');
    assert.equal((await anna.get('/auth/check')).data.profilePic, answer.data.profilePic);
  }
});

test('what a picture claims to be makes no difference', async () => {
  for (const claimed of ['', 'image/*', 'image/jpg', 'application/octet-stream', 'text/plain', 'image/svg+xml']) {
    const anna = await signup(server, 'anna');
    for (const [type, bytes] of pictures) {
      const answer = await anna.put('/auth/update-profile', { profilePic: dataUrl(claimed, bytes) });
      assert.equal(answer.status, 200, `${type} as ${claimed}: ${JSON.stringify(answer.data)}`);
      const loaded = await load(answer.data.profilePic);
      assert.equal(loaded.headers['content-type'], type, `${type} as ${claimed}`);
      assert.ok(answer.data.profilePic.endsWith(`.${type.replace('image/', '').replace('jpeg', 'jpg')}`), answer.data.profilePic);
      assert.ok(loaded.raw.equals(bytes), type);
    }
  }
});

const notPictures = {
  'svg': dataUrl('image/svg+xml', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')),
  'html': dataUrl('text/html', Buffer.from('<script>alert(1)</script>')),
  'html that says png': dataUrl('image/png', Buffer.from('<html><script>alert(1)</script></html>')),
  'svg that says nothing': dataUrl('', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')),
  'a film': dataUrl('video/mp4', Buffer.from('AAAAGGZ0eXBpc29tAAACAGlzb21tcDQxAAAACG1kYXQ=', 'base64')),
  'svg that says png': dataUrl('image/png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')),
  'garbage base64': 'data:image/png;base64,%%%%',
  'garbage bytes': dataUrl('image/png', Buffer.from('not a picture at all')),
  'no bytes': 'data:image/png;base64,',
  'not base64': 'data:image/png,abc',
  'no data URL': 'hello',
  'a URL': 'https://example.com/picture.png',
  'a path': '/etc/passwd',
  'number': 42,
  'object': { $gt: '' },
  'array': [dataUrl('image/png', png)],
};

test('what is no picture is refused, as profile picture and in a message', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  for (const [what, body] of Object.entries(notPictures)) {
    const answer = await anna.put('/auth/update-profile', { profilePic: body });
    assert.equal(answer.status, 400, what);
    assertMessage(answer, 400);
    const sent = await anna.post(`/messages/send/${bert.id}`, { text: 'never to be seen', image: body });
    assert.equal(sent.status, 400, `${what} in a message`);
    assertMessage(sent, 400);
  }
  assert.deepEqual(await anna.history(bert), []);
});

test('update-profile without a picture is refused', async () => {
  const anna = await signup(server, 'anna');
  for (const body of [{}, { profilePic: '' }, { profilePic: null }]) {
    assertMessage(await anna.put('/auth/update-profile', body), 400, 'Profile pic is required');
  }
});

test('a picture of 3 MB passes, in a message and as profile picture', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const big = noise(1024, 1024);
  assert.ok(big.length > 3 * 1024 * 1024);
  const message = await anna.send(bert, { text: '', image: dataUrl('image/png', big) });
  assertSentMessage(message, anna, bert, '', message.image);
  assert.ok((await load(message.image)).raw.equals(big));
  const profile = await anna.put('/auth/update-profile', { profilePic: dataUrl('image/png', big) });
  assert.equal(profile.status, 200);
});

test('a body over 10 MB is refused with 413, one just under it is read', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  for (const size of [10 * 1024 * 1024 + 1, 12 * 1024 * 1024]) {
    const answer = await anna.post(`/messages/send/${bert.id}`, { text: 'x', image: 'x'.repeat(size) });
    assertMessage(answer, 413);
  }
  assertMessage(await anna.post(`/messages/send/${bert.id}`, { text: 'x', image: 'x'.repeat(10 * 1024 * 1024 - 200) }), 400);
  assert.deepEqual(await anna.history(bert), []);
});

// ---- People and messages ---------------------------------------------------------------------------------

test('contacts are all others; the older client asks for /users', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  for (const path of ['/messages/contacts', '/messages/users']) {
    const { status, data } = await anna.get(path);
    assert.equal(status, 200);
    assert.ok(Array.isArray(data));
    assert.ok(!data.some((user) => user._id === anna.id), 'oneself is left out');
    assertUser(data.find((user) => user._id === bert.id), bert);
  }
});

test('chats are the people with whom there are messages either way', async () => {
  const [anna, bert, carl, dora] = await Promise.all(['anna', 'bert', 'carl', 'dora'].map((word) => signup(server, word)));
  const chats = async (user) => {
    const { status, data } = await user.get('/messages/chats');
    assert.equal(status, 200);
    return data.map((other) => other._id);
  };
  assert.deepEqual(await chats(anna), []);
  await anna.send(bert, text());
  await carl.send(anna, text());
  assert.deepEqual((await chats(anna)).sort(), [bert.id, carl.id].sort());
  assert.deepEqual([await chats(bert), await chats(carl), await chats(dora)], [[anna.id], [anna.id], []]);
  assertUser((await bert.get('/messages/chats')).data[0], anna);
});

test('send answers 201 with the message; the history has it, ascending, for both', async () => {
  const [anna, bert, carl] = [await signup(server, 'anna'), await signup(server, 'bert'), await signup(server, 'carl')];
  const notes = [text('one'), text('two'), '<b>three</b> & größer 日本語 🦀', `  four ${'long '.repeat(100)} `];
  const sent = [];
  for (const [i, note] of notes.entries()) {
    const [from, to] = i % 2 ? [bert, anna] : [anna, bert];
    const message = await from.send(to, note);
    assertSentMessage(message, from, to, note.trim());
    sent.push(message);
  }
  const history = await anna.history(bert);
  assert.deepEqual(history, sent);
  assert.deepEqual(await bert.history(anna), sent);
  assert.deepEqual(history.map((message) => message.createdAt), history.map((message) => message.createdAt).sort());
  assert.deepEqual(await carl.history(anna), [], 'a third person sees nothing');
});

test('clients say "no picture" and "no text" in several ways', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const note = text();
  for (const body of [{ text: note }, { text: note, image: null }, { text: note, image: '' }]) {
    assertSentMessage(await anna.send(bert, body), anna, bert, note);
  }
  for (const nothing of [{ text: '' }, { text: null }, {}]) {
    const message = await anna.send(bert, { ...nothing, image: dataUrl('image/png', png) });
    assertSentMessage(message, anna, bert, '', message.image);
    assert.ok((await load(message.image)).raw.equals(png));
  }
  const both = await anna.send(bert, { text: note, image: dataUrl('image/gif', gif) });
  assertSentMessage(both, anna, bert, note, both.image);
  assert.deepEqual((await bert.history(anna)).at(-1), both);
});

test('send names what is wrong, and stores nothing', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const send = (to, body) => anna.post(`/messages/send/${to}`, body);
  for (const body of [{}, { text: '' }, { text: '', image: '' }, { text: null, image: null }, { text: ' \n\t\u00a0' }]) {
    assertMessage(await send(bert.id, body), 400, 'Text or image is required.');
  }
  assertMessage(await send(anna.id, { text: 'hello me' }), 400, 'Cannot send messages to yourself.');
  assertMessage(await send(NOBODY, { text: 'hello' }), 404, 'Receiver not found.');
  for (const id of ['nonsense', '123', '%00', encodeURIComponent('../x'), 'x'.repeat(5_000)]) {
    const answer = await send(id, { text: 'hello' });
    assert.ok([400, 404].includes(answer.status), `${id.slice(0, 20)}: ${answer.status}`);
    assertMessage(answer, answer.status);
  }
  for (const wrong of [42, true, { $gt: '' }, ['hello'], 'x'.repeat(64 * 1024 + 1)]) {
    assertMessage(await send(bert.id, { text: wrong }), 400);
  }
  assert.deepEqual(await anna.history(bert), []);
  assert.deepEqual((await anna.get('/messages/chats')).data, []);
});

test('bodies that are not JSON objects are refused with 400 and a message', async () => {
  const [anna, bert] = [await signup(server, 'anna'), await signup(server, 'bert')];
  const bodies = ['{', '{"text":', 'text=hello', '', 'null', '[]', '"hello"', '42', '\u0000', `{"text":${'['.repeat(10_000)}`, `{"text":${'['.repeat(10_000)}${']'.repeat(10_000)}}`];
  const latin1 = Buffer.from([0x7b, 0x22, 0x74, 0x65, 0x78, 0x74, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0x22, 0x7d]);
  for (const body of [...bodies, latin1]) {
    for (const [method, path] of [
      ['POST', `/api/messages/send/${bert.id}`],
      ['PUT', '/api/auth/update-profile'],
      ['POST', '/api/auth/signup'],
      ['POST', '/api/auth/login'],
    ]) {
      const headers = { cookie: anna.cookie, 'content-type': 'application/json' };
      const answer = await request(server, { method, path, body, headers });
      assert.equal(answer.status, 400, `${method} ${path} ${String(body).slice(0, 20)}: ${answer.text}`);
      assertMessage(answer, 400);
    }
  }
  assert.deepEqual(await anna.history(bert), []);
});

test('the history with an unknown id is empty', async () => {
  const anna = await signup(server, 'anna');
  assert.deepEqual(await anna.history(NOBODY), []);
  for (const id of ['nonsense', '123', 'x'.repeat(2_000)]) assert.deepEqual(await anna.history(id), []);
});

test('only the sender deletes; twice is fine; restore is the inverse', async () => {
  const [anna, bert, carl] = [await signup(server, 'anna'), await signup(server, 'bert'), await signup(server, 'carl')];
  const [first, second] = [await anna.send(bert, text('first')), await anna.send(bert, text('second'))];
  // A stranger does not even learn that the message exists.
  for (const [other, status] of [[bert, 403], [carl, 404]]) {
    assertMessage(await other.delete(`/messages/${first._id}`), status);
    assertMessage(await other.put(`/messages/${first._id}/restore`), status);
  }
  assert.deepEqual(await bert.history(anna), [first, second]);

  const deleted = { success: true, message: 'Message deleted successfully' };
  for (let round = 0; round < 2; round++) {
    const answer = await anna.delete(`/messages/${first._id}`);
    assert.deepEqual([answer.status, answer.data], [200, deleted]);
  }
  for (const [one, other] of [[anna, bert], [bert, anna]]) assert.deepEqual(await one.history(other), [second]);

  const restored = await anna.put(`/messages/${first._id}/restore`);
  assert.equal(restored.status, 200);
  assert.deepEqual([restored.data._id, restored.data.text, restored.data.deleted], [first._id, first.text, false]);
  assert.deepEqual((await bert.history(anna)).map((message) => message._id), [first._id, second._id], 'at its old place');
  assert.equal((await anna.put(`/messages/${first._id}/restore`)).status, 200, 'restoring twice is fine too');

  const older = await anna.delete(`/messages/delete/${second._id}`);
  assert.deepEqual([older.status, older.data], [200, deleted], 'as older clients delete');
});

test('deleting what does not exist is 404', async () => {
  const anna = await signup(server, 'anna');
  assertMessage(await anna.delete(`/messages/${NOBODY}`), 404, 'Message not found');
  assertMessage(await anna.delete('/messages/nonsense'), 404, 'Message not found');
  assertMessage(await anna.put(`/messages/${NOBODY}/restore`, {}), 404, 'Message not found');
});

test('unknown routes and wrong methods answer JSON with a message', async () => {
  const anna = await signup(server, 'anna');
  for (const path of ['/nothing', '/auth/nothing', '/messages/a/b/c', '/auth/check/more']) {
    assertMessage(await anna.get(path), 404);
    assertMessage(await new Browser(server).post(path, {}), 404);
  }
  for (const [method, url] of [
    ['get', '/auth/signup'],
    ['delete', '/auth/login'],
    ['post', '/auth/check'],
    ['patch', '/messages/contacts'],
  ]) {
    const answer = await anna.axios.request({ method, url });
    assert.ok([404, 405].includes(answer.status), `${method} ${url}: ${answer.status}`);
    assertMessage(answer, answer.status);
  }
});

// ---- CORS ------------------------------------------------------------------------------------------------

test('a preflight is answered 204 with all methods and the requested headers', async () => {
  for (const origin of ['http://localhost:5173', PAGE]) {
    for (const path of ['/api/messages/contacts', '/api/auth/update-profile', '/api/nothing']) {
      const answer = await request(server, {
        method: 'OPTIONS',
        path,
        headers: { origin, 'access-control-request-method': 'DELETE', 'access-control-request-headers': 'content-type,x-special' },
      });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers['access-control-allow-origin'], origin);
      assert.equal(answer.headers['access-control-allow-credentials'], 'true');
      assert.equal(answer.headers['access-control-allow-methods'], 'GET,HEAD,PUT,PATCH,POST,DELETE');
      const allowed = answer.headers['access-control-allow-headers'].toLowerCase().split(/, */);
      assert.ok(allowed.includes('content-type') && allowed.includes('x-special'), allowed.join());
    }
  }
});

test('every kind of answer echoes an allowed origin and allows credentials, and none a foreign one', async () => {
  const anna = await signup(server, 'anna');
  const answers = {
    200: { path: '/api/auth/check', headers: { cookie: anna.cookie } },
    401: { path: '/api/auth/check' },
    400: { method: 'POST', path: '/api/auth/login', body: '{', headers: { 'content-type': 'application/json' } },
    404: { path: '/api/nothing' },
    413: { method: 'POST', path: '/api/auth/login', body: { email: 'x'.repeat(11 * 1024 * 1024) } },
  };
  for (const [status, options] of Object.entries(answers)) {
    const from = (origin) => request(server, { ...options, headers: { ...options.headers, origin } });
    const allowed = await from(PAGE);
    assert.equal(allowed.status, Number(status));
    assert.equal(allowed.headers['access-control-allow-origin'], PAGE, status);
    assert.equal(allowed.headers['access-control-allow-credentials'], 'true', status);
    assert.match(allowed.headers.vary ?? '', /origin/i, status);
    for (const origin of ['https://evil.example', `${PAGE}.evil.example`, 'http://chat.example', 'null']) {
      assert.equal((await from(origin)).headers['access-control-allow-origin'], undefined, `${status} ${origin}`);
    }
  }
});

test('polling echoes the origin as well', async () => {
  const poll = (origin) => request(server, { path: '/socket.io/?EIO=4&transport=polling', headers: { origin } });
  const allowed = await poll(PAGE);
  assert.equal(allowed.status, 200);
  assert.equal(allowed.headers['access-control-allow-origin'], PAGE);
  assert.equal(allowed.headers['access-control-allow-credentials'], 'true');
  assert.equal((await poll('https://evil.example')).headers['access-control-allow-origin'], undefined);
});

test('in production the cookie is Secure over https only', async () => {
  const production = await startServer({ NODE_ENV: 'production', CLIENT_URL: PAGE });
  try {
    const body = () => ({ fullName: 'Anna', email: `${unique('anna')}@example.com`, password: password() });
    const plain = await new Browser(production).post('/auth/signup', body());
    assert.equal(plain.status, 201);
    assert.match(plain.headers['set-cookie'][0], COOKIE, 'a Secure cookie would break plain http');
  } finally {
    await production.finish();
  }
});
