// Our own page in Chromium.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { password, unique } from './names.mjs';
import { artifacts } from './server.mjs';
import { until } from './wait.mjs';

const CHROMIUM = '/usr/bin/chromium';

let browser;

export async function openBrowser() {
  assert.ok(existsSync(CHROMIUM), `this test needs ${CHROMIUM}: apt-get install chromium`);
  mkdirSync(artifacts, { recursive: true });
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-proxy-server'],
  });
}

export async function closeBrowser() {
  await browser?.close();
}

/** A window of its own, with nobody else's cookies. What goes wrong in the page is kept in `errors`. */
export class Window {
  /** `at` is a server, or what stands before one; `options` are those of a browser's context, `script` runs before the page. */
  static async open(at, word, { script, ...options } = {}) {
    const window = new Window();
    window.context = await browser.newContext({ viewport: { width: 1000, height: 700 }, ...options });
    window.context.setDefaultTimeout(20_000);
    if (script) await window.context.addInitScript(script);
    window.errors = [];
    window.url = at.url;
    window.name = unique(word);
    window.email = `${window.name}@example.com`;
    window.password = password();
    await window.#load();
    return window;
  }

  async #load() {
    this.page = await this.context.newPage();
    this.page.on('pageerror', (error) => this.errors.push(error.message));
    this.page.on('console', (line) => {
      if (line.type() === 'error' && /content security policy/i.test(line.text())) this.errors.push(line.text());
    });
    await this.page.goto(this.url);
  }

  /** Another tab of the same browser, with the same person. */
  async tab() {
    const tab = Object.assign(new Window(), { ...this });
    await tab.#load();
    await tab.connected();
    return tab;
  }

  close() {
    return this.context.close();
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

  /** Once the message is as far as this: waiting, sending, sent, failed. */
  status(words, status) {
    return this.page.locator(`[data-testid=message][data-status=${status}]`).filter({ hasText: words }).first().waitFor();
  }

  sent(words) {
    return this.status(words, 'sent');
  }

  /** Once exactly these messages are shown, in this order, all of them sent. */
  async shows(...words) {
    const shown = () => this.page.locator('[data-testid=message]').evaluateAll((all) => all.map((row) => [row.dataset.status, row.innerText]));
    const fits = (rows) => rows.length === words.length && rows.every(([status, text], i) => status === 'sent' && text.includes(words[i]));
    let rows;
    await until(async () => fits((rows = await shown())), 'what the page shows').catch((error) => {
      assert.deepEqual(rows.map((row) => row.join(': ')), words.map((word) => `sent: ${word}`), error.message);
      throw error;
    });
  }

  attach(name, bytes) {
    return this.at('file').setInputFiles({ name, mimeType: 'image/png', buffer: bytes });
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
