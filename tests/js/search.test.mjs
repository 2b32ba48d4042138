// `GET /api/search` and the event `search`.

import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';

import * as camel from './support/camel.mjs';
import { dataUrl, png } from './support/images.mjs';
import { text } from './support/names.mjs';
import * as push from './support/push.mjs';
import { secret, startServer } from './support/server.mjs';
import { ask, assertAccepted, assertRefused, closeSockets, once } from './support/wait.mjs';

let server;
beforeEach(async () => {
  server = await startServer({ CHAT_SEARCH_LIMIT: '0' });
});
afterEach(async () => {
  closeSockets();
  await server.finish();
});
after(closeSockets);

/** What holds for every answer. */
function checked(answer, { limit = 20 }) {
  assert.deepEqual(Object.keys(answer).sort(), ['complete', 'messages', 'next']);
  assert.ok(answer.next === null || /^\d+$/.test(answer.next), `next is ${answer.next}`);
  assert.ok(answer.messages.length <= limit, `${answer.messages.length} messages, ${limit} were asked for`);
  return answer;
}

/** One answer by REST. */
async function rest(token, query) {
  const answer = await camel.get(server, `/api/search?${new URLSearchParams(query)}`, token);
  assert.equal(answer.status, 200, answer.text);
  return checked(answer.json, query);
}

/** One answer over a socket. */
async function over(socket, query) {
  const ack = await ask(socket, 'search', query);
  assertAccepted(ack);
  const { ok, success, ...answer } = ack;
  return checked(answer, query);
}

/** The texts that are found, the same over a socket and by REST. */
async function found(person, query) {
  const answer = await rest(person.token, query);
  assert.deepEqual(await over(person.socket, query), answer, 'the same over a socket');
  assert.deepEqual([answer.complete, answer.next], [true, null]);
  return answer.messages.map((message) => message.content);
}

/** Two people of each family, each with a socket. */
async function four() {
  const people = {
    anna: await push.signup(server, 'anna'),
    bert: await push.signup(server, 'bert'),
    carl: await camel.register(server, 'carl'),
    dora: await camel.register(server, 'dora'),
  };
  people.anna.socket = await people.anna.open();
  people.bert.socket = await people.bert.open();
  people.carl.socket = await camel.enter(server, people.carl);
  people.dora.socket = await camel.enter(server, people.dora);
  const users = await camel.get(server, '/api/users', people.carl.token);
  people.dora.id = users.json.find((user) => user.username === people.dora.name)._id;
  return people;
}

test('words are found in whatever form they are written', async () => {
  const { anna, bert, carl, dora } = await four();
  const texts = [
    'Grüße aus Köln, STRASSE und Straße',
    '我们明天去北京吧',
    '東京タワーで会いましょう',
    'Voilà: l’été à Łódź',
    '한국어를 배우고 있어요',
    'Привет, как дела?',
    'see https://example.com/a_page.html {"$gt": ""} .* "quoted" AND (NOT) NEAR/2',
  ].map((words) => secret(words));
  for (const words of texts) {
    await anna.send(bert, words);
    assertAccepted(await camel.sayAcked(carl.socket, dora.name, words));
  }
  for (const reader of [anna, bert, carl, dora]) {
    for (const [q, which] of [
      ['grusse', 0],
      ['GRÜSSE köln', 0],
      ['koln strasse ', 0],
      ['gr', 0],
      ['北京', 1],
      ['北', 1],
      ['明天去', 1],
      ['タワー', 2],
      ['東京', 2],
      ['ete', 3],
      ['lodz voila', 3],
      ['배우고', 4],
      ['ПРИВЕТ', 5],
      ['дел', 5],
      ['example com', 6],
      ['"quoted"', 6],
      ['quoted AND not', 6],
      ['{"$gt": ""}', 6],
      ['gt* near', 6],
    ]) {
      assert.deepEqual(await found(reader, { q }), [texts[which]], q);
    }
    for (const q of ['gr ', '京北', 'nowhere', 'koln 北京', 'xample', 'дел ', 'OR']) {
      assert.deepEqual(await found(reader, { q }), [], q);
    }
  }
});

