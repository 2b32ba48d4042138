/* What was written and is not acknowledged yet. It survives a reload, and is sent by itself: in order within a chat, and by
 * one tab at a time. Each message has a name of its own (`clientId`) under which the server stores it once, however often it
 * is sent: an answer that was lost costs a repetition, never a second message.
 */
import { api, enc } from './api.js';
import { changed, conv, loadConversation, order, settle, unhold } from './conversations.js';
import * as database from './database.js';
import { announce, nameOf } from './dom.js';
import { readDataUrl } from './pictures.js';
import { S, nextSeq, store, storeWorks } from './state.js';
import { toast } from './toasts.js';
import { bytes, waitWords } from './words.js';

const MOST_ERRORS = 5; // a server that answers 500 so often does not like the message
const UNREACHABLE = 'Waiting for the connection';

const lanes = new Map();  // id -> 'on'; 'again' or 'eager' if there was more to look for meanwhile
const timers = new Map(); // id -> timer
const tries = new Map();  // id -> how often in a row the server was not reached
const others = typeof BroadcastChannel === 'function' ? new BroadcastChannel('chat-server outbox') : null;

if (others) {
  others.onmessage = ({ data }) => {
    if (!S.me || !data || data.account !== S.me._id) return;
    if (data.saved) return settled(data.to, data.clientId, data.saved);
    // The tab that told us sends it. If it is closed before, we do.
    refresh().then(() => { if (data.to && S.me && !lanes.has(data.to) && !timers.has(data.to)) later(data.to, 2000); });
  };
}
function tell(to, more) {
  if (others) others.postMessage(Object.assign({ account: S.me._id, to }, more));
}

