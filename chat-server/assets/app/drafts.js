/* What was begun in each chat and not sent. It is kept in this browser, by account: the text at every key, the picture when it
 * is chosen. */
import * as database from './database.js';
import { $ } from './dom.js';
import { renderPeople } from './people.js';
import { S, store } from './state.js';

const name = (id) => 'draft:' + S.me._id + ':' + id;

/** Takes up what was left in this browser. */
export async function loadDrafts() {
  const account = S.me._id, epoch = S.epoch;
  for (const [id, text] of store.below('draft:' + account + ':')) S.drafts.set(id, { text, image: null });
  for (const { to, file } of await database.pictures(account)) {
    if (epoch !== S.epoch) return;
    const draft = S.drafts.get(to) || { text: '', image: null };
    if (!draft.image) S.drafts.set(to, Object.assign(draft, { image: { file, url: URL.createObjectURL(file) } }));
  }
}

/** Keeps what stands in the composer. */
export function keepDraft() {
  const id = S.open;
  if (!id) return;
  const text = $('composer').value, before = S.drafts.get(id);
  if (text.trim() || S.attachment) S.drafts.set(id, { text, image: S.attachment });
  else S.drafts.delete(id);
  if (text.trim()) store.set(name(id), text); else store.del(name(id));
  if ((before && before.image) !== (S.attachment || null) && (S.attachment || (before && before.image))) {
    database.keepPicture(S.me._id, id, S.attachment ? S.attachment.file : null);
  }
}

/** A draft has become a message: what is kept of it goes, once that is kept. */
export function dropDraft(account, id, text) {
  const key = 'draft:' + account + ':' + id, kept = store.get(key);
  if (kept !== null && kept.trim() === text) store.del(key);
  if (!(S.drafts.get(id) || {}).image) database.keepPicture(account, id, null);
}

/** Puts what was kept for the open chat into the composer. */
export function takeUpDraft() {
  const draft = S.open && S.drafts.get(S.open);
  $('composer').value = draft ? draft.text : '';
  S.attachment = draft ? draft.image : null;
}

/** Another tab has kept or sent a draft. What is being written in this one stays. */
export function draftElsewhere(key, text) {
  const prefix = 'cs:' + name('');
  if (!key || !key.startsWith(prefix)) return null;
  const id = key.slice(prefix.length), image = (S.drafts.get(id) || {}).image || null;
  if (S.open === id && document.hasFocus()) return null;
  if (text) S.drafts.set(id, { text, image });
  else if (!image) S.drafts.delete(id);
  renderPeople();
  return id;
}