test('only those who may read a message find it', async () => {
  const { anna, bert, carl, dora } = await four();
  const [ours, theirs] = [text('platypus'), text('platypus')];
  const { _id } = await anna.send(bert, ours);
  assertAccepted(await camel.sayAcked(carl.socket, dora.name, theirs));
  for (const [readers, words] of [[[anna, bert], ours], [[carl, dora], theirs]]) {
    for (const reader of readers) assert.deepEqual(await found(reader, { q: 'platypus' }), [words]);
  }
  const { roomId, messageId, senderId } = (await rest(anna.token, { q: 'platypus' })).messages[0];
  assert.deepEqual([messageId, senderId], [_id, anna.id]);
  assert.deepEqual(await found(bert, { q: 'platypus', roomId }), [ours]);
  assert.deepEqual(await found(anna, { q: 'platypus', userId: bert.id }), [ours]);
  assert.deepEqual(await found(carl, { q: 'platypus', userId: dora.id }), [theirs]);
  assert.deepEqual(await found(carl, { q: 'platypus', userId: anna.id }), [], 'they have never talked');
  for (const id of [roomId, 'ffffffffffffffffffffffff']) {
    const query = { q: 'platypus', roomId: id };
    const refused = await camel.get(server, `/api/search?${new URLSearchParams(query)}`, carl.token);
    assert.deepEqual([refused.status, refused.json.message], [404, 'conversation not found']);
    const ack = await ask(carl.socket, 'search', query);
    assertRefused(ack, 'a foreign conversation');
    assert.equal(ack.error.code, 'not_found');
  }
});

test('deleted messages are not found, and restored ones are', async () => {
  const { anna, bert } = await four();
  const sent = [];
  for (let i = 0; i < 3; i++) sent.push(await anna.send(bert, text('walrus')));
  const words = () => found(bert, { q: 'walrus' });
  const all = sent.map((message) => message.text).reverse();
  assert.deepEqual(await words(), all);
  await anna.delete(`/messages/${sent[1]._id}`);
  assert.deepEqual(await words(), [all[0], all[2]]);
  const page = await rest(bert.token, { q: 'walrus', limit: 2 });
  assert.deepEqual([page.messages.length, page.next], [2, null], 'the page is not shorter for it');
  await anna.put(`/messages/${sent[1]._id}/restore`);
  assert.deepEqual(await words(), all);
});

test('files are found by their names, images are not by their addresses', async () => {
  const { anna, bert, carl, dora } = await four();
  const words = text('contents');
  const file = { isFile: true, fileName: 'Jahresübersicht-2025.csv' };
  assertAccepted(await camel.sayAcked(carl.socket, dora.name, words, file));
  for (const q of ['jahresubersicht', '2025 csv', 'contents']) assert.deepEqual(await found(dora, { q }), [words]);
  await anna.send(bert, { text: '', image: dataUrl('image/png', png) });
  for (const q of ['png', 'media', 'http', 'data']) assert.deepEqual(await found(bert, { q }), []);
});

test('pages of any size come to the same, while messages arrive', async () => {
  const { anna, bert, carl, dora } = await four();
  const sent = [];
  for (let i = 0; i < 45; i++) {
    const [from, to] = i % 3 ? [anna, bert] : [anna, anna];
    if (from === to) assertAccepted(await camel.sayAcked(carl.socket, dora.name, text('penguin noise')));
    else sent.unshift((await anna.send(bert, text('penguin')))._id);
  }
  for (const limit of [1, 4, 20, 29, 30, 31, 100, 1_000]) {
    for (const answer of [(query) => rest(anna.token, query), (query) => over(anna.socket, query)]) {
      const seen = [];
      let before;
      do {
        const page = await answer({ q: 'penguin', limit, ...(before && { before }) });
        seen.push(...page.messages.map((message) => message.messageId));
        before = page.next;
        if (limit === 20 && before) await anna.send(bert, 'a penguin comes late');
      } while (before);
      const expected = seen.filter((id) => sent.includes(id));
      assert.deepEqual(expected, sent, `limit ${limit}`);
      assert.equal(new Set(seen).size, seen.length, 'nothing twice');
    }
  }
});

