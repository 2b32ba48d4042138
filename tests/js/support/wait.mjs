// Waiting for what must come. Nothing here sleeps: every wait ends with the event, or fails at its time limit.
//
// That something does *not* come is shown with a fence: do something else afterwards whose arrival on the
// same socket proves that the former would have been there by now.

import assert from 'node:assert/strict';

import './leave.mjs';

/** How long anything may take on a loaded machine before it counts as not coming. */
export const LIMIT = 20_000;

/** The result of a promise, or a failure that names what was awaited. */
export function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The first argument of the next `event` that `matches`. */
export function once(emitter, event, matches = () => true, ms = LIMIT) {
  let listener;
  const arrival = new Promise((resolve) => {
    listener = (value) => matches(value) && resolve(value);
    emitter.on(event, listener);
  });
  return within(arrival, ms, `"${event}"`).finally(() => emitter.off(event, listener));
}

/** Waits for the first `event` that is recorded, which may have come already. */
export async function seen(socket, event) {
  if (!socket.seen[event].length) await once(socket, event);
  return socket.seen[event][0];
}

/** Emits with an ack callback, as a client may on any event, and gives the answer. */
export function ask(socket, event, ...args) {
  return within(new Promise((resolve) => socket.emit(event, ...args, resolve)), LIMIT, `the ack of "${event}"`);
}

/** Asks again and again until `check` gives something true. For state that no event announces. */
export async function until(check, what, ms = LIMIT) {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await check();
    if (found) return found;
    // What is awaited may come over a socket, which is read only between two turns.
    await new Promise(setImmediate);
    assert.ok(Date.now() < deadline, `${what} was not true within ${ms} ms`);
  }
}

/**
 * Opens a socket. Every event named in `record` is kept in `socket.seen[event]` from the first moment (some
 * come together with the connection); `socket.drops` holds the reason of every disconnect.
 */
export async function connect(io, url, options = {}, record = []) {
  const socket = io(url, { forceNew: true, reconnection: false, ...options });
  socket.seen = {};
  for (const event of record) {
    socket.seen[event] = [];
    socket.on(event, (value) => socket.seen[event].push(value));
  }
  socket.drops = [];
  socket.on('disconnect', (reason) => socket.drops.push(reason));
  open.add(socket);
  const refused = new Promise((_, reject) => {
    // A client of Engine.IO 3 is told with "error" what later ones are told with "connect_error".
    for (const event of ['connect_error', 'error']) {
      socket.once(event, (error) => {
        if (!socket.connected) reject(error instanceof Error ? error : new Error(error?.message ?? String(error)));
      });
    }
  });
  refused.catch(() => {});
  await within(Promise.race([new Promise((resolve) => socket.once('connect', resolve)), refused]), LIMIT, '"connect"');
  return socket;
}

/** The message a socket is refused with. */
export async function refusal(connecting) {
  const outcome = await connecting.then(
    () => null,
    (error) => error,
  );
  assert.ok(outcome, 'the socket must be refused, but it got in');
  return outcome.message;
}

const open = new Set();

/** Closes every socket the tests of this file have opened. */
export function closeSockets() {
  for (const socket of open) socket.disconnect();
  open.clear();
}

/**
 * The same at the end of a file whose clients may keep the process alive: one that was cut in the middle of its upgrade to
 * WebSocket may never settle, and the timers of `ackTimeout` go on.
 */
export function leaveSockets() {
  closeSockets();
  setTimeout(() => process.exit(), 2_000).unref();
}

/** What every refused event with an ack callback is answered. */
export function assertRefused(ack, what) {
  const about = `${what}: ${JSON.stringify(ack)?.slice(0, 300)}`;
  assert.equal(ack?.ok, false, about);
  assert.equal(ack.success, false, about);
  assert.ok(typeof ack.error?.code === 'string' && ack.error.code, about);
  assert.ok(typeof ack.error.message === 'string' && ack.error.message, about);
}

/** What every accepted event with an ack callback is answered. */
export function assertAccepted(ack, what = 'the ack') {
  const about = `${what}: ${JSON.stringify(ack)?.slice(0, 300)}`;
  assert.equal(ack?.ok, true, about);
  assert.equal(ack.success, true, about);
}
