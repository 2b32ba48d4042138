// Our own page in a real browser: two people, each in a window of their own.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { text } from './support/names.mjs';
import { startServer } from './support/server.mjs';
import { closeBrowser, openBrowser, Window } from './support/window.mjs';

let server;
before(async () => {
  server = await startServer();
  await openBrowser();
});
after(async () => {
  await closeBrowser();
  await server?.finish();
});

test('two people sign up, talk, see presence and typing, delete and undo, and find everything again', async () => {
  const anna = await Window.open(server, 'anna');
  await anna.picture('1-start');
  await anna.signup();
  const bert = await (await Window.open(server, 'bert')).signup();

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
  const carl = await (await Window.open(server, 'carl')).signup();
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
  const dora = await (await Window.open(server, 'dora')).signup();
  const emil = await (await Window.open(server, 'emil')).signup();
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