test('a socket that passes no callback is answered with an event; the cookie does for REST', async () => {
  const { anna, bert } = await four();
  await anna.send(bert, text('otter'));
  const expected = await over(bert.socket, { q: 'otter' });
  const answer = once(bert.socket, 'search');
  bert.socket.emit('search', { q: 'otter' });
  assert.deepEqual(await answer, expected);
  const { status, data } = await bert.get('/search', { params: { q: 'otter' } });
  assert.deepEqual([status, data], [200, expected]);
});

/** The same answer, asked for in both ways, where a list is written with commas in a query. */
async function answered(person, query) {
  const inQuery = Object.fromEntries(Object.entries(query).map(([key, value]) => [key, String(value)]));
  const answer = await camel.get(server, `/api/search?${new URLSearchParams(inQuery)}`, person.token);
  assert.equal(answer.status, 200, answer.text);
  const ack = await ask(person.socket, 'search', query);
  assertAccepted(ack);
  const { ok, success, ...same } = ack;
  assert.deepEqual(same, answer.json, 'the same over a socket');
  return answer.json;
}

test('phrases, what is left out, senders, types and dates', async () => {
  const { anna, bert } = await four();
  const said = {};
  for (const [name, from, to, message] of [
    ['six', anna, bert, 'the train at six'],
    ['mixed', anna, bert, 'at six the train'],
    ['seven', bert, anna, 'the train at seven'],
    ['image', bert, anna, { text: 'a train', image: dataUrl('image/png', png) }],
  ]) {
    said[name] = await from.send(to, message);
  }
  const moment = (name) => Date.parse(said[name].createdAt);
  for (const [query, names] of [
    [{ q: '"the train at"' }, ['seven', 'six']],
    [{ q: '“the train at s' }, ['seven', 'six']],
    [{ q: 'train -"train at" -a' }, ['mixed']],
    [{ q: 'train -SIX' }, ['image', 'seven']],
    [{ q: 'train', senderId: anna.id }, ['mixed', 'six']],
    [{ types: ['image'] }, ['image']],
    [{ q: 'train', types: ['image', 'file'] }, ['image']],
    [{ senderId: bert.id, types: ['text'] }, ['seven']],
    [{ q: 'train', from: moment('six'), until: moment('image') + 1 }, ['image', 'seven', 'mixed', 'six']],
    [{ q: 'train', until: moment('six') }, []],
    [{ from: moment('image') + 1 }, []],
  ]) {
    for (const reader of [anna, bert]) {
      const { messages, next, complete, ...more } = await answered(reader, query);
      const ids = messages.map((message) => message.messageId);
      assert.deepEqual(ids, names.map((name) => said[name]._id), JSON.stringify(query));
      assert.deepEqual([next, complete, more], [null, true, {}]);
    }
  }
});

