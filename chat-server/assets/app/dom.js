/* Pieces of the page. */

export const $ = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const k in props || {}) {
    const v = props[k];
    if (v === undefined || v === null || v === false) continue;
    if (k === 'class') el.className = v;
    else if (k === 'text') el.textContent = v;
    else if (k.startsWith('on')) el.addEventListener(k.slice(2), v);
    else if (k === 'data') for (const d in v) el.dataset[d] = v[d];
    else el.setAttribute(k, v === true ? '' : v);
  }
  for (const c of children.flat()) if (c !== null && c !== undefined && c !== false) el.append(c);
  return el;
}
export function icon(name, cls) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('aria-hidden', 'true');
  if (cls) svg.setAttribute('class', cls);
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', '#i-' + name);
  svg.append(use);
  return svg;
}
export const show = (el, on) => { el.hidden = !on; };
export const setText = (el, t) => { if (el.textContent !== t) el.textContent = t; };
export const nameOf = (u) => (u && u.fullName) || 'Someone';

function initials(name) {
  const words = String(name || '?').trim().split(/\s+/).filter(Boolean);
  const first = (w) => Array.from(w || '')[0] || '';
  return ((first(words[0]) + (words.length > 1 ? first(words[words.length - 1]) : '')) || '?').toUpperCase();
}
function hue(id) {
  let n = 2166136261;
  for (const c of String(id)) n = Math.imul(n ^ c.charCodeAt(0), 16777619);
  return Math.abs(n >> 3) % 12 * 30 + 8;
}
export function safeImage(src) {
  if (typeof src !== 'string' || !src) return null;
  if (/^(data:image\/|blob:)/i.test(src)) return src;
  try {
    const u = new URL(src, location.href);
    return u.protocol === 'https:' || u.origin === location.origin ? u.href : null;
  } catch (e) { return null; }
}
export function avatar(user, cls, presence) {
  const el = h('span', { class: 'av ' + (cls || ''), 'aria-hidden': 'true' });
  const face = h('span', { class: 'av-face', text: initials(nameOf(user)) });
  face.style.setProperty('--h', hue(user ? user._id : '?'));
  el.append(face);
  const src = safeImage(user && user.profilePic);
  if (src) {
    const img = h('img', { alt: '', draggable: 'false', decoding: 'async' });
    img.addEventListener('error', () => img.remove());
    img.src = src;
    face.append(img);
  }
  if (presence) el.append(h('i', { class: 'dot' }));
  return el;
}
export function putAvatar(slot, user, cls, presence) {
  const sig = JSON.stringify([user && user._id, nameOf(user), user && user.profilePic]);
  if (slot._sig !== sig) { slot._sig = sig; slot.replaceChildren(avatar(user, cls, presence)); }
}

let liveFlip = false;
export function announce(text) {
  liveFlip = !liveFlip; // so that the same text twice is read twice
  const p = h('p', { text: text + (liveFlip ? '\u00a0' : '') });
  $('live').append(p);
  setTimeout(() => p.remove(), 10000);
}
