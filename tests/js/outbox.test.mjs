// Our own page when answers get lost, connections drop and servers die: what was written arrives once, in order, and is
// shown once.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { noise } from './support/images.mjs';
import { text, unique } from './support/names.mjs';
import { DOWN, startProxy } from './support/proxy.mjs';
import { startServer } from './support/server.mjs';
import { once, until } from './support/wait.mjs';
import { closeBrowser, openBrowser, Window } from './support/window.mjs';

let server;
let proxy;
let windows;
before(openBrowser);
after(closeBrowser);
beforeEach(async () => {
  windows = [];
  server = await startServer();
  proxy = await startProxy(server);
});
afterEach(async () => {
  const errors = windows.flatMap((window) => window.errors);
  for (const window of windows) await window.close();
  await proxy.close();
  await server.finish();
  assert.deepEqual(errors, []);
});

async function signup(at, word, options) {
  const window = await Window.open(at, word, options);
  windows.push(window);
  return window.signup();
}

/** Anna's window behind the proxy and Bert's, each with the other's chat open. */
async function pair(options) {
  const anna = await signup(proxy, 'anna', options);
  const bert = await signup(server, 'bert');
  await Promise.all([anna.talkTo(bert), bert.talkTo(anna)]);
  return [anna, bert];
}

/** All windows show exactly these messages, in this order, as sent; so they do after a reload. */
async function show(all, ...words) {
  for (const window of all) await window.shows(...words);
  for (const window of all) {
    await window.page.reload();
    await window.connected();
    await window.shows(...words);
  }
}

/** A fence, said when everything else must have been: what is shown afterwards is all there is. */
async function fenced(from, to, words) {
  const fence = text('fence');
  await from.write(fence);
  await to.message(fence).waitFor();
  await show([from, to], ...words, fence);
}

async function cut(...tabs) {
  proxy.cut();
  for (const tab of tabs) await tab.connected('offline');
}

for (const [what, lose] of Object.entries({
  'the connection is lost': async () => {
    proxy.cut();
    proxy.release();
    proxy.accept();
  },
  'the server is killed': async () => {
    await server.kill9();
    proxy.reset();
    proxy.release();
    await server.restart();
  },
})) {
  test(`${what} before the answer: one message`, async () => {
    const [anna, bert] = await pair();
    const words = text();
    proxy.hold(DOWN);
    await anna.write(words);
    await bert.message(words).waitFor();
    assert.equal(await anna.message(words).getAttribute('data-status'), 'sending');
    await lose();
    await anna.sent(words);
    await fenced(anna, bert, [words]);
  });
}

test('a picture whose answer is lost is one picture', async () => {
  const [anna, bert] = await pair();
  const words = text();
  proxy.hold(DOWN);
  await anna.attach('one.png', noise(8, 8));
  await anna.write(words);
  await bert.message(words).waitFor();
  proxy.cut();
  proxy.release();
  proxy.accept();
  await anna.sent(words);
  await fenced(anna, bert, [words]);
  for (const window of [anna, bert]) assert.equal(await window.message(words).locator('img').count(), 1);
});

test('the same words twice, with an answer lost, are two messages', async () => {
  const [anna, bert] = await pair();
  proxy.hold(DOWN);
  const words = text();
  await anna.write(words);
  await anna.at('composer').fill(words);
  await anna.at('send').click();
  await bert.message(words).waitFor();
  proxy.cut();
  proxy.release();
  proxy.accept();
  await fenced(anna, bert, [words, words]);
});

test('three unsent, a picture among them, outlive a reload without a server', async () => {
  const [anna, bert] = await pair();
  await cut(anna);
  const words = [text('one'), text('two'), text('three')];
  await anna.write(words[0]);
  await anna.attach('two.png', noise(8, 8));
  await anna.write(words[1]);
  await anna.write(words[2]);
  for (const word of words) await anna.status(word, 'waiting');
  await anna.page.getByText('Reconnecting… 3 messages are kept').waitFor();
  await assert.rejects(anna.page.reload(), 'there is no server to load the page from');
  await anna.page.waitForURL('chrome-error://**');
  proxy.accept();
  await anna.page.goto(`${proxy.url}/`);
  await anna.connected();
  for (const word of words) await bert.message(word).waitFor();
  await anna.talkTo(bert);
  await fenced(anna, bert, words);
  assert.equal(await bert.message(words[1]).locator('img').count(), 1);
});

test('a reload while an answer is awaited sends nothing twice', async () => {
  const [anna, bert] = await pair();
  const words = text();
  proxy.hold(DOWN);
  await anna.write(words);
  await bert.message(words).waitFor();
  proxy.reset();
  proxy.release();
  await anna.page.reload();
  await anna.connected();
  await anna.sent(words);
  await fenced(anna, bert, [words]);
});

