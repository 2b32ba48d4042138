/* One message. */
import { editAgain } from './composer.js';
import { remove, restore } from './deleting.js';
import { $, avatar, h, icon, nameOf, safeImage } from './dom.js';
import { retry, withdraw } from './outbox.js';
import { S } from './state.js';
import { toast } from './toasts.js';
import { fmt } from './words.js';

export function messageRow(c, m, p) {
  const cls = 'msg ' + (p.mine ? 'mine' : 'theirs') + (p.first ? ' first' : '') + (p.last ? ' last' : '') + (m.status ? ' is-' + m.status : '');
  const gutter = p.mine ? null : h('span', { class: 'msg-av' }, p.last ? avatar(p.peer, 'av-sm') : null);
  const who = h('span', { class: 'sr-only', text: (p.mine ? 'You' : nameOf(p.peer)) + ': ' });
  const stamp = h('time', { class: 'stamp', datetime: String(m.createdAt), title: fmt.full.format(m.t), text: fmt.time.format(m.t) });

  if (m.deleted) {
    return h('li', { class: cls + ' is-deleted', 'data-testid': 'message-deleted', data: { messageId: m._id || m.key, mine: String(p.mine) } }, gutter,
      h('div', { class: 'bubble' }, who, icon('ban'), h('span', { text: p.mine ? 'You deleted this message' : 'This message was deleted' }),
        p.mine && m._id ? h('button', { type: 'button', class: 'link-btn', 'data-testid': 'restore-message', text: 'Restore', onclick: () => restore(c, m) }) : null));
  }

  const bubble = h('div', { class: 'bubble' }, who);
  const src = safeImage(m.localUrl || m.image);
  if (src) {
    const img = h('img', { alt: p.mine ? 'Picture you sent' : 'Picture from ' + nameOf(p.peer), decoding: 'async', draggable: 'false' });
    const b = h('button', { type: 'button', class: 'pic loading', 'aria-label': 'Open the picture' }, img);
    b.addEventListener('click', () => { if (!b.classList.contains('broken')) openLightbox(src); });
    const size = (w, h) => { // fits 340 x 380, never a sliver
      const k = Math.min(1, 340 / w, 380 / h), least = m.text ? 230 : 150;
      img.style.width = Math.round(Math.max(least, w * k)) + 'px';
      img.style.aspectRatio = Math.round(Math.max(least, w * k)) + ' / ' + Math.round(Math.max(70, h * k));
    };
    if (m.dims) size(m.dims[0], m.dims[1]);
    img.addEventListener('load', () => {
      b.classList.remove('loading');
      if (img.naturalWidth) { m.dims = [img.naturalWidth, img.naturalHeight]; size(m.dims[0], m.dims[1]); }
    });
    img.addEventListener('error', () => { b.classList.remove('loading'); b.classList.add('broken'); b.replaceChildren(icon('image'), h('span', { text: 'Picture not available' })); });
    img.src = src;
    bubble.append(b);
    bubble.classList.add('has-pic');
  }
  const text = m.text || '';
  if (text) {
    const jumbo = !src && isJumbo(text);
    if (jumbo) bubble.classList.add('jumbo');
    const el = h('p', { class: 'text', dir: 'auto' });
    linkify(el, text);
    bubble.append(el);
  } else if (src) bubble.classList.add('pic-only');

  const unsent = m.status === 'waiting' || m.status === 'sending';
  const mark = p.mine && m.status !== 'failed' ? icon(unsent ? 'clock' : 'check', 'mark') : null;
  const said = { waiting: 'waiting to be sent', sending: 'sending', failed: 'not sent' }[m.status] || 'sent';
  bubble.append(h('span', { class: 'meta' }, stamp, mark, p.mine ? h('span', { class: 'sr-only', text: said }) : null));

  const body = h('div', { class: 'msg-body' }, bubble);
  const act = (label, run, testid) => h('button', { type: 'button', class: 'link-btn', 'data-testid': testid, text: label, onclick: run });
  if (m.status === 'failed') {
    body.append(h('div', { class: 'failed', role: 'group', 'aria-label': 'Message not sent' },
      h('span', { class: 'failed-text', 'data-testid': 'send-error' }, icon('alert'), 'Not sent: ' + m.error),
      m.can === 'edit' ? act('Edit', () => editAgain(c, m), 'edit-unsent') : null,
      m.can === 'retry' ? act('Try again', () => retry(c, m), 'retry') : null,
      act('Delete', () => giveUp(c, m), 'discard')));
  } else if (m.status === 'waiting' && (m.note || !S.connected)) {
    body.append(h('div', { class: 'waiting' },
      h('span', { text: m.note || 'Waiting for the connection', 'data-testid': 'send-waiting' }),
      m.attempted ? null : act('Don’t send', () => giveUp(c, m), 'discard')));
  }
  const del = p.mine && m._id
    ? h('button', { type: 'button', class: 'icon-btn icon-btn-sm del', 'data-testid': 'delete-message', 'aria-label': 'Delete message', title: 'Delete message', onclick: () => remove(c, m) }, icon('trash'))
    : null;
  return h('li', { class: cls, 'data-testid': 'message', data: { messageId: m._id || m.key, mine: String(p.mine), status: m.status || 'sent' } }, gutter, del, body);
}

async function giveUp(c, m) {
  if (await withdraw(c, m)) $('composer').focus();
  else toast('That message is on its way already.');
}

const EMOJI_ONLY = /^[\p{Extended_Pictographic}\u200d\ufe0f\u{1f3fb}-\u{1f3ff}\u{1f1e6}-\u{1f1ff}\s]+$/u;
function isJumbo(text) {
  if (text.length > 40 || !EMOJI_ONLY.test(text)) return false;
  const t = text.replace(/\s/g, '');
  const n = window.Intl && Intl.Segmenter ? [...new Intl.Segmenter().segment(t)].length : Array.from(t).length;
  return n > 0 && n <= 4;
}
function linkify(el, text) {
  const re = /\bhttps?:\/\/[^\s<>"'`]+/gi;
  let at = 0, m;
  while ((m = re.exec(text))) {
    let url = m[0].replace(/[.,;:!?…”’*_]+$/, '');
    while (/[)\]}]$/.test(url)) { // a closing bracket belongs to the address only if it was opened there
      const close = url.slice(-1), open = { ')': '(', ']': '[', '}': '{' }[close];
      if (url.split(open).length >= url.split(close).length) break;
      url = url.slice(0, -1).replace(/[.,;:!?]+$/, '');
    }
    let ok = false;
    try { ok = /^https?:$/.test(new URL(url).protocol); } catch (e) { /* not an address */ }
    if (!ok) continue;
    el.append(text.slice(at, m.index), h('a', { href: url, target: '_blank', rel: 'noopener noreferrer', text: url }));
    at = m.index + url.length;
    re.lastIndex = at;
  }
  el.append(text.slice(at));
}

function openLightbox(src) {
  $('lightbox-img').src = src;
  $('lightbox').showModal();
}
