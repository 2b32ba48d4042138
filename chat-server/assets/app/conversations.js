/* Conversations: what of them is known, and how what is loaded and what arrives come together. */
import { api, enc } from './api.js';
import { announce, nameOf } from './dom.js';
import { renderBanner, setTyping } from './live.js';
import { loadPeopleSoon, renderPeople, updateTitle } from './people.js';
import { PAGE, S, nextSeq, store } from './state.js';
import { renderThread } from './thread.js';
import { fail } from './toasts.js';
import { time } from './words.js';

export function conv(id) {
  let c = S.convs.get(id);
  if (!c) {
    c = { id, list: [], byId: new Map(), loaded: false, loading: false, stale: false, error: null, preview: null, limit: PAGE, next: null, held: [], mark: null };
    S.convs.set(id, c);
  }
  return c;
}
export const peerOf = (m) => (m.senderId === S.me._id ? m.receiverId : m.senderId);
export const convOf = (m) => conv(peerOf(m));

/** The server's order; what is not on the server comes last, as it was written. */
export function order(c) {
  c.list.sort((a, b) => (a.status ? 1 : 0) - (b.status ? 1 : 0) || (a.status ? 0 : a.t - b.t) || a.seq - b.seq);
}
// Our own message, come by event or history, may be one whose answer is still awaited or was lost. It is not shown beside
// that one: the answer that the repetition gets says whether they are the same.
function isAwaited(c, m) {
  return m.senderId === S.me._id && c.list.some((x) => x.status && x.status !== 'failed'
    && x.text === (m.text || '') && !!x.localUrl === !!m.image && time(m.createdAt) > x.t - 5 * 60 * 1000);
}
/** Shows what was kept back and has turned out to be a message of its own. */
export function unhold(c) {
  for (const m of c.held.splice(0)) upsert(c, m);
}
/** Adds a message from the server, or brings the one we have up to date. */
export function upsert(c, m) {
  let x = c.byId.get(m._id);
  const fresh = !x;
  if (fresh) {
    if (isAwaited(c, m)) {
      c.held = [...c.held.filter((y) => y._id !== m._id), m];
      return false;
    }
    x = { key: 'm' + m._id, seq: nextSeq() };
    c.byId.set(m._id, x);
    c.list.push(x);
  }
  Object.assign(x, { deleted: false }, m);
  x.t = time(m.createdAt);
  order(c);
  touch(c.id, x.t);
  return fresh;
}
/** An unsent message has become one of the server's. */
export function settle(c, clientId, saved) {
  const m = c.list.find((x) => x.status && x.clientId === clientId);
  c.held = c.held.filter((x) => x._id !== saved._id);
  if (m) {
    const twin = c.byId.get(saved._id);
    if (twin) c.list.splice(c.list.indexOf(twin), 1);
    // The picture we have goes on being shown: no flicker.
    Object.assign(m, saved, { status: '', error: '', note: '', file: null, t: time(saved.createdAt), seq: nextSeq() });
    if (twin && twin.deleted) m.deleted = true;
    c.byId.set(m._id, m);
    touch(c.id, m.t);
  } else upsert(c, saved);
  c.preview = null;
  unhold(c);
  order(c);
}
function touch(id, t) { if (!(S.recent.get(id) >= t)) S.recent.set(id, t); }
export function changed(id) {
  if (S.open === id) renderThread();
  renderPeople();
  renderBanner();
}