function newClientId() { // crypto.randomUUID is there on https and localhost only
  return 'page-' + Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Puts a message on the page and into the outbox. */
export async function post(to, text, attachment) {
  const account = S.me._id, epoch = S.epoch, at = Date.now();
  // Half a character would be stored as another one.
  const words = text.toWellFormed ? text.toWellFormed() : text;
  const entry = { clientId: newClientId(), account, to, text: words, image: attachment ? attachment.file : null, at, state: 'waiting', attempted: false };
  const m = pending(entry, attachment && attachment.url);
  m.adding = true;
  S.stick = true;
  changed(to);
  const kept = await database.add(entry);
  m.adding = false;
  if (epoch !== S.epoch) return;
  if (!kept) toast('This browser has no room to keep unsent messages. Leave the page open until they are sent.', { key: 'room' });
  tell(to, {});
  kick(to);
}

// The message on the page that stands for an entry.
function pending(x, url) {
  const c = conv(x.to);
  let m = c.list.find((y) => y.clientId === x.clientId);
  if (m && !m.status) return m; // acknowledged meanwhile
  if (!m) {
    const localUrl = url || (x.image ? URL.createObjectURL(x.image) : null);
    m = {
      key: 'p' + x.clientId, clientId: x.clientId, seq: nextSeq(), _id: null, senderId: x.account, receiverId: x.to, text: x.text, image: localUrl, localUrl, file: x.image,
      deleted: false, createdAt: new Date(x.at).toISOString(), t: x.at, status: 'waiting', error: '', can: '', note: '', attempted: false,
    };
    c.list.push(m);
    c.mark = null;
    if (!(S.recent.get(x.to) >= x.at)) S.recent.set(x.to, x.at);
  }
  const failed = x.state === 'failed';
  m.status = failed ? 'failed' : m.status === 'sending' ? 'sending' : 'waiting';
  m.error = failed ? x.reason : '';
  m.can = failed ? x.can : '';
  m.attempted = !!x.attempted;
  m.note = failed ? '' : x.note || m.note;
  order(c);
  return m;
}

/** Makes the page show what is in the outbox. */
export async function refresh() {
  const account = S.me._id, epoch = S.epoch;
  const entries = await database.unsent(account);
  if (epoch !== S.epoch) return;
  const there = new Set(), touched = new Set();
  for (const x of entries) {
    there.add(x.clientId);
    pending(x);
    touched.add(x.to);
  }
  for (const c of S.convs.values()) {
    // Sent or given up in another tab.
    const gone = c.list.filter((m) => m.status && !m.adding && m.status !== 'sending' && !there.has(m.clientId));
    if (!gone.length) continue;
    c.list = c.list.filter((m) => !gone.includes(m));
    unhold(c);
    touched.add(c.id);
  }
  for (const id of touched) changed(id);
}

/** Takes up what was left in this browser. */
export async function resume() {
  for (const t of timers.values()) clearTimeout(t);
  lanes.clear(); timers.clear(); tries.clear();
  await Promise.race([kickAll(), new Promise((ok) => setTimeout(ok, 3000))]);
}

/** How many messages of the one who is logged in are not sent, those that were refused left out. */
export function waiting() {
  let n = 0;
  for (const c of S.convs.values()) for (const m of c.list) if (m.status === 'waiting' || m.status === 'sending') n++;
  return n;
}

/** Tries at once what waits for the server, whichever tab has written it. */
export async function kickAll() {
  const epoch = S.epoch;
  await refresh();
  if (epoch !== S.epoch) return;
  for (const c of S.convs.values()) if (c.list.some((m) => m.status === 'waiting')) kick(c.id, true);
}
function kick(to, eager) {
  clearTimeout(timers.get(to));
  timers.delete(to);
  if (lanes.has(to)) { lanes.set(to, eager ? 'eager' : 'again'); return; }
  lanes.set(to, 'on');
  lane(to, S.me._id, S.epoch, eager);
}
function later(to, ms) {
  const epoch = S.epoch;
  clearTimeout(timers.get(to));
  timers.set(to, setTimeout(() => { if (epoch === S.epoch) kick(to); }, ms));
}

async function lane(to, account, epoch, eager) {
  let wait = null;
  try {
    wait = await database.alone('outbox ' + account + ' ' + to, async (stillAlone) => {
      for (;;) {
        if (epoch !== S.epoch) return null;
        const next = await database.take(account, to, Date.now(), eager);
        if (!next) { await tidy(to, epoch); return null; }
        if (next.later) return next.later;
        eager = false;
        if (epoch !== S.epoch) return null;
        const pause = await attempt(next, epoch);
        if (pause !== null) return pause;
        if (!await stillAlone()) return 1000;
      }
    });
  } catch (e) { wait = 5000; }
  if (epoch !== S.epoch) return;
  for (const m of conv(to).list) if (m.status === 'sending') m.status = 'waiting';
  const asked = lanes.get(to);
  lanes.delete(to);
  if (asked !== 'on') kick(to, asked === 'eager');
  else if (wait) later(to, wait);
}

// Nothing is left to send. If the page thinks otherwise, another tab has sent it and could not tell.
async function tidy(to, epoch) {
  const unsent = () => conv(to).list.some((m) => m.status && m.status !== 'failed' && !m.adding);
  if (epoch !== S.epoch || !unsent()) return;
  await refresh();
  if (epoch === S.epoch) loadConversation(to, true).catch(() => {});
}

// Sends one message. Null when the next one may follow, otherwise how long to wait before this one is tried again.
async function attempt(x, epoch) {
  const m = pending(x);
  const say = (fields) => { Object.assign(m, fields); changed(x.to); };
  let image = null;
  try {
    image = x.image ? await readDataUrl(x.image) : null;
  } catch (e) {
    return refuse(x, e.message, '');
  }
  // Somebody else may have logged in, in another tab: nothing goes out in their name.
  if (epoch !== S.epoch || (storeWorks && store.get('session') !== x.account)) return 1000;
  say({ status: 'sending', attempted: true });
  let saved = null, error = null;
  try {
    saved = await api('POST', '/messages/send/' + enc(x.to), { text: x.text, image, clientId: x.clientId }, { timeout: image ? 90000 : 25000 });
  } catch (e) { error = e; }
  if (saved && saved._id) {
    await database.remove(x.clientId);
    if (epoch !== S.epoch) return null;
    tries.delete(x.to);
    tell(x.to, { clientId: x.clientId, saved });
    settled(x.to, x.clientId, saved);
    return null;
  }
  if (epoch !== S.epoch) return null;
  const status = error ? error.status : 0;
  if (status === 401) { say({ status: 'waiting' }); return 5000; }
  if (status >= 400 && status < 500 && ![408, 425, 429].includes(status)) {
    return refuse(x, status === 404 ? 'this account is not there any more' : plain(error.message), status === 404 ? '' : status === 403 ? 'retry' : 'edit');
  }
  const errors = (x.errors || 0) + 1;
  if (status >= 500 && ![502, 503, 504].includes(status) && errors >= MOST_ERRORS) return refuse(x, error.message, 'retry');
  const n = tries.get(x.to) || 0;
  tries.set(x.to, n + 1);
  const asked = status && error.retryAfter ? error.retryAfter * 1000 : 0;
  const wait = asked || Math.min(30000, 1000 * 2 ** n) * (0.75 + Math.random() / 2);
  const note = status === 429 ? 'Too many messages. Sent in ' + waitWords(wait) : UNREACHABLE;
  // What the server says that it has not taken may be withdrawn, unless an earlier answer was lost.
  const attempted = status === 429 ? x.before : true;
  await database.patch(x.clientId, { attempted, note, notBefore: asked ? Date.now() + wait : 0, pause: Date.now() + wait, errors: status >= 500 ? errors : x.errors || 0 });
  if (epoch !== S.epoch) return null;
  say({ status: 'waiting', attempted, note });
  tell(x.to, {});
  return wait;
}

// The server's words, without the units of programs.
function plain(reason) {
  const tooLong = /^text is larger than (\d+) bytes/.exec(reason);
  return tooLong ? 'the text is too long (' + bytes(Number(tooLong[1])) + ' at most)' : reason;
}

async function refuse(x, reason, can) {
  const epoch = S.epoch;
  await database.patch(x.clientId, { state: 'failed', reason, can });
  if (epoch !== S.epoch) return null;
  const c = conv(x.to), m = pending(Object.assign(x, { state: 'failed', reason, can }));
  unhold(c);
  announce('Message not sent: ' + m.error);
  if (S.open !== x.to) toast('Not sent to ' + nameOf(S.users.get(x.to)) + ': ' + reason, { kind: 'error', key: 'unsent:' + x.clientId });
  tell(x.to, {});
  changed(x.to);
  return null;
}

function settled(to, clientId, saved) {
  settle(conv(to), clientId, saved);
  changed(to);
}

/** Sends again what was refused. */
export async function retry(c, m) {
  await database.patch(m.clientId, { state: 'waiting', errors: 0, notBefore: 0, pause: 0, note: '' });
  if (!c.list.includes(m)) return;
  Object.assign(m, { status: 'waiting', error: '', note: '' });
  changed(c.id);
  tell(c.id, {});
  kick(c.id);
}

/** Takes back what was not sent; says whether that could still be done. */
export async function withdraw(c, m) {
  const epoch = S.epoch;
  if (!await database.withdraw(m.clientId) || epoch !== S.epoch) return false;
  c.list = c.list.filter((x) => x !== m);
  if (!c.list.length && c.loaded) S.recent.delete(c.id);
  unhold(c);
  changed(c.id);
  tell(c.id, {});
  return true;
}

/** Takes back all that was not sent. */
export async function giveUpAll() {
  await database.removeAll(S.me._id);
  if (others) others.postMessage({ account: S.me._id, to: '' });
  await refresh();
}
