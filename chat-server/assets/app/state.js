/* What the page knows, and what it keeps in this browser. */

export const MAX_IMAGE = 7 * 1024 * 1024;
export const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/webp', 'image/gif'];
export const PAGE = 150;                 // messages asked for, and put on the page, at a time
export const GROUP_GAP = 5 * 60 * 1000;  // messages closer than this belong together
export const UNDO_MS = 8000;

export const S = {
  me: null,
  users: new Map(),      // id -> user
  recent: new Map(),     // id -> time of the latest activity (ms)
  online: new Set(),
  fresh: new Set(),      // people who signed up while we watch
  typing: new Map(),     // id -> timer
  convs: new Map(),      // id -> conversation
  unread: new Map(),     // id -> count
  drafts: new Map(),     // id -> {text, image}
  open: null,            // id of the open conversation
  query: '',
  socket: null,
  connected: false,
  peopleLoaded: false,
  epoch: 0,              // grows at every log-in and log-out; stale answers are dropped
  attachment: null,      // {file, url} in the composer
  stick: true,           // is the newest message in sight?
  missed: 0,             // arrived while it was not
};

let seq = 0;
/** Orders what came within one millisecond. */
export const nextSeq = () => ++seq;

export const store = {
  get(k) { try { return localStorage.getItem('cs:' + k); } catch (e) { return null; } },
  set(k, v) { try { localStorage.setItem('cs:' + k, v); } catch (e) { /* private mode, or full */ } },
  del(k) { try { localStorage.removeItem('cs:' + k); } catch (e) { /* private mode */ } },
  /** What stands under names that begin so, without that beginning. */
  below(prefix) {
    const found = [];
    try {
      for (const k of Object.keys(localStorage)) {
        if (k.startsWith('cs:' + prefix)) found.push([k.slice(prefix.length + 3), localStorage.getItem(k)]);
      }
    } catch (e) { /* private mode */ }
    return found;
  },
};
store.set('works', '1');
/** Whether tabs of this browser can tell each other who is logged in. */
export const storeWorks = store.get('works') === '1';
