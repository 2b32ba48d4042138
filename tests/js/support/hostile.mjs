// What hostile clients do: bytes as they please, over connections that no library would make.

import { readFileSync } from 'node:fs';
import net from 'node:net';

import { request } from './http.mjs';
import { LIMIT, within } from './wait.mjs';

let attacks = 0;

/** Where the attack comes from: limits of its address concern nobody else, and not the next attack. */
export let localAddress = '127.1.0.0';

export function nextAddress() {
  attacks++;
  localAddress = `127.${1 + (attacks >> 16)}.${(attacks >> 8) & 255}.${attacks & 255}`;
}

export const MIB = 1 << 20;
export const SEPARATOR = '\u001e';

/** Opens a long-polling session of this version of Engine.IO, and gives its path. */
export async function openPolling(server, version = 4, headers = {}) {
  const path = `/socket.io/?EIO=${version}&transport=polling`;
  const answer = await request(server, { path, headers, localAddress });
  const sid = answer.text.match(/"sid":"([^"]+)"/)?.[1];
  return { path: `${path}&sid=${sid}`, sid, status: answer.status, answer };
}

/** Posts packets, and gives the status of the answer; 0 when the connection ends instead. */
export async function post(server, { path }, body, headers = {}) {
  const plain = { 'content-type': 'text/plain;charset=UTF-8', ...headers };
  const answer = request(server, { method: 'POST', path, body, headers: plain, localAddress });
  return answer.then(({ status }) => status).catch((error) => (error.code ? 0 : Promise.reject(error)));
}

/** A TCP connection that says what it is told to, and does not read unless it is told to. */
export class RawConnection {
  constructor(server) {
    this.received = Buffer.alloc(0);
    this.socket = net.connect({ port: server.port, host: '127.0.0.1', localAddress });
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk) => (this.received = Buffer.concat([this.received, chunk])));
    this.connected = new Promise((resolve) => this.socket.once('connect', () => resolve(true)).once('close', () => resolve(false)));
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
  }

  /** Says something; whoever does not take it is not waited for. */
  say(bytes) {
    this.socket.write(bytes);
    return this;
  }

  /** Takes nothing more of what is sent to it. */
  stopReading() {
    this.socket.pause();
    return this;
  }

  /** Waits for the end of the connection, which is to come by itself. */
  end(ms = LIMIT, what = 'the end of a hostile connection') {
    this.socket.resume();
    return within(this.closed, ms, what);
  }

  destroy() {
    this.socket.destroy();
  }
}

/** The head of a POST of so many bytes. */
export const postHead = (path, length, headers = '') =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n${headers}Content-Length: ${length}\r\n\r\n`;

/** A masked text frame of a client. */
export function frame(text, { opcode = 1, declared } = {}) {
  const payload = Buffer.from(text);
  const length = declared ?? payload.length;
  const head = length < 126 ? Buffer.from([0x80 | opcode, 0x80 | length]) : Buffer.alloc(14 - 4);
  if (length >= 126) {
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

/** A websocket that speaks raw frames, once the upgrade was answered. */
export async function rawWebSocket(server, version = 4) {
  const connection = new RawConnection(server);
  connection.say(
    `GET /socket.io/?EIO=${version}&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await within(
    new Promise((resolve) => {
      connection.socket.on('data', () => /"sid"|^HTTP\/1.1 [45]/.test(connection.received.toString()) && resolve());
      connection.closed.then(resolve);
    }),
    LIMIT,
    'the answer to an upgrade',
  );
  return connection;
}

/** How many connections from where the attack comes from the server holds open, as the kernel knows it. */
export function heldOpen(server) {
  const hex = (address) => address.split('.').map((part) => Number(part).toString(16).padStart(2, '0')).reverse().join('').toUpperCase();
  const port = `:${server.port.toString(16).padStart(4, '0').toUpperCase()}`;
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const ESTABLISHED = '01';
  return fields.filter(([, local, remote, state]) => local?.endsWith(port) && remote.startsWith(hex(localAddress)) && state === ESTABLISHED).length;
}
