// Our own page as somebody sees it who comes for the first time, makes mistakes, uses the keyboard, or a phone.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { text } from './support/names.mjs';
import { startServer } from './support/server.mjs';
import { until } from './support/wait.mjs';
import { closeBrowser, openBrowser, Window } from './support/window.mjs';

const PHONE = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

let server;
before(async () => {
  server = await startServer();
  await openBrowser();
});
after(async () => {
  await closeBrowser();
  await server?.finish();
});

/** What a screen reader says of a field beside its name: its error, which must be in sight. */
async function problem(window, id) {
  const field = window.at(id);
  assert.equal(await field.getAttribute('aria-invalid'), 'true', id);
  const error = window.page.locator(`#${await field.getAttribute('aria-describedby')}`);
  assert.equal(await error.getAttribute('role'), 'alert', id);
  assert.ok(await error.isVisible(), id);
  const [above, below] = [await field.boundingBox(), await error.boundingBox()];
  const gap = below.y - (above.y + above.height);
  assert.ok(gap >= 0 && gap < 24, `${id}: its error stands ${gap} pixels below it`);
  return error.innerText();
}

async function fine(window, ...ids) {
  for (const id of ids) {
    assert.equal(await window.at(id).getAttribute('aria-invalid'), null, id);
    assert.equal(await window.at(id).getAttribute('aria-describedby'), null, id);
  }
}

const focused = (window) => window.page.evaluate(() => document.activeElement.dataset.testid);

test('an empty server asks for the first account, and no later visitor', async () => {
  const empty = await startServer();
  const anna = await Window.open(empty, 'anna');
  await anna.page.getByRole('heading', { name: 'Create the first account' }).waitFor();
  await anna.signup();
  await anna.page.getByText('You are the first one').waitFor();
  await anna.at('logout').click();
  await anna.at('login-form').waitFor();
  await anna.at('to-signup').click();
  await anna.page.getByRole('heading', { name: 'Create your account' }).waitFor();
  const bert = await Window.open(empty, 'bert');
  await bert.at('login-form').waitFor();
  await empty.restart();
  const carl = await Window.open(empty, 'carl');
  await carl.at('login-form').waitFor();
  for (const window of [anna, bert, carl]) {
    assert.deepEqual(window.errors, []);
    await window.close();
  }
  await empty.finish();
});

test('what is wrong stands at its field, for the eye and the ear', async () => {
  const anna = await (await Window.open(server, 'anna')).signup();
  const bert = await Window.open(server, 'bert');
  await bert.form('signup');
  const submit = () => bert.at('signup-submit').click();
  await submit();
  assert.match(await problem(bert, 'signup-name'), /enter your name/i);
  assert.match(await problem(bert, 'signup-email'), /enter your email/i);
  assert.match(await problem(bert, 'signup-password'), /choose a password/i);
  assert.equal(await focused(bert), 'signup-name');

  await bert.at('signup-name').fill(bert.name);
  await bert.at('signup-email').fill('nowhere');
  await bert.at('signup-password').fill('password');
  await submit();
  assert.match(await problem(bert, 'signup-email'), /nowhere/);
  await fine(bert, 'signup-name', 'signup-password');
  assert.equal(await focused(bert), 'signup-email');

  // These only the server knows.
  const answered = async (field, words) => {
    await submit();
    await bert.page.locator(`#${field}-error`).filter({ hasText: words }).waitFor();
    assert.match(await problem(bert, field), words);
    await until(async () => (await focused(bert)) === field, `the focus on ${field}`);
  };
  await bert.at('signup-email').fill(bert.email);
  await answered('signup-password', /commonest/);
  await bert.at('signup-password').fill('abc');
  await answered('signup-password', /at least 6 characters/);
  await fine(bert, 'signup-name', 'signup-email');
  await bert.at('signup-password').fill(bert.password);
  await bert.at('signup-email').fill('bert@nowhere@example.com');
  await answered('signup-email', /not an email address/);
  await bert.at('signup-email').fill(bert.email);
  await bert.at('signup-name').fill('b'.repeat(300));
  await answered('signup-name', /The name/);
  await bert.at('signup-name').fill(bert.name);
  await bert.at('signup-email').fill(anna.email);
  await answered('signup-email', /account with this email already/);
  await fine(bert, 'signup-name', 'signup-password');

  // And it says what can be done.
  await bert.page.getByText('Log in instead').click();
  assert.equal(await bert.at('login-email').inputValue(), anna.email);
  assert.equal(await focused(bert), 'login-password');
  await fine(bert, 'login-email', 'login-password');
  await bert.at('login-password').fill('not it at all');
  await bert.at('login-submit').click();
  await bert.page.getByText('Invalid credentials').waitFor();
  assert.match(await problem(bert, 'login-password'), /the email or the password/);
  await bert.at('to-signup').click();
  await bert.at('signup-email').fill(bert.email);
  await bert.at('signup-password').fill(bert.password);
  await submit();
  await bert.connected();
  for (const window of [anna, bert]) {
    assert.deepEqual(window.errors, []);
    await window.close();
  }
});

