/* Who is logged in: what begins with a log-in and ends with a log-out. */
import { showAuth, view } from './accounts.js';
import { ApiError, api } from './api.js';
import { composerError, renderAttachment } from './composer.js';
import { $, setText, show } from './dom.js';
import { loadDrafts } from './drafts.js';
import { connect, hangUp, setConnection } from './live.js';
import { giveUpAll, resume, waiting } from './outbox.js';
import { loadPeople, personEls, updateTitle } from './people.js';
import { renderMe } from './profile.js';
import { S, store } from './state.js';
import { rowEls } from './thread.js';
import { fail } from './toasts.js';

function resetState() {
  S.epoch++;
  hangUp();
  for (const c of S.convs.values()) for (const m of c.list) if (m.localUrl) URL.revokeObjectURL(m.localUrl);
  for (const d of S.drafts.values()) if (d.image) URL.revokeObjectURL(d.image.url);
  for (const m of [S.users, S.recent, S.online, S.fresh, S.typing, S.convs, S.unread, S.drafts, rowEls, personEls]) m.clear();
  S.me = null; S.open = null; S.connected = false; S.peopleLoaded = false; S.query = '';
  $('search').value = '';
  $('messages').replaceChildren();
  $('list-recent').replaceChildren(); $('list-people').replaceChildren();
  $('toasts').replaceChildren();
  $('composer').value = ''; S.attachment = null; renderAttachment(); composerError('');
  for (const d of document.querySelectorAll('dialog[open]')) d.close();
  show($('chat-open'), false); show($('chat-none'), true);
  $('app').classList.remove('in-chat');
}
export function sessionEnded() {
  if (!S.me) return;
  const n = waiting();
  resetState();
  store.del('session');
  showAuth('login', 'Your session has ended. Please log in again.' + (n ? ' What you have not sent is kept here and sent then.' : ''));
}
/** Logs out; what was not sent is asked about before. */
export async function logout() {
  const n = waiting();
  const choice = n ? await askAboutUnsent(n) : 'keep';
  if (choice === 'stay' || !S.me) return;
  if (choice === 'delete') await giveUpAll();
  try {
    await api('POST', '/auth/logout', {}, { auth: true });
  } catch (e) {
    if (e.status !== 401) return fail(e);
  }
  store.del('session');
  history.replaceState(null, '', location.pathname);
  resetState();
  showAuth('login');
}
function askAboutUnsent(n) {
  const dialog = $('unsent');
  setText($('unsent-title'), n === 1 ? 'One message is not sent yet' : n + ' messages are not sent yet');
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((ok) => dialog.addEventListener('close', () => ok(dialog.returnValue || 'stay'), { once: true }));
}
export function enter(user) {
  resetState();
  S.me = user;
  store.set('session', user._id);
  if (!store.get('since:' + user._id)) store.set('since:' + user._id, String(Date.now()));
  show($('people-skeleton'), true);
  show($('sec-recent'), false); show($('sec-people'), false); show($('people-empty'), false);
  view('app');
  renderMe();
  setConnection(false, true);
  takeUp();
  updateTitle();
}
// What was left in this browser comes first, so that nothing that is loaded is shown beside it.
async function takeUp() {
  const epoch = S.epoch;
  await Promise.all([resume(), loadDrafts()]);
  if (epoch !== S.epoch) return;
  connect();
  loadPeople();
}
/** Finds out who is logged in, for as long as that takes. */
export async function start() {
  view('boot');
  let user = null;
  for (let n = 0; !user; n++) {
    try {
      user = await api('GET', '/auth/check', undefined, { auth: true });
      if (!user || !user._id) throw new ApiError('', 401);
    } catch (e) {
      user = null;
      if (e.status >= 400 && e.status < 500 && e.status !== 429) break;
      setText($('boot-text'), (e.status ? 'The server cannot answer now.' : e.message) + ' Trying again…');
      show($('boot-text'), true);
      await new Promise((ok) => setTimeout(ok, Math.max(e.retryAfter * 1000, Math.min(8000, 500 * 2 ** n))));
    }
  }
  if (user) return enter(user);
  store.del('session');
  showAuth(location.hash === '#signup' ? 'signup' : undefined);
}
