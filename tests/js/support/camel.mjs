// The `camel` dialect as its frontend speaks it: user names, Bearer tokens, `privateMessage`.

import assert from 'node:assert/strict';
import { io } from 'socket.io-client';

import { request } from './http.mjs';
import { password, unique } from './names.mjs';
import { secret } from './server.mjs';
import { ask, connect, once } from './wait.mjs';

export const MESSAGE_FIELDS = ['compressed', 'fileName', 'isFile', 'receiver', 'sender', 'text', 'timestamp'];

export function post(server, path, body, headers) {
  return request(server, { method: 'POST', path, body, headers });
}

export function get(server, path, token) {
  return request(server, { path, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
}

/** A new account: `{name, password, token}`. */
export async function register(server, word = 'user') {
  const name = unique(word);
  const pass = password();
  const answer = await post(server, '/api/register', { username: name, password: pass });
  assert.equal(answer.status, 200, answer.text);
  return { name, password: pass, token: secret(answer.json.token) };
}

/** Opens a page of the user. */
export function enter(server, user, options = {}, client = io) {
  return connect(client, server.url, { withCredentials: true, auth: { token: user.token }, ...options }, [
    'privateMessage',
    'messageHistory',
    'error',
  ]);
}

/** Sends as the page does, without an ack callback, and gives the echo the page shows. */
export async function say(socket, receiver, text, extra = {}) {
  const echo = once(socket, 'privateMessage', (message) => message.text === text && message.receiver === receiver);
  socket.emit('privateMessage', letter(receiver, text, extra));
  return echo;
}

/** Sends with an ack callback and gives the answer. */
export function sayAcked(socket, receiver, text, extra = {}) {
  return ask(socket, 'privateMessage', letter(receiver, text, extra));
}

export function letter(receiver, text, extra = {}) {
  return { text, receiver, timestamp: new Date().toISOString(), ...extra };
}

export function heard(socket, text) {
  return once(socket, 'privateMessage', (message) => message.text === text);
}

export async function history(socket, other) {
  const answer = once(socket, 'messageHistory');
  socket.emit('getMessageHistory', { otherUser: other });
  const list = await answer;
  assert.ok(Array.isArray(list), 'the history is a bare array');
  return list;
}