/** Loads the latest messages with somebody, or those before the ones we have. */
export async function loadConversation(id, quiet, earlier) {
  const c = conv(id), epoch = S.epoch;
  if (c.loading) { if (!earlier) c.again = true; return; }
  c.loading = true;
  c.error = null;
  if (S.open === id && !c.loaded) renderThread();
  try {
    const asked = nextSeq(); // what has a higher number has come meanwhile
    const path = earlier ? c.next : '/messages/' + enc(id) + '?limit=' + PAGE;
    const { data, next } = await api('GET', path, undefined, { page: true });
    if (epoch !== S.epoch) return;
    const list = (Array.isArray(data) ? data : []).filter((m) => m && m._id);
    const seen = new Set(list.map((m) => m._id)), overlaps = list.some((m) => c.byId.has(m._id));
    for (const m of list) upsert(c, m);
    // Within a millisecond the answer knows the order.
    for (const m of list) if (c.byId.has(m._id)) c.byId.get(m._id).seq = nextSeq();
    const arrived = c.list.filter((m) => !m.status && !seen.has(m._id) && m.seq > asked);
    for (const m of arrived) m.seq = nextSeq();
    const oldest = list.length ? time(list[0].createdAt) : 0;
    if (earlier) c.next = next;
    else {
      // What the server no longer lists is gone, unless it arrived while we asked or we know it as deleted. What is older than
      // the answer stays if there is nothing between.
      const reaches = !next || overlaps;
      const stays = (m) => m.status || seen.has(m._id) || arrived.includes(m) || (m.t < oldest && reaches && !!next) || (m.deleted && m.t >= oldest) || !c.stale;
      c.list = c.list.filter(stays);
      c.byId = new Map(c.list.filter((m) => m._id).map((m) => [m._id, m]));
      if (!c.loaded || !reaches || !next) c.next = next;
      c.loaded = true;
      c.stale = false;
    }
    order(c);
    countUnread(c);
  } catch (e) {
    if (epoch !== S.epoch) return;
    if (quiet) throw e;
    if (c.loaded) fail(e); else c.error = e.message;
  } finally {
    c.loading = false;
    if (epoch === S.epoch) {
      if (c.again) { c.again = false; loadConversation(id, true).catch(() => {}); }
      changed(id);
    }
  }
}

export const readMark = (id) => Number(store.get('read:' + S.me._id + ':' + id)) || Number(store.get('since:' + S.me._id)) || 0;
export const watching = (id) => S.open === id && document.visibilityState === 'visible';
export function countUnread(c) {
  if (watching(c.id)) return markRead(c.id);
  const mark = readMark(c.id);
  const n = c.list.filter((m) => m.senderId === c.id && !m.deleted && m.t > mark).length;
  if (n) S.unread.set(c.id, n); else S.unread.delete(c.id);
}
export function markRead(id) {
  const c = conv(id);
  const last = c.list.reduce((t, m) => (m.status ? t : Math.max(t, m.t)), 0);
  if (last > readMark(id)) store.set('read:' + S.me._id + ':' + id, String(last));
  if (S.unread.delete(id)) renderPeople();
  updateTitle();
}

export function incoming(m) {
  const id = peerOf(m);
  if (m.senderId === S.me._id) return echoed(m);
  const c = conv(id);
  const fresh = upsert(c, m);
  c.preview = null;
  setTyping(id, false);
  if (!S.users.has(id)) loadPeopleSoon();
  if (fresh) {
    announce(nameOf(S.users.get(id)) + ': ' + (m.text || 'sent a picture'));
    if (watching(id)) {
      markRead(id);
      if (!S.stick) S.missed++;
    } else {
      S.unread.set(id, (S.unread.get(id) || 0) + 1);
      if (S.open === id && c.mark === null) c.mark = c.byId.get(m._id).t - 1;
    }
  }
  changed(id);
}
// Our own message, from this tab (the answer of the request settles it) or from another one or another device.
export function echoed(m) {
  const c = convOf(m);
  upsert(c, m);
  c.preview = null;
  changed(c.id);
}
export function markDeleted(id) {
  for (const c of S.convs.values()) {
    c.held = c.held.filter((x) => x._id !== id);
    const m = c.byId.get(id);
    if (m) {
      m.deleted = true;
      if (S.unread.has(c.id)) countUnread(c);
      changed(c.id);
      return;
    }
    if (c.preview && c.preview._id === id) { c.preview = Object.assign({}, c.preview, { deleted: true }); renderPeople(); }
  }
}
