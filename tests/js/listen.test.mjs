// Where the server listens: on IPv6 and IPv4 at once, as Node does, and to limits and logs an IPv4 client is one.

import assert from 'node:assert/strict';
import http from 'node:http';
import os from 'node:os';
import { after, test } from 'node:test';

import { io } from 'socket.io-client';

import * as camel from './support/camel.mjs';
import { request } from './support/http.mjs';
import { password, unique } from './support/names.mjs';
import { startServer } from './support/server.mjs';
import { closeSockets, connect } from './support/wait.mjs';

after(closeSockets);

const hasIpv6 = Object.values(os.networkInterfaces()).flat().some(({ address }) => address === '::1');

const statusAt = (host, port, headers = {}) =>
  new Promise((resolve) => {
    const asking = http.get({ host, port, path: '/healthz', agent: false, headers }, (answer) => resolve(answer.resume().statusCode));
    asking.on('error', (error) => resolve(error.code));
  });

test('without CHAT_HOST it is reached by IPv4 and IPv6', { skip: !hasIpv6 && 'this machine has no IPv6' }, async () => {
  const server = await startServer({ CHAT_HOST: undefined, CHAT_LOG: 'info', CHAT_LOGIN_LIMIT: '2' });
  try {
    for (const host of ['127.0.0.1', '::1', 'localhost']) assert.equal(await statusAt(host, server.port), 200, host);
    const anna = await camel.register(server, 'anna');
    for (const host of ['127.0.0.1', '[::1]']) {
      for (const transports of [['websocket'], ['polling']]) {
        assert.ok((await connect(io, `http://${host}:${server.port}`, { transports, auth: { token: anna.token } })).connected);
      }
    }
    // Each IPv4 address is counted for itself, as it was on a socket of IPv4 alone.
    const tryFrom = (localAddress) =>
      request(server, { method: 'POST', path: '/api/login', body: { username: anna.name, password: password() }, localAddress });
    for (let n = 0; n < 2; n += 1) assert.equal((await tryFrom('127.0.0.2')).status, 400);
    assert.equal((await tryFrom('127.0.0.2')).status, 429);
    assert.equal((await tryFrom('127.0.0.3')).status, 400);
    await server.stop();
    assert.match(server.log, /127\.0\.0\.2/);
    assert.ok(!server.log.includes('::ffff:'), server.log);
  } finally {
    closeSockets();
    await server.finish();
  }
});

test('behind a proxy the mapped address of a client is one of IPv4', async () => {
  const server = await startServer({ CHAT_TRUST_PROXY: '1', CHAT_LOG: 'info', CHAT_LOGIN_LIMIT: '2' });
  try {
    const tryAs = (address) => {
      const headers = { 'x-forwarded-for': address };
      const body = { username: unique('nobody'), password: password() };
      return request(server, { method: 'POST', path: '/api/login', body, headers });
    };
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3']) assert.equal((await tryAs(address)).status, 400);
    await server.stop();
    assert.match(server.log, /10\.1\.2\.3/);
    assert.ok(!server.log.includes('::ffff:'), server.log);
  } finally {
    await server.finish();
  }
});

test('CHAT_HOST keeps its word', { skip: !hasIpv6 && 'this machine has no IPv6' }, async () => {
  const server = await startServer({ CHAT_HOST: '127.0.0.1' });
  try {
    assert.equal(await statusAt('127.0.0.1', server.port), 200);
    assert.equal(await statusAt('::1', server.port), 'ECONNREFUSED');
    assert.equal(await statusAt('127.0.0.2', server.port), 'ECONNREFUSED');
  } finally {
    await server.finish();
  }
});
