// The built page of a frontend, served by the same origin; and our own page when there is none.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { request } from './support/http.mjs';
import { png } from './support/images.mjs';
import { signup } from './support/push.mjs';
import { binary, startServer } from './support/server.mjs';

describe('with CHAT_STATIC_DIR', () => {
  const INDEX = '<!doctype html><title>the page</title><script src="/assets/app.js"></script>';
  const OUTSIDE = 'outside the folder';
  let folder;
  let server;
  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'chat-static-'));
    mkdirSync(path.join(folder, 'dist/assets'), { recursive: true });
    writeFileSync(path.join(folder, 'secret.txt'), OUTSIDE);
    writeFileSync(path.join(folder, 'dist/index.html'), INDEX);
    writeFileSync(path.join(folder, 'dist/assets/app.js'), 'console.log("app")');
    writeFileSync(path.join(folder, 'dist/assets/app.css'), 'body { margin: 0 }');
    writeFileSync(path.join(folder, 'dist/logo.png'), png);
    writeFileSync(path.join(folder, 'dist/avatar.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
    server = await startServer({ CHAT_STATIC_DIR: path.join(folder, 'dist') });
  });
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await server?.finish();
  });

  test('the page, and any deep link into it, is index.html', async () => {
    for (const link of ['/', '/index.html', '/login', '/chat/0123456789abcdef01234567', '/a/b/c?d=e', '/apitite']) {
      const answer = await request(server, { path: link });
      assert.equal(answer.status, 200, link);
      assert.match(answer.headers['content-type'], /^text\/html/);
      assert.equal(answer.text, INDEX, link);
    }
    const head = await request(server, { method: 'HEAD' });
    assert.deepEqual([head.status, head.text], [200, '']);
  });

  test('assets have their type', async () => {
    for (const [file, type] of [
      ['/assets/app.js', /^(text|application)\/javascript/],
      ['/assets/app.css', /^text\/css/],
      ['/logo.png', /^image\/png/],
      ['/avatar.svg', /^image\/svg\+xml/],
    ]) {
      const answer = await request(server, { path: file });
      assert.equal(answer.status, 200, file);
      assert.match(answer.headers['content-type'], type);
    }
    assert.ok((await request(server, { path: '/logo.png' })).raw.equals(png));
  });

  test('an unknown API route stays a JSON 404, and the API and sockets work', async () => {
    for (const route of ['/api/nothing', '/api', '/api/', '/api/auth/nothing']) {
      const answer = await request(server, { path: route });
      assert.equal(answer.status, 404, route);
      assert.equal(typeof answer.json?.message, 'string', route);
    }
    const anna = await signup(server, 'anna');
    const socket = await anna.open();
    socket.disconnect();
  });

  test('nothing outside the folder can be read', async () => {
    for (const way of [
      '/../secret.txt',
      '/assets/../../secret.txt',
      '/%2e%2e/secret.txt',
      '/%2e%2e%2fsecret.txt',
      '/..%2fsecret.txt',
      '/..%5csecret.txt',
      '/assets/..%2f..%2fsecret.txt',
      '/%252e%252e/secret.txt',
      '//secret.txt',
      `/${path.join(folder, 'secret.txt')}`,
      `/%2f${path.join(folder, 'secret.txt')}`,
      '/secret.txt%00.png',
      '/....//secret.txt',
    ]) {
      const answer = await request(server, { path: way });
      assert.ok(!answer.text.includes(OUTSIDE), way);
      assert.ok(answer.status < 500, `${way}: ${answer.status}`);
    }
  });
});

test('a project folder gives out no hidden files, no data, and nothing that links lead to', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'chat-project-'));
  mkdirSync(path.join(folder, 'app/.git'), { recursive: true });
  writeFileSync(path.join(folder, 'app/index.html'), '<!doctype html><title>the page</title>');
  for (const file of ['app/.env', 'app/.git/config', 'outside.txt']) writeFileSync(path.join(folder, file), 'HUSH');
  symlinkSync('../outside.txt', path.join(folder, 'app/link.txt'));
  symlinkSync('.env', path.join(folder, 'app/env.txt'));
  symlinkSync('/', path.join(folder, 'app/root'));
  const server = await startServer({ CHAT_STATIC_DIR: path.join(folder, 'app') });
  symlinkSync(server.dataDir, path.join(folder, 'app/linked-data'));
  for (const way of ['/.env', '/%2eenv', '/%2Eenv', '/.ENV', '//.env', '/./.env', '/.git/config', '/%2egit%2fconfig', '/link.txt',
    '/env.txt', '/root/etc/passwd', '/linked-data/chat.db', '/linked-data/chat.db-wal', '/linked-data/media/']) {
    const answer = await request(server, { path: way });
    assert.equal(answer.status, 404, way);
    assert.equal(typeof answer.json?.message, 'string', way);
    assert.match(answer.headers['cache-control'], /no-store/);
  }
  assert.equal((await request(server)).status, 200);
  await server.finish();
  for (const [dir, data] of [['app', 'app/data'], ['app', 'app'], ['app', '.'], ['app/../app', 'app/data']]) {
    const env = { CHAT_STATIC_DIR: path.join(folder, dir), CHAT_DATA_DIR: path.join(folder, data), PATH: process.env.PATH };
    const started = spawnSync(binary, { env, cwd: folder, encoding: 'utf8' });
    assert.equal(started.status, 2, `${dir} ${data}`);
    assert.match(started.stderr, /CHAT_STATIC_DIR/);
  }
  rmSync(folder, { recursive: true, force: true });
});

describe('without CHAT_STATIC_DIR', () => {
  let server;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.finish());

  test('our page is at /, with security headers', async () => {
    const answer = await request(server, { path: '/' });
    assert.equal(answer.status, 200);
    assert.match(answer.headers['content-type'], /^text\/html; *charset=utf-8/i);
    assert.match(answer.headers['content-security-policy'], /default-src|script-src/);
    assert.doesNotMatch(answer.headers['content-security-policy'], /script-src[^;]*'unsafe-(inline|eval)'/);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.ok(answer.headers['x-frame-options'] || /frame-ancestors/.test(answer.headers['content-security-policy']), 'no foreign frames');
    assert.ok(answer.headers['referrer-policy']);
  });

  test('all it loads comes from the server itself', async () => {
    const { text } = await request(server, { path: '/' });
    const links = [...text.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, link]) => link).filter((link) => !link.startsWith('data:'));
    assert.ok(links.length > 0, 'the page has a script');
    for (const link of links) {
      const { origin, pathname } = new URL(link, server.url);
      assert.equal(origin, server.url, link);
      assert.equal((await request(server, { path: pathname })).status, 200, link);
    }
  });

  test('health is told without a login', async () => {
    assert.equal((await request(server, { path: '/readyz' })).status, 200);
  });
});