test('too many log-ins say when there may be more', async () => {
  const anna = await Window.open(server, 'anna');
  const refusal = anna.page.getByRole('alert').filter({ hasText: /Too many attempts\. Try again in 1[0-9] minutes/ });
  for (let n = 1; n <= 6; n++) {
    const answer = anna.page.waitForResponse('**/api/auth/login');
    await anna.login('wrong-password');
    await answer;
  }
  await refusal.waitFor();
  assert.deepEqual(anna.errors, []);
  await anna.close();
});

test('a picture that cannot be sent says so at the composer', async () => {
  const anna = await (await Window.open(server, 'anna')).signup();
  const bert = await (await Window.open(server, 'bert')).signup();
  await anna.talkTo(bert);
  await anna.at('file').setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture') });
  await anna.at('composer-error').filter({ hasText: 'PNG' }).waitFor();
  assert.equal(await anna.at('composer').getAttribute('aria-describedby'), 'composer-error');
  await anna.at('composer').pressSequentially('x');
  await anna.at('composer-error').waitFor({ state: 'hidden' });
  await Promise.all([anna.close(), bert.close()]);
});

test('nobody reads others’ addresses in the list of people', async () => {
  const anna = await (await Window.open(server, 'anna')).signup();
  const bert = await (await Window.open(server, 'bert')).signup();
  await bert.person(anna).waitFor();
  assert.ok(!(await bert.page.locator('nav').innerText()).includes('@'));
  assert.ok(!(await bert.person(anna).getAttribute('aria-label')).includes('@'));
  await bert.at('search').fill(anna.name);
  await bert.person(anna).waitFor();
  await bert.at('search').fill('example.com');
  await bert.page.getByText('Nobody found').waitFor();
  await Promise.all([anna.close(), bert.close()]);
});

test('with the keyboard alone', async () => {
  const anna = await (await Window.open(server, 'anna')).signup();
  const bert = await Window.open(server, 'bert');
  const keys = bert.page.keyboard;
  await bert.at('login-form').waitFor();
  for (let n = 0; (await focused(bert)) !== 'to-signup'; n++) {
    assert.ok(n < 8, 'Tab leads to the other form');
    await keys.press('Tab');
  }
  await keys.press('Enter');
  await until(async () => (await focused(bert)) === 'signup-name', 'the focus on the first field');
  await keys.press('Enter');
  await problem(bert, 'signup-name');
  for (const word of [bert.name, bert.email, bert.password]) {
    await keys.type(word);
    await keys.press('Tab');
  }
  await keys.press('Shift+Tab');
  await keys.press('Enter');
  await bert.connected();
  await bert.person(anna).waitFor();
  await keys.press('Control+k');
  await keys.type(anna.name);
  await keys.press('Enter');
  await until(async () => (await focused(bert)) === 'composer', 'the focus on the composer');
  const words = text();
  await keys.type(words);
  await keys.press('Enter');
  await bert.sent(words);
  await anna.person(bert).filter({ hasText: words }).waitFor();
  await Promise.all([anna.close(), bert.close()]);
});

test('on a phone', async () => {
  const anna = await (await Window.open(server, 'anna')).signup();
  const bert = await Window.open(server, 'bert', PHONE);
  const inSight = async () => {
    const [width, wide] = await bert.page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
    assert.ok(wide <= width, `${wide} pixels on ${width}`);
  };
  await bert.form('signup');
  await bert.at('signup-submit').tap();
  await problem(bert, 'signup-password');
  await inSight();
  await bert.signup();
  await inSight();
  await bert.person(anna).tap();
  const words = text();
  await bert.at('composer').fill(words);
  await bert.at('send').tap();
  await bert.sent(words);
  await inSight();
  await bert.page.context().setOffline(true);
  const later = text('later');
  await bert.at('composer').fill(later);
  await bert.at('send').tap();
  await bert.status(later, 'waiting');
  await inSight();
  await bert.at('back').tap();
  await bert.person(anna).filter({ hasText: `Waiting: ${later}` }).waitFor();
  await inSight();
  await bert.page.context().setOffline(false);
  await anna.person(bert).filter({ hasText: later }).waitFor();
  assert.deepEqual(bert.errors, []);
  await Promise.all([anna.close(), bert.close()]);
});

test('a page that is loaded while the server is away waits for it', async () => {
  const anna = await (await Window.open(server, 'anna')).signup();
  let away = true;
  await anna.page.route('**/api/auth/check', (route) => (away ? route.abort() : route.fallback()));
  await anna.page.reload();
  await anna.page.getByText('The server cannot be reached. Trying again').waitFor();
  away = false;
  await anna.connected();
  await anna.close();
});
