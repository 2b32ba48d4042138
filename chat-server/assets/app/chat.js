/* The open conversation: opening and closing it, and its head. */
import { enc } from './api.js';
import { composerError, grow, renderAttachment, stopTyping } from './composer.js';
import { conv, loadConversation, markRead, readMark } from './conversations.js';
import { $, nameOf, putAvatar, setText, show } from './dom.js';
import { takeUpDraft } from './drafts.js';
import { personEls, renderPeople, updateTitle } from './people.js';
import { PAGE, S } from './state.js';
import { renderThread, rowEls, toBottom } from './thread.js';

export function openChat(id, byHand) {
  if (!S.users.has(id)) return;
  const wasOpen = S.open;
  if (wasOpen !== id) {
    stopTyping();
    if (wasOpen) conv(wasOpen).mark = null;
    S.open = id;
    const c = conv(id);
    c.limit = PAGE;
    c.mark = S.unread.get(id) ? readMark(id) : null; // what came later stands under "New messages"
    takeUpDraft();
    S.missed = 0; S.stick = true;
    rowEls.clear();
    $('messages').replaceChildren();
    renderAttachment();
    composerError('');
    show($('emoji-pop'), false);
  }
  show($('chat-none'), false);
  show($('chat-open'), true);
  $('app').classList.add('in-chat');
  if (byHand) {
    const url = '#/c/' + enc(id);
    if (location.hash !== url) history[wasOpen ? 'replaceState' : 'pushState']({ chat: true }, '', url);
  }
  grow();
  renderHeader();
  const c = conv(id);
  c.error = null;
  renderThread(true);
  if (!c.loaded || c.stale) loadConversation(id);
  markRead(id);
  renderPeople();
  if (window.matchMedia('(hover: hover)').matches) $('composer').focus();
  else if (byHand) $('thread').focus({ preventScroll: true });
}
export function closeChat() {
  if (!S.open) return;
  const id = S.open;
  stopTyping();
  conv(id).mark = null;
  S.open = null;
  takeUpDraft();
  renderAttachment();
  $('app').classList.remove('in-chat');
  show($('chat-open'), false); show($('chat-none'), true);
  renderPeople(); updateTitle();
  const row = personEls.get(id);
  if (row && row.btn.isConnected) row.btn.focus({ preventScroll: true });
}
export function goBack() {
  if (history.state && history.state.chat) return history.back();
  history.replaceState(null, '', location.pathname);
  closeChat();
}
export function openFromHash() {
  if (!S.me) return;
  const m = /^#\/c\/(.+)$/.exec(location.hash);
  let id = null;
  try { id = m && decodeURIComponent(m[1]); } catch (e) { /* not ours */ }
  if (id && S.users.has(id)) { if (S.open !== id) openChat(id, false); }
  else closeChat();
}

export function renderHeader() {
  if (!S.open) return;
  const u = S.users.get(S.open);
  putAvatar($('peer-avatar'), u, '', true);
  setText($('peer-name'), nameOf(u));
  $('composer').placeholder = 'Message ' + nameOf(u).split(/\s+/)[0];
  $('composer').setAttribute('aria-label', 'Message to ' + nameOf(u));
  putAvatar($('typing-avatar'), u, 'av-sm', false);
  putAvatar($('empty-avatar'), u, 'av-xl', false);
  setText($('empty-title'), 'Say hello to ' + nameOf(u));
  renderPeerStatus();
}
export function renderPeerStatus() {
  if (!S.open || !S.me) return;
  const online = S.online.has(S.open), typing = S.typing.has(S.open);
  const el = $('peer-status');
  setText(el, typing ? 'typing…' : !S.connected ? 'Waiting for the connection…' : online ? 'Online' : 'Offline');
  el.className = 'peer-status' + (typing ? ' is-typing' : online && S.connected ? ' is-online' : '');
  document.querySelector('.chat-head').dataset.online = String(online && S.connected);
}
export function renderTyping() {
  show($('typing'), !!S.open && S.typing.has(S.open) && conv(S.open).loaded);
  if (S.stick) toBottom();
}
