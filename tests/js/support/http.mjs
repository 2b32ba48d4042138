// Plain HTTP, for what axios would hide: exact headers, paths that are not normalised, bodies that are not JSON.

import http from 'node:http';

import { LIMIT, within } from './wait.mjs';

/** One request, on a connection of its own unless an `agent` is given. `json` is undefined when the body is not JSON. */
export function request(server, { method = 'GET', path = '/', headers = {}, body, agent = false, localAddress } = {}) {
  const bytes = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const json = bytes !== undefined && bytes !== body ? { 'content-type': 'application/json' } : {};
  const length = bytes === undefined ? {} : { 'content-length': Buffer.byteLength(bytes) };
  const answer = new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: server.port, method, path, agent, localAddress };
    const outgoing = http.request({ ...options, headers: { ...length, ...json, ...headers } }, (incoming) => {
      const chunks = [];
      incoming.on('data', (chunk) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const raw = Buffer.concat(chunks);
        resolve({ status: incoming.statusCode, headers: incoming.headers, raw, text: raw.toString(), json: parsed(raw) });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(bytes);
  });
  return within(answer, LIMIT, `the answer to ${method} ${path}`);
}

function parsed(raw) {
  try {
    return JSON.parse(raw.toString());
  } catch {
    return undefined;
  }
}