test('what was written before the page could be loaded again waits for a server that was killed', async () => {
  const [anna, bert] = await pair();
  await server.kill9();
  await anna.connected('offline');
  const words = [text('one'), text('two'), text('three')];
  for (const word of words) await anna.write(word);
  await server.restart();
  for (const word of words) await bert.message(word).waitFor();
  await fenced(anna, bert, words);
});

const WITHOUT = {
  'a browser with locks': () => {},
  'a browser without locks, as pages on plain http have it': () => {
    Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined });
  },
  'a browser without locks and without a channel between tabs': () => {
    Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined });
    delete window.BroadcastChannel;
  },
};
for (const [what, prepare] of Object.entries(WITHOUT)) {
  describe(what, () => {
    test('of two tabs one sends, in order, and both show it once', async () => {
      const [anna, bert] = await pair({ script: prepare });
      const tab = await anna.tab();
      await tab.talkTo(bert);
      await cut(anna, tab);
      const words = [];
      for (const writer of [anna, tab, anna, tab]) {
        words.push(text(`number ${words.length}`));
        await writer.write(words.at(-1));
        await writer.status(words.at(-1), 'waiting');
      }
      let answered = 0;
      anna.context.on('requestfinished', (request) => request.url().includes('/messages/send/') && answered++);
      proxy.accept();
      for (const word of words) await bert.message(word).waitFor();
      await Promise.all([anna, tab].map((window) => window.shows(...words)));
      assert.equal(answered, words.length, 'each was sent by one tab');
      await tab.page.close();
      await fenced(anna, bert, words);
    });

    test('what a tab leaves behind, another one sends', async () => {
      const [anna, bert] = await pair({ script: prepare });
      const tab = await anna.tab();
      await tab.talkTo(bert);
      await cut(anna, tab);
      const words = [text('one'), text('two')];
      for (const word of words) {
        await tab.write(word);
        await tab.status(word, 'waiting');
      }
      await tab.page.close();
      proxy.accept();
      for (const word of words) await bert.message(word).waitFor();
      await fenced(anna, bert, words);
    });
  });
}

test('nobody else sends or sees what somebody has left unsent', async () => {
  const [anna, bert] = await pair();
  const [words, draft] = [text('unsent'), text('draft')];
  const route = '**/api/messages/send/**';
  await anna.page.route(route, (request) => request.abort());
  await anna.write(words);
  await anna.status(words, 'waiting');
  await anna.at('composer').fill(draft);
  await anna.at('logout').click();
  await anna.page.getByText('One message is not sent yet').waitFor();
  await anna.at('unsent-stay').click();
  await anna.status(words, 'waiting');
  await anna.at('logout').click();
  await anna.at('unsent-keep').click();
  await anna.form('login');
  await anna.page.unroute(route);

  // Carl, in the same browser.
  const carl = Object.assign(new Window(), { ...anna, name: unique('carl') });
  carl.email = `${carl.name}@example.com`;
  await carl.signup();
  await carl.talkTo(bert);
  const fence = text('fence');
  await carl.write(fence);
  await carl.shows(fence);
  assert.equal(await carl.at('composer').inputValue(), '');
  await bert.person(carl).click();
  await bert.shows(fence);
  await carl.at('logout').click();

  await anna.login();
  await anna.connected();
  await anna.talkTo(bert);
  await bert.person(anna).click();
  await anna.shows(words);
  await bert.shows(words);
  assert.equal(await anna.at('composer').inputValue(), draft, 'and the draft is still there');
});

test('what is not to be kept is deleted at log-out', async () => {
  const [anna, bert] = await pair();
  const words = text('unsent');
  const route = '**/api/messages/send/**';
  await anna.page.route(route, (request) => request.abort());
  await anna.write(words);
  await anna.status(words, 'waiting');
  await anna.at('logout').click();
  await anna.at('unsent-delete').click();
  await anna.form('login');
  await anna.page.unroute(route);
  await anna.login();
  await anna.connected();
  await anna.talkTo(bert);
  await fenced(anna, bert, []);
});

test('what is refused for good says why, is not sent again, and can be mended', async () => {
  const [anna, bert] = await pair();
  let asked = 0;
  anna.page.on('request', (request) => request.url().includes('/messages/send/') && asked++);
  const [long, next] = [text('x'.repeat(66_000)), text('next')];
  await anna.at('composer').fill(long);
  await anna.at('send').click();
  await anna.at('send-error').filter({ hasText: /the text is too long \(64 KB at most\)/ }).waitFor();
  // It does not hold up what follows.
  await anna.write(next);
  await bert.message(next).waitFor();
  assert.equal(asked, 2);
  await anna.page.reload();
  await anna.connected();
  await anna.at('send-error').waitFor();
  await anna.at('edit-unsent').click();
  await until(async () => (await anna.at('composer').inputValue()) === long, 'the text to be edited');
  const short = text('shorter');
  await anna.write(short);
  await fenced(anna, bert, [next, short]);
});

