/* chat-server: the page at "/".
 * Plain JavaScript modules, no build step. Works under a strict Content-Security-Policy: no inline script, no inline style,
 * and data reaches the page only as text. What is done by hand comes in here; see `app/` for what is then done.
 */
import { authMode, submitAuth } from './app/accounts.js';
import { goBack, openFromHash } from './app/chat.js';
import { attachFiles, composerError, detach, grow, insertText, renderAttachment, sendNow, toggleEmoji, userTypes } from './app/composer.js';
import { loadConversation, markRead } from './app/conversations.js';
import { $, h, show } from './app/dom.js';
import { draftElsewhere, keepDraft, takeUpDraft } from './app/drafts.js';
import { kickAll } from './app/outbox.js';
import { clearSearch, onSearch, renderPeople } from './app/people.js';
import { changePicture } from './app/profile.js';
import { logout, start } from './app/session.js';
import { S } from './app/state.js';
import { onScroll, renderThread, showEarlier, toBottom } from './app/thread.js';

const EMOJI = ['😀', '😂', '🤣', '😊', '😍', '🥰', '😘', '😎', '🤔', '😅', '😉', '🙃', '😢', '😭', '😡', '🥳', '🤯', '😴', '🤗', '🙄', '😬', '😇', '🤝', '🙏', '👍', '👎', '👏', '🙌', '👋', '💪', '🤞', '👀', '❤️', '💔', '🔥', '✨', '🎉', '🎂', '🚀', '💡', '✅', '❌', '⭐', '☕', '🍕', '🦀', '🌈', '🌙'];