test('the best first, page by page, with what to mark', async () => {
  const { anna, bert } = await four();
  const said = [];
  for (let i = 0; i < 25; i++) said.push((await anna.send(bert, `👍 ${'Straße '.repeat(1 + (i % 5))}${'x '.repeat(i % 3)}`))._id);
  const query = { q: 'strasse ', order: 'best', snippets: true };
  const whole = await answered(bert, { ...query, limit: 100 });
  assert.deepEqual(whole.messages.map((message) => message.messageId).sort(), [...said].sort());
  assert.equal(whole.next, null);
  const counts = whole.messages.map((message) => message.content.split('Straße').length - 1);
  assert.ok(counts[0] === 5 && counts.at(-1) === 1, `${counts}`);
  for (const [at, { text: shown, marks }] of whole.snippets.entries()) {
    assert.equal(shown, whole.messages[at].content.trimEnd());
    assert.equal(marks.length, counts[at]);
    for (const [start, end] of marks) assert.equal(shown.slice(start, end), 'Straße');
  }
  const pages = [];
  let before;
  do {
    const page = await answered(bert, { ...query, limit: 4, ...(before && { before }) });
    assert.equal(page.snippets.length, page.messages.length);
    pages.push(...page.messages);
    before = page.next;
    await anna.send(bert, 'Straße Straße Straße Straße Straße Straße');
  } while (before);
  assert.deepEqual(pages, whole.messages, 'as it was when the first page was read');
});

test('wrong parameters are named, no operator is one, and nobody is answered without a token', async () => {
  const { anna, carl } = await four();
  const operator = { $gt: '' };
  for (const [fields, problem] of [
    [{}, 'q is missing'],
    [{ q: operator }, 'q must be a string'],
    [{ q: [operator] }, 'q must be a string'],
    [{ q: 'a', roomId: operator }, 'roomId must be a string'],
    [{ q: 'a', userId: operator }, 'userId must be a string'],
    [{ q: 'a', before: operator }, 'before must be a string'],
    [{ q: 'a', limit: operator }, 'limit must be a whole number'],
    [{ q: '' }, 'query must have a letter or a digit'],
    [{ q: ' *?"' }, 'query must have a letter or a digit'],
    [{ q: 'x'.repeat(257) }, 'query is larger than 256 bytes'],
    [{ q: Array.from({ length: 33 }, (_, i) => i).join(' ') }, 'query is larger than 32 words'],
    [{ q: 'a', limit: 0 }, 'limit must be a whole number from 1'],
    [{ q: 'a', before: '-1' }, 'before must be a position as it was told, in digits'],
    [{ q: 'a', roomId: 'x' }, "roomId must be a room's id"],
    [{ q: 'a', senderId: 'x' }, "senderId must be a user's id"],
    [{ q: 'a', order: 'oldest' }, 'order must be newest or best'],
    [{ q: 'a', order: 'best', before: '1' }, 'before must be what was told as next'],
    [{ q: '-a' }, 'query must have a word that is looked for, besides those that are left out'],
    [{ q: 'a', from: 2, until: 2 }, 'until must be later than from'],
    [{ q: 'a', from: operator }, 'from must be a whole number'],
    [{ q: 'a', types: operator }, 'types must be a list of strings'],
    [{ q: 'a', snippets: 'yes' }, 'snippets must be true or false'],
  ]) {
    for (const { socket } of [anna, carl]) {
      const ack = await ask(socket, 'search', fields);
      assertRefused(ack, JSON.stringify(fields));
      assert.equal(ack.error.message, problem);
    }
    if (Object.values(fields).some((value) => typeof value === 'object')) continue;
    const refused = await camel.get(server, `/api/search?${new URLSearchParams(fields)}`, carl.token);
    assert.deepEqual([refused.status, refused.json.message], [400, problem]);
  }
  for (const query of ['q[$gt]=', 'q%5B%24gt%5D=', 'Q=a', '']) {
    const refused = await camel.get(server, `/api/search?${query}`, anna.token);
    assert.deepEqual([refused.status, refused.json.message], [400, 'q is missing'], query);
  }
  for (const token of [undefined, 'nonsense']) {
    assert.equal((await camel.get(server, '/api/search?q=a', token)).status, 401);
  }
});

