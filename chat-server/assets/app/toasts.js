/* Short notices at the edge of the page. */
import { $, h, icon } from './dom.js';
import { S } from './state.js';

export function toast(text, opts) {
  const o = opts || {};
  const ms = o.ms || (o.kind === 'error' ? 6000 : 4000);
  const box = $('toasts');
  if (o.key) for (const t of [...box.children]) if (t.dataset.key === o.key) t.remove();
  let timer = null, left = ms, began = 0;
  const el = h('div', { class: 'toast toast-' + (o.kind || 'info'), role: o.kind === 'error' ? 'alert' : 'status', data: o.key ? { key: o.key } : {} },
    o.kind === 'error' ? icon('alert', 'toast-icon') : o.icon ? icon(o.icon, 'toast-icon') : null,
    h('span', { class: 'toast-text', text }));
  function close() {
    clearTimeout(timer);
    if (el.classList.contains('leaving')) return;
    el.classList.add('leaving');
    setTimeout(() => el.remove(), 180);
  }
  if (o.action) {
    el.append(h('button', { type: 'button', class: 'toast-action', text: o.action.label, 'data-testid': o.action.testid, onclick() { close(); o.action.run(); } }));
  }
  el.append(h('button', { type: 'button', class: 'icon-btn icon-btn-sm toast-close', 'aria-label': 'Dismiss', onclick: close }, icon('x')));
  if (o.action) {
    const bar = h('span', { class: 'toast-bar' });
    bar.style.animationDuration = ms + 'ms';
    el.append(bar);
  }
  const go = () => { began = Date.now(); timer = setTimeout(close, left); el.classList.remove('paused'); };
  const hold = () => { clearTimeout(timer); left = Math.max(1500, left - (Date.now() - began)); el.classList.add('paused'); };
  el.addEventListener('pointerenter', hold);
  el.addEventListener('pointerleave', go);
  el.addEventListener('focusin', hold);
  el.addEventListener('focusout', go);
  box.append(el);
  while (box.children.length > 3) box.firstElementChild.remove();
  go();
  return close;
}
export const fail = (e) => { if (e && e.status === 401 && !S.me) return; toast(e && e.message ? e.message : 'Something went wrong.', { kind: 'error', key: 'e:' + (e && e.message) }); };