function setup() {
  $('login-form').addEventListener('submit', (e) => submitAuth(e, false));
  $('signup-form').addEventListener('submit', (e) => submitAuth(e, true));
  document.querySelector('[data-testid="to-signup"]').addEventListener('click', () => authMode('signup', true));
  document.querySelector('[data-testid="to-login"]').addEventListener('click', () => authMode('login', true));
  for (const b of document.querySelectorAll('.reveal')) {
    b.addEventListener('click', () => {
      const input = $(b.getAttribute('aria-controls')), on = input.type === 'password';
      input.type = on ? 'text' : 'password';
      b.setAttribute('aria-pressed', String(on));
      b.setAttribute('aria-label', on ? 'Hide password' : 'Show password');
    });
  }
  $('logout').addEventListener('click', logout);

  const mac = /Mac|iPhone|iPad/.test(navigator.platform || '');
  if (window.matchMedia('(hover: hover)').matches) $('search-hint').textContent = mac ? '⌘K' : 'Ctrl K';
  else show($('search-hint'), false);
  $('search').addEventListener('input', onSearch);
  $('search').addEventListener('keydown', (e) => {
    if (e.key === 'Escape' && S.query) { e.preventDefault(); e.stopPropagation(); clearSearch(); }
    if (e.key === 'Enter') { const p = document.querySelector('#people-scroll .person'); if (p) p.click(); }
  });
  $('search-clear').addEventListener('click', clearSearch);
  document.querySelector('.sidebar').addEventListener('keydown', (e) => {
    if (e.key !== 'ArrowDown' && e.key !== 'ArrowUp') return;
    const rows = [...document.querySelectorAll('#people-scroll .person')];
    if (!rows.length) return;
    const i = rows.indexOf(document.activeElement);
    if (i < 0 && e.target !== $('search')) return;
    e.preventDefault();
    const j = i + (e.key === 'ArrowDown' ? 1 : -1);
    if (j < 0) $('search').focus(); else rows[Math.min(j, rows.length - 1)].focus();
  });

  $('back').addEventListener('click', goBack);
  window.addEventListener('popstate', openFromHash);
  $('thread').addEventListener('scroll', onScroll, { passive: true });
  $('jump').addEventListener('click', () => { const t = $('thread'); t.scrollTo({ top: t.scrollHeight, behavior: window.matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' }); });
  $('earlier').addEventListener('click', showEarlier);
  $('thread-retry').addEventListener('click', () => S.open && loadConversation(S.open));
  if (window.ResizeObserver) {
    const ro = new ResizeObserver(() => { if (S.stick && S.open) toBottom(); });
    ro.observe($('thread')); ro.observe($('thread-inner'));
  }
  const box = $('composer');
  for (const t of ['👋 Hello!', 'How are you?', 'Free for a chat?']) {
    $('chips').append(h('button', { type: 'button', class: 'chip', text: t, onclick: () => { box.value = t; sendNow(); } }));
  }

  $('composer-form').addEventListener('submit', (e) => { e.preventDefault(); sendNow(); });
  box.addEventListener('input', () => { grow(); composerError(''); keepDraft(); userTypes(); });
  box.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && !e.shiftKey && !e.isComposing && e.keyCode !== 229) { e.preventDefault(); sendNow(); }
  });
  box.addEventListener('paste', (e) => {
    const files = [...(e.clipboardData ? e.clipboardData.files : [])];
    if (files.some((f) => f.type.startsWith('image/'))) { e.preventDefault(); attachFiles(files); }
  });
  $('pick').addEventListener('click', () => $('file').click());
  $('file').addEventListener('change', (e) => { attachFiles(e.target.files); e.target.value = ''; });
  $('attach-remove').addEventListener('click', detach);

  const pop = $('emoji-pop');
  for (const e of EMOJI) pop.append(h('button', { type: 'button', class: 'emoji', text: e, 'aria-label': 'Insert ' + e, onclick: () => insertText(e) }));
  $('emoji-open').addEventListener('click', () => toggleEmoji(pop.hidden));
  pop.addEventListener('keydown', (e) => {
    const all = [...pop.children], i = all.indexOf(document.activeElement), step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 }[e.key];
    if (step && all[i + step]) { e.preventDefault(); all[i + step].focus(); }
  });
  document.addEventListener('pointerdown', (e) => { if (!pop.hidden && !e.target.closest('.emoji-anchor')) toggleEmoji(false); });

  // Pictures dropped anywhere on the conversation.
  const chat = document.querySelector('.chat');
  let depth = 0;
  const carries = (e) => e.dataTransfer && [...e.dataTransfer.types].includes('Files');
  const over = (on) => show($('drop'), on && !!S.open);
  chat.addEventListener('dragenter', (e) => { if (carries(e)) { e.preventDefault(); depth++; over(true); } });
  chat.addEventListener('dragleave', (e) => { if (carries(e) && --depth <= 0) { depth = 0; over(false); } });
  for (const t of ['dragover', 'drop']) window.addEventListener(t, (e) => { if (carries(e)) e.preventDefault(); });
  chat.addEventListener('drop', (e) => { depth = 0; over(false); if (carries(e)) attachFiles(e.dataTransfer.files); });

  $('me-open').addEventListener('click', () => { show($('profile-error'), false); $('profile').showModal(); });
  for (const id of ['profile-pick', 'profile-change']) $(id).addEventListener('click', () => $('profile-file').click());
  $('profile-file').addEventListener('change', (e) => { const f = e.target.files[0]; e.target.value = ''; if (f) changePicture(f); });
  for (const d of document.querySelectorAll('dialog')) {
    d.addEventListener('click', (e) => {
      const closer = e.target.closest('[data-close]');
      if (e.target === d || closer) d.close(closer ? closer.dataset.close : '');
    });
  }
  $('lightbox').addEventListener('close', () => $('lightbox-img').removeAttribute('src'));

  document.addEventListener('keydown', (e) => {
    if ((e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey && e.key.toLowerCase() === 'k' && S.me) { e.preventDefault(); $('search').focus(); $('search').select(); }
    if (e.key === 'Escape' && !document.querySelector('dialog[open]')) {
      if (!pop.hidden) { toggleEmoji(false); box.focus(); }
      else if (S.open && S.attachment) $('attach-remove').click();
    }
  });
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible' && S.me && S.open) markRead(S.open);
  });
  window.addEventListener('online', () => {
    if (!S.me) return;
    if (S.socket && !S.connected) S.socket.connect();
    kickAll();
  });
  window.addEventListener('storage', (e) => {
    if (S.me && draftElsewhere(e.key, e.newValue) === S.open) { takeUpDraft(); renderAttachment(); grow(); }
    // Logged out, or in as someone else, in another tab of this browser.
    if (e.key === 'cs:session' && e.newValue !== (S.me ? S.me._id : null)) location.reload();
  });
  setInterval(() => { if (S.me) { renderPeople(); if (S.open) renderThread(); } }, 60000); // "Today" turns into "Yesterday"

  start();
}

setup();