test('searches are limited per person, and messages are not held up by it', async () => {
  await server.finish();
  server = await startServer({ CHAT_SEARCH_LIMIT: '3' });
  const { anna, bert } = await four();
  for (let i = 0; i < 3; i++) await rest(anna.token, { q: 'a' });
  const refused = await camel.get(server, '/api/search?q=a', anna.token);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers['retry-after'] ?? refused.headers.get?.('retry-after')) > 0);
  assert.equal((await ask(anna.socket, 'search', { q: 'a' })).error.code, 'rate_limited');
  await anna.send(bert, text('still here'));
  assert.equal((await rest(bert.token, { q: 'still' })).messages.length, 1, 'others go on');
});

/** A conversation of which the first search takes long. */
async function withMuchToIndex() {
  await server.finish();
  // Nothing but the search takes long.
  server = await startServer({ CHAT_CODEC: 'none', CHAT_SEARCH_LIMIT: '0' });
  const people = await four();
  let n = 0;
  const long = () => Array.from({ length: 7_000 }, () => `w${(n++).toString(36)}`).join(' ');
  for (let i = 0; i < 150; i++) assertAccepted(await camel.sayAcked(people.carl.socket, people.dora.name, long()));
  return people;
}

test('what follows searches does not wait for them; only the latest waits', async () => {
  const { carl, dora } = await withMuchToIndex();
  const order = [];
  const asked = (name, asking) => asking.then((ack) => order.push([name, ack]));
  const all = ['w1 ', 'w2 ', 'w3 ', 'w4 '].map((q) => asked(q, ask(carl.socket, 'search', { q })));
  all.push(asked('message', camel.sayAcked(carl.socket, dora.name, text('in between'))));
  await Promise.all(all);
  assert.deepEqual(order.map(([name]) => name), ['message', 'w1 ', 'w2 ', 'w3 ', 'w4 ']);
  const acks = Object.fromEntries(order);
  for (const made of ['message', 'w1 ', 'w4 ']) assertAccepted(acks[made]);
  for (const made of ['w1 ', 'w4 ']) assert.equal(acks[made].messages.length, 1);
  for (const replaced of ['w2 ', 'w3 ']) {
    assertRefused(acks[replaced], replaced);
    const { code, message } = acks[replaced].error;
    assert.deepEqual([code, message], ['rate_limited', 'a newer search has taken its place']);
  }
});

test('a person makes one search at a time, and others do not wait for it', async () => {
  const { anna, bert, carl, dora } = await withMuchToIndex();
  await anna.send(bert, text('raccoon'));
  const phone = await camel.enter(server, carl);
  const order = [];
  const first = ask(carl.socket, 'search', { q: 'w1 ' }).then((ack) => order.push(['first', ack]));
  // Messages are answered behind the searches that were taken before them.
  assertAccepted(await camel.sayAcked(carl.socket, dora.name, text('the search was taken')));
  const second = ask(phone, 'search', { q: 'w2 ' }).then((ack) => order.push(['second', ack]));
  const refused = await camel.get(server, '/api/search?q=w3', carl.token);
  assert.deepEqual([refused.status, refused.headers['retry-after'] ?? refused.headers.get?.('retry-after')], [429, '1']);
  assert.equal((await rest(bert.token, { q: 'raccoon' })).messages.length, 1);
  assert.deepEqual(order, [], 'it is still being made');
  await Promise.all([first, second]);
  assert.deepEqual(order.map(([name]) => name), ['first', 'second']);
  for (const [, ack] of order) assert.equal(ack.messages.length, 1);
  assert.equal((await rest(carl.token, { q: 'w3 ' })).messages.length, 1);
});

test('what was said before a restart is found, indexed or not', async () => {
  const { anna, bert } = await four();
  const first = text('beaver');
  await anna.send(bert, first);
  await rest(anna.token, { q: 'beaver' });
  const second = text('beaver');
  await anna.send(bert, second);
  await server.stop();
  await server.launch();
  assert.deepEqual((await rest(bert.token, { q: 'beaver' })).messages.map((message) => message.content), [second, first]);
});
