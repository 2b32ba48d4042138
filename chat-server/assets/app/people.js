/* The list of people and chats. */
import { api } from './api.js';
import { openChat, openFromHash, renderHeader } from './chat.js';
import { conv, loadConversation, readMark } from './conversations.js';
import { $, h, nameOf, putAvatar, setText, show } from './dom.js';
import { S } from './state.js';
import { fail, toast } from './toasts.js';
import { listTime, time } from './words.js';

let peopleTimer = null;
export function loadPeopleSoon() { clearTimeout(peopleTimer); peopleTimer = setTimeout(() => { if (S.me) loadPeople(); }, 400); }

export async function loadPeople() {
  const epoch = S.epoch;
  let contacts, chats;
  try {
    [contacts, chats] = await Promise.all([api('GET', '/messages/contacts'), api('GET', '/messages/chats')]);
  } catch (e) {
    if (epoch !== S.epoch) return;
    show($('people-skeleton'), false);
    if (S.peopleLoaded) fail(e);
    else emptyPeople('Could not load people', e.message, 'Try again', () => { show($('people-empty'), false); show($('people-skeleton'), true); loadPeople(); });
    return;
  }
  if (epoch !== S.epoch) return;
  for (const u of [...(contacts || []), ...(chats || [])]) if (u && u._id && u._id !== S.me._id) S.users.set(u._id, u);
  (chats || []).forEach((u, i) => {
    if (!u || u._id === S.me._id) return;
    const last = u.lastMessage && u.lastMessage._id ? u.lastMessage : null;
    if (last) {
      const c = conv(u._id);
      if (!c.loaded) c.preview = last;
      if (last.senderId === u._id && !last.deleted && time(last.createdAt) > readMark(u._id) && !S.unread.has(u._id) && S.open !== u._id) S.unread.set(u._id, 1);
    }
    // The server's order stands until the real times are known.
    if (last || !S.recent.has(u._id)) S.recent.set(u._id, last ? time(last.createdAt) : -i);
  });
  const isFirst = !S.peopleLoaded;
  S.peopleLoaded = true;
  show($('people-skeleton'), false);
  renderPeople(); renderHeader();
  if (isFirst) openFromHash();
  prefetch((chats || []).map((u) => u && u._id).filter((id) => id && id !== S.me._id), epoch);
}

// Previews and unread counts for the latest few chats.
async function prefetch(ids, epoch) {
  for (const id of ids.slice(0, 6)) {
    const c = conv(id);
    if (epoch !== S.epoch) return;
    if ((c.loaded && !c.stale) || c.loading || (c.preview && !c.stale && !S.unread.has(id)) || id === S.open) continue;
    try { await loadConversation(id, true); } catch (e) { return; }
  }
}

function emptyPeople(title, text, label, run) {
  setText($('people-empty-title'), title);
  setText($('people-empty-text'), text);
  const b = $('people-empty-action');
  show(b, !!label);
  b.textContent = label || '';
  b.onclick = run || null;
  show($('people-empty'), true);
}

