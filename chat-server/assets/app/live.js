/* The live connection: what the server tells by itself. */
import { renderPeerStatus, renderTyping } from './chat.js';
import { changed, convOf, echoed, incoming, loadConversation, markDeleted, peerOf, upsert } from './conversations.js';
import { $, announce, nameOf, setText, show } from './dom.js';
import { kickAll, waiting } from './outbox.js';
import { loadPeople, loadPeopleSoon, renderPeople } from './people.js';
import { sessionEnded } from './session.js';
import { S } from './state.js';
import { renderThread } from './thread.js';
import { toast } from './toasts.js';

let offlineTimer = null;
export function setConnection(on, quiet) {
  S.connected = on;
  const c = $('connection');
  c.dataset.state = on ? 'online' : 'offline';
  $('app').classList.toggle('offline', !on && !quiet);
  setText($('connection-text'), on ? 'Connected' : quiet ? 'Connecting…' : 'Reconnecting…');
  clearTimeout(offlineTimer);
  show($('banner'), !on && !$('banner').hidden);
  if (!on) offlineTimer = setTimeout(() => { show($('banner'), true); renderBanner(); }, quiet ? 2500 : 700);
  renderPeerStatus();
  renderThread();
}
/** What the banner says while there is no connection. */
export function renderBanner() {
  if ($('banner').hidden) return;
  const n = waiting();
  const unsent = n ? ' ' + (n === 1 ? 'One message is' : n + ' messages are') + ' kept and sent then.' : '';
  setText($('banner-text'), (navigator.onLine === false ? 'You are offline. Waiting for the network…' : 'Reconnecting…') + unsent);
}
/** Ends the connection. */
export function hangUp() {
  if (S.socket) { S.socket.removeAllListeners(); S.socket.disconnect(); S.socket = null; }
  clearTimeout(offlineTimer);
  for (const t of S.typing.values()) clearTimeout(t);
  show($('banner'), false);
}
export function connect() {
  if (typeof window.io !== 'function') return toast('The live connection could not be loaded.', { kind: 'error' });
  const epoch = S.epoch;
  const s = S.socket = window.io({ path: document.documentElement.dataset.socketPath, withCredentials: true, reconnectionDelayMax: 4000 });
  let first = true;
  const on = (name, fn) => s.on(name, (...a) => { if (epoch === S.epoch) fn(...a); });
  on('connect', () => {
    setConnection(true);
    kickAll();
    if (!S.peopleLoaded && !first) loadPeople();
    else if (!first && !s.recovered) {
      for (const c of S.convs.values()) c.stale = true;
      loadPeople();
      if (S.open) loadConversation(S.open);
    }
    first = false;
  });
  on('disconnect', (reason) => {
    setConnection(false);
    for (const id of [...S.typing.keys()]) setTyping(id, false);
    if (reason === 'io server disconnect') setTimeout(() => { if (epoch === S.epoch) s.connect(); }, 1000);
  });
  on('connect_error', (err) => {
    if (err && /^(unauthorized|authentication error)/i.test(err.message || '')) return sessionEnded();
    setConnection(false, first);
    if (!s.active) setTimeout(() => { if (epoch === S.epoch) s.connect(); }, 3000);
  });
  on('getOnlineUsers', (ids) => {
    if (!Array.isArray(ids)) return;
    S.online = new Set(ids.map(String));
    if (S.peopleLoaded && ids.some((i) => i !== S.me._id && !S.users.has(i))) loadPeopleSoon();
    renderPeople(); renderPeerStatus();
  });
  on('newMessage', (m) => { if (m && m._id) incoming(m); });
  on('messageSent', (m) => { if (m && m._id) echoed(m); });
  on('messageDeleted', (d) => { const id = d && (d.messageId || d._id); if (id) markDeleted(id); });
  on('messageRestored', (m) => { if (m && m._id) { upsert(convOf(m), m); changed(peerOf(m)); } });
  on('userTyping', (d) => { if (d && d.userId) setTyping(String(d.userId), true); });
  on('userStoppedTyping', (d) => { if (d && d.userId) setTyping(String(d.userId), false); });
  on('userJoined', (u) => {
    if (!u || !u._id || u._id === S.me._id) return;
    if (!S.users.has(u._id)) { S.fresh.add(u._id); announce(nameOf(u) + ' joined'); }
    S.users.set(u._id, Object.assign(S.users.get(u._id) || {}, u));
    renderPeople();
  });
}

export function setTyping(id, on) {
  clearTimeout(S.typing.get(id));
  if (on) S.typing.set(id, setTimeout(() => setTyping(id, false), 6000));
  else if (!S.typing.delete(id)) return;
  renderPeople(); renderPeerStatus(); renderTyping();
}
