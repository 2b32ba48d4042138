/* Deleting a message, and undoing it. */
import { api, enc } from './api.js';
import { changed, upsert } from './conversations.js';
import { $, announce } from './dom.js';
import { S, UNDO_MS } from './state.js';
import { fail, toast } from './toasts.js';

export async function remove(c, m) {
  const epoch = S.epoch;
  m.deleted = true;
  changed(c.id);
  if (window.matchMedia('(hover: hover)').matches) $('composer').focus();
  try {
    await api('DELETE', '/messages/' + enc(m._id));
    if (epoch !== S.epoch) return;
    toast('Message deleted', { key: 'undo:' + m._id, icon: 'trash', ms: UNDO_MS, action: { label: 'Undo', testid: 'undo', run: () => restore(c, m) } });
  } catch (e) {
    if (epoch !== S.epoch) return;
    m.deleted = false;
    changed(c.id);
    fail(e);
  }
}
export async function restore(c, m) {
  const epoch = S.epoch;
  m.deleted = false;
  changed(c.id);
  for (const t of [...$('toasts').children]) if (t.dataset.key === 'undo:' + m._id) t.remove();
  try {
    const back = await api('PUT', '/messages/' + enc(m._id) + '/restore', {});
    if (epoch !== S.epoch) return;
    if (back && back._id) upsert(c, back);
    changed(c.id);
    announce('Message restored');
  } catch (e) {
    if (epoch !== S.epoch) return;
    m.deleted = true;
    changed(c.id);
    fail(e);
  }
}
