// Our own page in a real browser: two people, each in a window of their own.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

import { password, text, unique } from './support/names.mjs';
import { artifacts, startServer } from './support/server.mjs';

const CHROMIUM = '/usr/bin/chromium';

let server;
let browser;
before(async () => {
  assert.ok(existsSync(CHROMIUM), `this test needs ${CHROMIUM}: apt-get install chromium`);
  mkdirSync(artifacts, { recursive: true });
  server = await startServer();
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-proxy-server'],
  });
});
after(async () => {
  await browser?.close();
  await server?.finish();
});

/** A window of its own, with nobody else's cookies. What goes wrong in the page is kept in `errors`. */
class Window {
  static async open(word) {
    const window = new Window();
    window.context = await browser.newContext({ viewport: { width: 1000, height: 700 } });
    window.context.setDefaultTimeout(15_000);
    window.page = await window.context.newPage();
    window.errors = [];
    window.page.on('pageerror', (error) => window.errors.push(error.message));
    window.page.on('console', (line) => {
      if (line.type() === 'error' && /content security policy/i.test(line.text())) window.errors.push(line.text());
    });
    window.name = unique(word);
    window.email = `${window.name}@example.com`;
    window.password = password();
    await window.page.goto(server.url);
    return window;
  }

  at(id) {
    return this.page.getByTestId(id);
  }

  /** Shows the form to log in or to sign up, whichever the page has come up with. */
  async form(wanted) {
    await this.at('login-form').or(this.at('signup-form')).filter({ visible: true }).waitFor();
    if (!(await this.at(`${wanted}-form`).isVisible())) await this.at(`to-${wanted}`).click();
  }

  async signup() {
    await this.form('signup');
    await this.at('signup-name').fill(this.name);
    await this.at('signup-email').fill(this.email);
    await this.at('signup-password').fill(this.password);
    await this.at('signup-submit').click();
    await this.connected();
    return this;
  }

  async login(pass = this.password) {
    await this.form('login');
    await this.at('login-email').fill(this.email);
    await this.at('login-password').fill(pass);
    await this.at('login-submit').click();
  }

  /** Once the page says that it is connected, or that it is not. */
  connected(state = 'online') {
    return this.page.locator(`[data-testid=connection][data-state=${state}]`).waitFor({ timeout: 30_000 });
  }

  person(other) {
    return this.at('person').filter({ hasText: other.name });
  }

  async talkTo(other) {
    await this.person(other).click();
    await this.at('composer').waitFor();
  }

  async write(words) {
    await this.at('composer').fill(words);
    await this.at('send').click();
    await this.message(words).waitFor();
  }

  message(words) {
    return this.at('message').filter({ hasText: words });
  }

  /** The person's row once it shows the other online or not. */
  online(other, yes) {
    return this.page.locator(`[data-testid=person][data-online=${yes}]`).filter({ hasText: other.name }).waitFor();
  }

  async words() {
    return this.at('message').allInnerTexts();
  }

  picture(name) {
    return this.page.screenshot({ path: path.join(artifacts, `${name}.png`) });
  }
}

test('two people sign up, talk, see presence and typing, delete and undo, and find everything again', async () => {
  const anna = await Window.open('anna');
  await anna.picture('1-start');
  await anna.signup();
  const bert = await (await Window.open('bert')).signup();

  // Anna's page was there first; it learns of Bert by itself.
  await Promise.all([anna.online(bert, true), bert.online(anna, true)]);
  await Promise.all([anna.talkTo(bert), bert.talkTo(anna)]);
  await anna.picture('2-nobody-spoke');

  const [first, second] = [text('Hello'), text('Good evening')];
  await anna.write(first);
  await bert.message(first).waitFor();
  await bert.write(second);
  await anna.message(second).waitFor();
  assert.equal(await anna.message(first).getAttribute('data-mine'), 'true');
  assert.equal(await anna.message(second).getAttribute('data-mine'), 'false');
  assert.equal(await anna.at('message').count(), 2, 'nothing is shown twice');
  assert.equal(await anna.message(first).getAttribute('data-message-id'), await bert.message(first).getAttribute('data-message-id'));

  await bert.at('composer').pressSequentially('typing');
  await anna.at('typing').waitFor();
  await anna.picture('3-talking');
  await bert.at('composer').fill('');
  await anna.at('typing').waitFor({ state: 'hidden' });

  // What looks like HTML is text.
  const markup = '<img src=x onerror="window.harmed = true"><b>bold</b>';
  await bert.write(markup);
  await anna.message(markup).waitFor();
  assert.equal(await anna.page.evaluate(() => window.harmed), undefined);

  await anna.message(first).hover();
  await anna.message(first).getByTestId('delete-message').click();
  await bert.message(first).waitFor({ state: 'detached' });
  await anna.picture('4-deleted');
  await anna.at('undo').click();
  await Promise.all([anna, bert].map((window) => window.message(first).waitFor()));

  await bert.page.reload();
  await bert.online(anna, true);
  await bert.talkTo(anna);
  await bert.message(markup).waitFor();
  const words = await bert.words();
  assert.equal(words.length, 3);
  for (const [i, part] of [first, second, markup].entries()) assert.ok(words[i].includes(part), `${i}: ${words[i]}`);
  await bert.picture('5-after-reload');

  await bert.context.close();
  await anna.online(bert, false);
  assert.deepEqual([...anna.errors, ...bert.errors], []);
  await anna.context.close();
});

test('log out, a wrong password, and log in again', async () => {
  const carl = await (await Window.open('carl')).signup();
  await carl.at('logout').click();
  await carl.form('login');
  assert.deepEqual((await carl.context.cookies()).filter((cookie) => cookie.name === 'jwt'), []);

  await carl.login('wrong-password');
  await carl.page.getByText('Invalid credentials').first().waitFor();
  await carl.picture('6-wrong-password');

  await carl.login();
  await carl.connected();
  await carl.page.reload();
  await carl.connected();
  assert.deepEqual(carl.errors, []);
  await carl.context.close();
});

test('the page comes back by itself when the server was gone', async () => {
  const dora = await (await Window.open('dora')).signup();
  const emil = await (await Window.open('emil')).signup();
  await Promise.all([dora.talkTo(emil), emil.talkTo(dora)]);
  const before = text('before');
  await dora.write(before);
  await emil.message(before).waitFor();

  await server.kill9();
  await dora.connected('offline');
  await dora.picture('7-server-gone');
  await server.restart();
  await Promise.all([dora.connected(), emil.connected()]);

  const afterwards = text('afterwards');
  await dora.write(afterwards);
  await emil.message(afterwards).waitFor();
  assert.equal(await emil.at('message').count(), 2);
  await Promise.all([dora.context.close(), emil.context.close()]);
});
