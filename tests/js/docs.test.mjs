// The page at /docs in a real browser: everything that is described is shown, nothing is asked of another host.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { request } from './support/http.mjs';
import { artifacts, startServer } from './support/server.mjs';
import { closeBrowser, openBrowser, Window } from './support/window.mjs';

const api = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../docs/api');

let server;
before(async () => {
  server = await startServer({ CHAT_DIALECTS: 'camel,push,native' });
  await openBrowser();
});
after(async () => {
  await closeBrowser();
  await server?.finish();
});

test('the documents are those of the repository, with an etag', async () => {
  for (const name of ['openapi.json', 'asyncapi.json', 'events.d.ts', 'schema.json']) {
    const { status, headers, text } = await request(server, { path: `/docs/${name}` });
    assert.equal(status, 200);
    assert.ok(text === readFileSync(path.join(api, name), 'utf8'), `${name} is another one`);
    const again = await request(server, { path: `/docs/${name}`, headers: { 'if-none-match': headers.etag } });
    assert.equal(again.status, 304);
  }
});

test('every route, event and type is shown, found by words, and led to', async () => {
  const openapi = JSON.parse(readFileSync(path.join(api, 'openapi.json'), 'utf8'));
  const asyncapi = JSON.parse(readFileSync(path.join(api, 'asyncapi.json'), 'utf8'));
  const window = await Window.open({ url: `${server.url}/docs` }, 'reader');
  const { page } = window;
  const asked = [];
  page.on('request', (one) => asked.push(one.url()));
  await page.reload();
  await page.locator('main[aria-busy=false]').waitFor();

  const operations = Object.values(openapi.paths).flatMap((methods) => Object.values(methods)).flatMap(({ tags }) => tags);
  const messages = Object.values(asyncapi.channels).flatMap(({ messages }) => Object.keys(messages));
  const types = Object.keys({ ...asyncapi.components.schemas, ...openapi.components.schemas });
  const entries = page.getByTestId('entry');
  assert.equal(await entries.count(), operations.length + messages.length + types.length);

  await page.locator('#filter').fill('reaction.add');
  const found = page.locator('details:visible');
  assert.deepEqual(await found.locator('.path').allTextContents(), ['reaction.add']);
  await found.locator('summary').click();
  assert.match(await found.innerText(), /emoji: string.*One emoji of Unicode/);
  await found.getByRole('link', { name: 'OfMessage' }).click();
  await page.locator('#filter').fill('');
  await page.locator('#type-OfMessage[open]').waitFor();
  assert.match(await page.locator('#type-OfMessage').innerText(), /message: Message/);

  await page.goto(`${server.url}/docs#route-post-api-v1-rooms`);
  await page.reload();
  await page.locator('#route-post-api-v1-rooms[open]').waitFor();
  await page.screenshot({ path: path.join(artifacts, 'docs.png') });
  assert.deepEqual(window.errors, []);
  assert.ok(asked.length >= 5 && asked.every((url) => url.startsWith(server.url)), asked.join('\n'));
  await window.context.close();
});

test('it is not there where that is said, or where a frontend may have a page of its own', async () => {
  for (const env of [{ CHAT_DOCS: 'off' }, { CHAT_STATIC_DIR: path.join(api, '..') }]) {
    const other = await startServer(env);
    const { text } = await request(other, { path: '/docs/openapi.json' });
    assert.doesNotMatch(text, /"openapi"/);
    await other.finish();
  }
});
