/* The messages of the open conversation. */
import { renderTyping } from './chat.js';
import { conv, loadConversation } from './conversations.js';
import { $, h, nameOf, setText, show } from './dom.js';
import { messageRow } from './message.js';
import { GROUP_GAP, PAGE, S } from './state.js';
import { dayLabel, dayStart } from './words.js';

export const rowEls = new Map();

// What is on the page, top to bottom, as rows with a key and a signature.
export function rowsOf(c) {
  const rows = [], from = Math.max(0, c.list.length - c.limit), list = c.list.slice(from);
  const news = c.mark === null ? null : c.list.find((m) => m.senderId === c.id && !m.deleted && m.t > c.mark);
  let day = null, prev = null;
  list.forEach((m, i) => {
    const d = dayStart(m.t);
    if (d !== day) { rows.push({ key: 'd' + d, sig: dayLabel(m.t), make: () => h('li', { class: 'day' }, h('span', { text: dayLabel(m.t) })) }); day = d; prev = null; }
    if (m === news) { rows.push({ key: 'new', sig: '', make: () => h('li', { class: 'new-line' }, h('span', { text: 'New messages' })) }); prev = null; }
    const next = list[i + 1];
    const joins = (a, b) => !!a && !!b && a.senderId === b.senderId && Math.abs(b.t - a.t) < GROUP_GAP && dayStart(a.t) === dayStart(b.t);
    const first = !joins(prev, m), last = !joins(m, next) || (!!news && next === news);
    const mine = m.senderId === S.me._id, peer = S.users.get(c.id);
    rows.push({
      key: m.key,
      sig: JSON.stringify([m._id, m.status, m.error, m.note, m.attempted, !!m.status && S.connected, m.deleted, m.text, m.localUrl || m.image, first, last, mine ? '' : [nameOf(peer), peer && peer.profilePic]]),
      make: () => messageRow(c, m, { first, last, mine, peer }),
    });
    prev = m;
  });
  return rows;
}

export function renderThread(initial) {
  const c = S.open && conv(S.open);
  if (!c) return;
  const waiting = !c.loaded && !c.error;
  show($('thread-skeleton'), waiting && !c.list.length);
  show($('thread-error'), !!c.error && !c.list.length);
  setText($('thread-error-text'), c.error || '');
  show($('thread-empty'), c.loaded && !c.list.length);
  show($('earlier'), c.list.length > c.limit || (c.loaded && !!c.next));

  const list = $('messages'), rows = rowsOf(c), used = new Set(rows.map((r) => r.key));
  const animate = !initial && rowEls.size > 0 && document.visibilityState === 'visible';
  // First, so that those that stay are not moved.
  for (const [k, v] of rowEls) if (!used.has(k)) { v.el.remove(); rowEls.delete(k); }
  rows.forEach((r, i) => {
    let have = rowEls.get(r.key);
    if (!have) {
      have = { el: r.make(), sig: r.sig };
      if (animate && i >= rows.length - 2) {
        const { classList } = have.el;
        classList.add('enter');
        // An animation that has ended costs at every frame for as long as it is there.
        have.el.addEventListener('animationend', () => classList.remove('enter'), { once: true });
      }
      rowEls.set(r.key, have);
    } else if (have.sig !== r.sig) {
      const el = r.make();
      have.el.replaceWith(el);
      have.el = el; have.sig = r.sig;
    }
    if (list.children[i] !== have.el) list.insertBefore(have.el, list.children[i] || null);
  });
  renderTyping();
  if (S.stick) toBottom();
  if (initial && c.mark !== null) {
    const line = list.querySelector('.new-line');
    const t = $('thread');
    if (line && t.scrollHeight - line.offsetTop > t.clientHeight) { t.scrollTop = line.offsetTop - 60; onScroll(); }
  }
  renderJump();
}

export function toBottom() { const t = $('thread'); t.scrollTop = t.scrollHeight; }
export function onScroll() {
  const t = $('thread');
  S.stick = t.scrollHeight - t.scrollTop - t.clientHeight < 90;
  if (S.stick) S.missed = 0;
  renderJump();
}
export function renderJump() {
  show($('jump'), !S.stick && !!S.open && conv(S.open).list.length > 0);
  show($('jump-count'), S.missed > 0);
  setText($('jump-count'), String(S.missed));
}
export function showEarlier() {
  const c = conv(S.open), t = $('thread'), fromEnd = t.scrollHeight - t.scrollTop;
  const grow = () => {
    c.limit += PAGE;
    S.stick = false;
    renderThread();
    t.scrollTop = t.scrollHeight - fromEnd;
  };
  if (c.list.length > c.limit || !c.next) return grow();
  $('earlier').disabled = true;
  loadConversation(c.id, false, true).finally(() => {
    $('earlier').disabled = false;
    if (S.open === c.id) grow();
  });
}