export const personEls = new Map();
function matches(u) {
  const q = S.query.toLowerCase();
  return !q || nameOf(u).toLowerCase().includes(q);
}
export function renderPeople() {
  if (!S.me || !S.peopleLoaded) return;
  const all = [...S.users.values()];
  const recent = all.filter((u) => S.recent.has(u._id) && matches(u)).sort((a, b) => S.recent.get(b._id) - S.recent.get(a._id));
  const rest = all.filter((u) => !S.recent.has(u._id) && matches(u))
    .sort((a, b) => S.online.has(b._id) - S.online.has(a._id) || nameOf(a).localeCompare(nameOf(b)));
  fillPeople($('list-recent'), recent);
  fillPeople($('list-people'), rest);
  show($('sec-recent'), recent.length > 0);
  show($('sec-people'), rest.length > 0);
  if (recent.length + rest.length) show($('people-empty'), false);
  else if (S.query) emptyPeople('Nobody found', 'No name matches “' + S.query + '”.', 'Clear search', clearSearch);
  else emptyPeople('It is quiet in here', 'You are the first one. Share the address and start talking.', 'Copy link', copyLink);
  updateTitle();
}
function fillPeople(list, users) {
  const focused = document.activeElement;
  const keep = list.contains(focused) || (focused && focused.classList.contains('person')) ? focused : null;
  users.forEach((u, i) => {
    let row = personEls.get(u._id);
    if (!row) { row = makePerson(u._id); personEls.set(u._id, row); }
    updatePerson(row, u);
    if (list.children[i] !== row.li) list.insertBefore(row.li, list.children[i] || null);
  });
  while (list.children.length > users.length) list.lastElementChild.remove();
  if (keep && keep.isConnected && document.activeElement !== keep) keep.focus({ preventScroll: true });
}
function makePerson(id) {
  const av = h('span'), name = h('span', { class: 'person-name' }), tag = h('span', { class: 'tag', text: 'New' });
  const when = h('time', { class: 'person-time' }), sub = h('span', { class: 'person-sub' }), badge = h('span', { class: 'badge' });
  const btn = h('button', { type: 'button', class: 'person', 'data-testid': 'person', data: { userId: id, online: 'false' }, onclick: () => openChat(id, true) },
    av,
    h('span', { class: 'person-main' },
      h('span', { class: 'person-top' }, name, tag, when),
      h('span', { class: 'person-bottom' }, sub, badge)));
  return { li: h('li', {}, btn), btn, av, name, tag, when, sub, badge };
}
function updatePerson(r, u) {
  const id = u._id, online = S.online.has(id), n = S.unread.get(id) || 0;
  putAvatar(r.av, u, '', true);
  setText(r.name, nameOf(u));
  show(r.tag, S.fresh.has(id) && !S.recent.has(id));
  r.btn.dataset.online = String(online);
  if (S.open === id) r.btn.setAttribute('aria-current', 'true'); else r.btn.removeAttribute('aria-current');
  r.btn.classList.toggle('unread', n > 0);
  const last = lastMessage(id);
  show(r.when, !!last);
  if (last) { setText(r.when, listTime(time(last.createdAt))); r.when.dateTime = String(last.createdAt); }
  const typing = S.typing.has(id);
  const draft = S.open !== id && S.drafts.get(id);
  r.sub.classList.toggle('is-typing', typing);
  r.sub.classList.toggle('is-draft', !typing && !!draft);
  setText(r.sub, typing ? 'typing…' : draft ? 'Draft: ' + (draft.text.trim() || 'picture') : last ? previewText(last) : S.recent.has(id) ? (online ? 'Online' : 'Offline') : online ? 'Online now' : 'Offline');
  show(r.badge, n > 0);
  setText(r.badge, n > 99 ? '99+' : String(n));
  r.btn.setAttribute('aria-label', [nameOf(u), online ? 'online' : 'offline', n ? n + ' unread' : '', typing ? 'typing' : last ? previewText(last) : ''].filter(Boolean).join(', '));
}
function lastMessage(id) {
  const c = S.convs.get(id);
  if (!c) return null;
  return c.list.length ? c.list[c.list.length - 1] : c.preview || null;
}
function previewText(m) {
  const mine = m.senderId === S.me._id;
  if (m.deleted) return mine ? 'You deleted a message' : 'Message deleted';
  const body = m.text ? m.text.replace(/\s+/g, ' ').slice(0, 120) : m.image ? '📷 Picture' : '';
  return (m.status === 'failed' ? 'Not sent: ' : m.status === 'waiting' ? 'Waiting: ' : mine ? 'You: ' : '') + (m.text && m.image ? '📷 ' : '') + body;
}
export function clearSearch() { S.query = ''; $('search').value = ''; onSearch(); $('search').focus(); }
export function onSearch() {
  S.query = $('search').value.trim();
  show($('search-clear'), !!S.query);
  show($('search-hint'), !S.query && !!$('search-hint').textContent);
  renderPeople();
}
async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.origin + '/');
    toast('Link copied', { icon: 'check' });
  } catch (e) {
    toast('Share this address: ' + location.origin + '/', { ms: 8000 });
  }
}
export function updateTitle() {
  if (!S.me) return;
  let n = 0;
  for (const v of S.unread.values()) n += v;
  const who = S.open && S.users.get(S.open);
  document.title = (n ? '(' + n + ') ' : '') + (who ? nameOf(who) + ' · ' : '') + 'chat-server';
}