test('too many are sent when the server says so, in order', async () => {
  const [anna, bert] = await pair();
  const times = [];
  const route = '**/api/messages/send/**';
  await anna.page.route(route, async (request) => {
    times.push(Date.now());
    if (times.length > 1) return request.fallback();
    await request.fulfill({ status: 429, headers: { 'retry-after': '2' }, json: { message: 'Rate limit exceeded. Please try again later.' } });
  });
  const words = [text('one'), text('two')];
  await anna.write(words[0]);
  await anna.page.getByText('Too many messages. Sent in 2 seconds').waitFor();
  await anna.write(words[1]);
  // Not even a reload makes it ask again before.
  await anna.page.reload();
  for (const word of words) await bert.message(word).waitFor();
  assert.ok(times[1] - times[0] >= 2_000, `${times[1] - times[0]} ms`);
  await anna.page.unroute(route);
  await fenced(anna, bert, words);
});

test('what was not sent yet can be taken back', async () => {
  const [anna, bert] = await pair();
  const route = '**/api/messages/send/**';
  await anna.page.route(route, (request) => request.fulfill({ status: 429, headers: { 'retry-after': '600' }, json: { message: 'Rate limit exceeded.' } }));
  const words = text('regretted');
  await anna.write(words);
  await anna.message(words).getByTestId('discard').click();
  await anna.message(words).waitFor({ state: 'detached' });
  await anna.page.unroute(route);
  await fenced(anna, bert, []);
});

test('drafts are kept for each chat over a reload, with their picture', async () => {
  const [anna, bert] = await pair();
  const carl = await signup(server, 'carl');
  const [first, second] = [text('to bert'), text('to carl')];
  await anna.at('composer').pressSequentially(first);
  await anna.attach('draft.png', noise(8, 8));
  await anna.talkTo(carl);
  assert.equal(await anna.at('composer').inputValue(), '');
  await anna.at('composer').fill(second);
  await anna.page.reload();
  await anna.connected();
  await anna.person(bert).filter({ hasText: `Draft: ${first}` }).waitFor();
  assert.equal(await anna.at('composer').inputValue(), second, 'the open chat');
  await anna.talkTo(bert);
  assert.equal(await anna.at('composer').inputValue(), first);
  await anna.page.getByText('draft.png').waitFor();
  await anna.at('send').click();
  await anna.sent(first);
  await fenced(anna, bert, [first]);
  assert.equal(await anna.at('composer').inputValue(), '', 'sent, and not a draft any more');
  await anna.person(carl).filter({ hasText: `Draft: ${second}` }).waitFor();
});

test('what comes while a history is loaded stands in its place, once', async () => {
  const [anna, bert] = await pair();
  const [before, during, afterwards] = [text('before'), text('during'), text('afterwards')];
  await bert.write(before);
  await anna.message(before).waitFor();
  // The history is read by the server, and held back while more comes.
  let release;
  let held;
  const released = new Promise((resolve) => (release = resolve));
  const isHeld = new Promise((resolve) => (held = resolve));
  const asked = once(anna.page, 'response', (answer) => /\/api\/messages\/[0-9a-f]{24}\?/.test(answer.url()));
  await anna.page.route(/\/api\/messages\/[0-9a-f]{24}\?/, async (request) => {
    const answer = await request.fetch();
    held();
    await released;
    await request.fulfill({ response: answer });
  });
  await anna.page.reload();
  await isHeld;
  await anna.connected();
  await bert.write(during);
  await anna.message(during).waitFor();
  await anna.write(afterwards);
  await anna.sent(afterwards);
  release();
  await asked;
  await anna.shows(before, during, afterwards);
  await anna.page.unroute(/\/api\/messages\/[0-9a-f]{24}\?/);
  await show([anna, bert], before, during, afterwards);
});

test('long histories come page by page', async () => {
  const [anna, bert] = [await signup(proxy, 'anna'), await signup(server, 'bert')];
  const to = await bert.person(anna).getAttribute('data-user-id');
  for (let i = 0; i < 340; i++) {
    const answer = await bert.context.request.post(`${server.url}/api/messages/send/${to}`, { data: { text: `number ${i}.`, image: null } });
    assert.equal(answer.status(), 201);
  }
  await anna.page.reload();
  await anna.talkTo(bert);
  await anna.message('number 339.').waitFor();
  const numbers = async () => (await anna.words()).map((words) => Number(words.match(/number (\d+)\./)[1]));
  const range = (from) => Array.from({ length: 340 - from }, (_, i) => from + i);
  assert.deepEqual(await numbers(), range(190));
  for (const from of [40, 0]) {
    await anna.page.getByText('Show earlier messages').click();
    await anna.message(`number ${from}.`).first().waitFor();
    assert.deepEqual(await numbers(), range(from));
  }
  await anna.page.getByText('Show earlier messages').waitFor({ state: 'hidden' });
});
