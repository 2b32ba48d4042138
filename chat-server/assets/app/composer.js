/* Writing: the text, its picture, and telling the other one that somebody types. */
import { $, setText, show } from './dom.js';
import { dropDraft, keepDraft } from './drafts.js';
import { post, withdraw } from './outbox.js';
import { renderPeople } from './people.js';
import { imageProblem } from './pictures.js';
import { S } from './state.js';
import { toBottom } from './thread.js';
import { toast } from './toasts.js';
import { bytes } from './words.js';

export function grow() {
  const box = $('composer');
  box.style.height = 'auto';
  box.style.height = Math.min(box.scrollHeight, 168) + 'px';
  box.style.overflowY = box.scrollHeight > 168 ? 'auto' : 'hidden';
  $('send').disabled = !box.value.trim() && !S.attachment;
}
export function renderAttachment() {
  show($('attach'), !!S.attachment);
  if (S.attachment) {
    $('attach-img').src = S.attachment.url;
    setText($('attach-name'), S.attachment.file.name || 'Picture');
    setText($('attach-size'), bytes(S.attachment.file.size));
  } else $('attach-img').removeAttribute('src');
  $('send').disabled = !$('composer').value.trim() && !S.attachment;
  if (S.stick && S.open) toBottom();
}
export function attachFiles(files) {
  const all = [...files];
  if (!all.length || !S.open) return;
  const pics = all.filter((f) => f.type.startsWith('image/'));
  const file = pics[0] || all[0];
  const problem = imageProblem(file);
  composerError(problem || '');
  if (problem) return;
  if (all.length > 1) toast('One picture at a time. The first one was taken.', { key: 'pic' });
  if (S.attachment) URL.revokeObjectURL(S.attachment.url);
  S.attachment = { file, url: URL.createObjectURL(file) };
  renderAttachment();
  keepDraft();
  $('composer').focus();
}
export function detach() {
  if (S.attachment) URL.revokeObjectURL(S.attachment.url);
  S.attachment = null;
  composerError('');
  renderAttachment();
  keepDraft();
  $('composer').focus();
}
/** Says beside the composer what is wrong with what was to be sent. */
export function composerError(text) {
  const p = $('composer-error');
  setText(p, text);
  show(p, !!text);
  if (text) $('composer').setAttribute('aria-describedby', p.id); else $('composer').removeAttribute('aria-describedby');
}

export function sendNow() {
  const to = S.open, box = $('composer');
  const text = box.value.trim(), attachment = S.attachment;
  if (!to || (!text && !attachment)) return;
  const account = S.me._id;
  S.attachment = null;
  box.value = '';
  S.drafts.delete(to);
  post(to, text, attachment).then(() => dropDraft(account, to, text));
  composerError('');
  renderAttachment(); grow();
  stopTyping();
  renderPeople();
  box.focus();
}
/** Takes a message that was refused back into the composer. */
export async function editAgain(c, m) {
  const { text, file, localUrl } = m;
  if (!await withdraw(c, m) || S.open !== c.id) return;
  const box = $('composer');
  box.value = [text, box.value].filter((x) => x.trim()).join('\n');
  if (file && !S.attachment) S.attachment = { file, url: localUrl };
  renderAttachment(); grow();
  keepDraft();
  box.focus();
}

const typer = { last: 0, to: null, idle: null, later: null };
export function userTypes() {
  const to = S.open;
  if (!to || !S.socket || !S.connected) return;
  if (!$('composer').value.trim()) return stopTyping();
  const wait = typer.last + 2000 - Date.now();
  if (wait <= 0) {
    typer.to = to;
    typer.last = Date.now();
    S.socket.emit('typing', { to });
  } else if (typer.to !== to) { // started again within the pause: told as soon as it is over
    clearTimeout(typer.later);
    typer.later = setTimeout(() => { if (S.open === to) userTypes(); }, wait);
  }
  clearTimeout(typer.idle);
  typer.idle = setTimeout(stopTyping, 3000);
}
export function stopTyping() {
  clearTimeout(typer.idle);
  clearTimeout(typer.later);
  if (typer.to && S.socket && S.connected) S.socket.emit('stopTyping', { to: typer.to });
  typer.to = null;
}

export function insertText(t) {
  const box = $('composer');
  box.focus();
  box.setRangeText(t, box.selectionStart, box.selectionEnd, 'end');
  box.dispatchEvent(new Event('input', { bubbles: true }));
}
export function toggleEmoji(on) {
  const pop = $('emoji-pop');
  show(pop, on);
  $('emoji-open').setAttribute('aria-expanded', String(on));
  if (on) pop.firstElementChild.focus();
}
