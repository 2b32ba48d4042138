/* chat-server: the page at "/".
 * Plain JavaScript, no build step. Works under a strict Content-Security-Policy:
 * no inline script, no inline style, and data reaches the page only as text.
 */
(function () {
  'use strict';

  /* ---------------------------------------------------------------- theme */
  // Runs at once (this file is not deferred), so that the first paint is right.

  const store = {
    get(k) { try { return localStorage.getItem('cs:' + k); } catch (e) { return null; } },
    set(k, v) { try { localStorage.setItem('cs:' + k, v); } catch (e) { /* private mode */ } },
    del(k) { try { localStorage.removeItem('cs:' + k); } catch (e) { /* private mode */ } },
  };
  const prefersDark = window.matchMedia('(prefers-color-scheme: dark)');

  function applyTheme() {
    const chosen = store.get('theme');
    const theme = chosen === 'dark' || chosen === 'light' ? chosen : prefersDark.matches ? 'dark' : 'light';
    document.documentElement.dataset.theme = theme;
    const meta = document.querySelector('meta[name="theme-color"]');
    if (meta) meta.content = theme === 'dark' ? '#151210' : '#f4efea';
    for (const b of document.querySelectorAll('.theme-toggle')) {
      const label = theme === 'dark' ? 'Switch to light theme' : 'Switch to dark theme';
      b.setAttribute('aria-label', label);
      b.title = label;
    }
  }
  function toggleTheme() {
    const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    if (next === (prefersDark.matches ? 'dark' : 'light')) store.del('theme'); // back to following the system
    else store.set('theme', next);
    applyTheme();
  }
  applyTheme();
  prefersDark.addEventListener('change', applyTheme);

  /* ------------------------------------------------------------ constants */

  const MAX_IMAGE = 7 * 1024 * 1024;
  const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/webp', 'image/gif'];
  const PAGE = 150;                 // messages put on the page at a time
  const GROUP_GAP = 5 * 60 * 1000;  // messages closer than this belong together
  const UNDO_MS = 8000;
  const EMOJI = ['😀', '😂', '🤣', '😊', '😍', '🥰', '😘', '😎', '🤔', '😅', '😉', '🙃', '😢', '😭', '😡', '🥳', '🤯', '😴', '🤗', '🙄', '😬', '😇', '🤝', '🙏', '👍', '👎', '👏', '🙌', '👋', '💪', '🤞', '👀', '❤️', '💔', '🔥', '✨', '🎉', '🎂', '🚀', '💡', '✅', '❌', '⭐', '☕', '🍕', '🦀', '🌈', '🌙'];

  /* ---------------------------------------------------------------- state */

  const S = {
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
  };
  let seq = 0;

  /* -------------------------------------------------------------- helpers */

  const $ = (id) => document.getElementById(id);
  const SVG = 'http://www.w3.org/2000/svg';

  function h(tag, props, ...children) {
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
  function icon(name, cls) {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('aria-hidden', 'true');
    if (cls) svg.setAttribute('class', cls);
    const use = document.createElementNS(SVG, 'use');
    use.setAttribute('href', '#i-' + name);
    svg.append(use);
    return svg;
  }
  const show = (el, on) => { el.hidden = !on; };
  const setText = (el, t) => { if (el.textContent !== t) el.textContent = t; };
  const time = (v) => { const t = typeof v === 'number' ? v : Date.parse(v); return Number.isFinite(t) ? t : Date.now(); };
  const nameOf = (u) => (u && u.fullName) || 'Someone';

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
  function safeImage(src) {
    if (typeof src !== 'string' || !src) return null;
    if (/^(data:image\/|blob:)/i.test(src)) return src;
    try {
      const u = new URL(src, location.href);
      return u.protocol === 'https:' || u.origin === location.origin ? u.href : null;
    } catch (e) { return null; }
  }
  function avatar(user, cls, presence) {
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
  function putAvatar(slot, user, cls, presence) {
    const sig = JSON.stringify([user && user._id, nameOf(user), user && user.profilePic]);
    if (slot._sig !== sig) { slot._sig = sig; slot.replaceChildren(avatar(user, cls, presence)); }
  }

  const fmt = {
    time: new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' }),
    weekday: new Intl.DateTimeFormat(undefined, { weekday: 'long' }),
    shortDay: new Intl.DateTimeFormat(undefined, { weekday: 'short' }),
    date: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long' }),
    dateYear: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' }),
    shortDate: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }),
    full: new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' }),
  };
  function dayStart(t) { const d = new Date(t); d.setHours(0, 0, 0, 0); return d.getTime(); }
  function daysAgo(t) { return Math.round((dayStart(Date.now()) - dayStart(t)) / 864e5); }
  function dayLabel(t) {
    const n = daysAgo(t);
    if (n <= 0) return 'Today';
    if (n === 1) return 'Yesterday';
    if (n < 7) return fmt.weekday.format(t);
    return new Date(t).getFullYear() === new Date().getFullYear() ? fmt.date.format(t) : fmt.dateYear.format(t);
  }
  function listTime(t) {
    const n = daysAgo(t);
    if (n <= 0) return fmt.time.format(t);
    if (n === 1) return 'Yesterday';
    return n < 7 ? fmt.shortDay.format(t) : fmt.shortDate.format(t);
  }
  function bytes(n) { return n < 1024 * 1024 ? Math.max(1, Math.round(n / 1024)) + ' KB' : (n / 1024 / 1024).toFixed(1) + ' MB'; }

  function readDataUrl(file) {
    return new Promise((ok, bad) => {
      const r = new FileReader();
      r.onload = () => ok(String(r.result));
      r.onerror = () => bad(new Error('The picture could not be read.'));
      r.readAsDataURL(file);
    });
  }
  function imageProblem(file) {
    if (!IMAGE_TYPES.includes(file.type)) return 'Only PNG, JPEG, WebP and GIF pictures can be sent.';
    if (file.size > MAX_IMAGE) return 'That picture is ' + bytes(file.size) + '. The limit is 7 MB.';
    return null;
  }

  let liveFlip = false;
  function announce(text) {
    liveFlip = !liveFlip; // so that the same text twice is read twice
    const p = h('p', { text: text + (liveFlip ? '\u00a0' : '') });
    $('live').append(p);
    setTimeout(() => p.remove(), 10000);
  }

  /* ------------------------------------------------------------------ api */

  class ApiError extends Error {
    constructor(message, status) { super(message); this.status = status; }
  }
  async function api(method, path, body, opts) {
    const o = opts || {};
    const epoch = S.epoch;
    const ctl = new AbortController();
    const timer = setTimeout(() => ctl.abort(), o.timeout || 20000);
    let res, data = null;
    try {
      res = await fetch('/api' + path, {
        method,
        credentials: 'same-origin',
        headers: body === undefined ? { Accept: 'application/json' } : { Accept: 'application/json', 'Content-Type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: ctl.signal,
      });
      const raw = await res.text();
      try { data = raw ? JSON.parse(raw) : null; } catch (e) { data = null; }
    } catch (e) {
      throw new ApiError(ctl.signal.aborted ? 'The server took too long to answer.' : 'The server cannot be reached.', 0);
    } finally {
      clearTimeout(timer);
    }
    if (!res.ok) {
      const fallback = { 413: 'That is too large for the server.', 429: 'Too many requests. Please wait a moment.' }[res.status] || 'Something went wrong (' + res.status + ').';
      const err = new ApiError((data && typeof data.message === 'string' && data.message) || fallback, res.status);
      if (res.status === 401 && !o.auth && epoch === S.epoch && S.me) sessionEnded();
      throw err;
    }
    return data;
  }
  const enc = encodeURIComponent;

  /* --------------------------------------------------------------- toasts */

  function toast(text, opts) {
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
  const fail = (e) => { if (e && e.status === 401 && !S.me) return; toast(e && e.message ? e.message : 'Something went wrong.', { kind: 'error', key: 'e:' + (e && e.message) }); };

  /* ----------------------------------------------------------------- auth */

  function view(name) {
    document.body.dataset.view = name;
    show($('boot'), name === 'boot');
    show($('auth'), name === 'auth');
    show($('app'), name === 'app');
  }
  function authMode(mode, focus) {
    const signup = mode === 'signup';
    const from = $(signup ? 'login-form' : 'signup-form'), to = $(signup ? 'signup-form' : 'login-form');
    show(from, false); show(to, true);
    for (const f of [from, to]) formError(f, '');
    const mail = from.elements.email.value;
    if (mail && !to.elements.email.value) to.elements.email.value = mail;
    document.title = (signup ? 'Sign up' : 'Log in') + ' · chat-server';
    if (focus) (signup ? to.elements.fullName : to.elements.email).focus();
  }
  function showAuth(mode, note) {
    view('auth');
    authMode(mode || 'login', window.matchMedia('(hover: hover)').matches);
    const n = document.querySelector('#login-form .form-note');
    n.textContent = note || '';
    show(n, !!note);
  }
  function formError(form, text, field) {
    const p = form.querySelector('.form-error');
    for (const i of form.querySelectorAll('input')) i.removeAttribute('aria-invalid');
    p.textContent = text;
    show(p, !!text);
    if (field) { field.setAttribute('aria-invalid', 'true'); field.focus(); }
  }
  async function submitAuth(ev, signup) {
    ev.preventDefault();
    const form = ev.currentTarget, f = form.elements;
    if (form.classList.contains('busy')) return;
    const email = f.email.value.trim(), password = f.password.value;
    const fullName = signup ? f.fullName.value.trim() : undefined;
    show(form.querySelector('.form-note') || $('boot'), false);
    if (signup && !fullName) return formError(form, 'Please enter your name.', f.fullName);
    if (!/^[^\s@]+@[^\s@]+$/.test(email)) return formError(form, 'Please enter your email address.', f.email);
    if (!password) return formError(form, 'Please enter your password.', f.password);
    if (signup && password.length < 6) return formError(form, 'The password needs at least 6 characters.', f.password);
    formError(form, '');
    form.classList.add('busy');
    try {
      const user = await api('POST', signup ? '/auth/signup' : '/auth/login', signup ? { fullName, email, password } : { email, password }, { auth: true });
      for (const x of ['login-form', 'signup-form']) $(x).reset();
      for (const b of document.querySelectorAll('.reveal[aria-pressed="true"]')) b.click();
      enter(user);
    } catch (e) {
      formError(form, e.message);
      if (e.status === 401 || e.status === 400) f.password.focus();
    } finally {
      form.classList.remove('busy');
    }
  }
  function resetState() {
    S.epoch++;
    if (S.socket) { S.socket.removeAllListeners(); S.socket.disconnect(); S.socket = null; }
    clearTimeout(offlineTimer);
    for (const t of S.typing.values()) clearTimeout(t);
    for (const c of S.convs.values()) for (const m of c.list) if (m.localUrl) URL.revokeObjectURL(m.localUrl);
    for (const m of [S.users, S.recent, S.online, S.fresh, S.typing, S.convs, S.unread, S.drafts, rowEls, personEls]) m.clear();
    S.me = null; S.open = null; S.connected = false; S.peopleLoaded = false; S.query = '';
    $('search').value = '';
    $('messages').replaceChildren();
    $('list-recent').replaceChildren(); $('list-people').replaceChildren();
    $('toasts').replaceChildren();
    $('composer').value = ''; attachment = null; renderAttachment();
    for (const d of document.querySelectorAll('dialog[open]')) d.close();
    show($('banner'), false);
    show($('chat-open'), false); show($('chat-none'), true);
    $('app').classList.remove('in-chat');
  }
  function sessionEnded() {
    if (!S.me) return;
    resetState();
    store.del('session');
    showAuth('login', 'Your session has ended. Please log in again.');
  }
  async function logout() {
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
  function enter(user) {
    resetState();
    S.me = user;
    store.set('session', user._id);
    if (!store.get('since:' + user._id)) store.set('since:' + user._id, String(Date.now()));
    show($('people-skeleton'), true);
    show($('sec-recent'), false); show($('sec-people'), false); show($('people-empty'), false);
    view('app');
    renderMe();
    setConnection(false, true);
    connect();
    loadPeople().then(() => { if (S.me) openFromHash(); });
    updateTitle();
  }

  /* --------------------------------------------------------------- socket */

  let offlineTimer = null;
  function setConnection(on, quiet) {
    S.connected = on;
    const c = $('connection');
    c.dataset.state = on ? 'online' : 'offline';
    $('app').classList.toggle('offline', !on && !quiet);
    setText($('connection-text'), on ? 'Connected' : quiet ? 'Connecting…' : 'Reconnecting…');
    clearTimeout(offlineTimer);
    if (on) {
      show($('banner'), false);
    } else {
      offlineTimer = setTimeout(() => {
        setText($('banner-text'), navigator.onLine === false ? 'You are offline. Waiting for the network…' : 'Reconnecting…');
        show($('banner'), true);
      }, quiet ? 2500 : 700);
    }
    renderPeerStatus();
  }
  function connect() {
    if (typeof window.io !== 'function') return toast('The live connection could not be loaded.', { kind: 'error' });
    const epoch = S.epoch;
    const s = S.socket = window.io({ path: document.documentElement.dataset.socketPath, withCredentials: true, reconnectionDelayMax: 4000 });
    let first = true;
    const on = (name, fn) => s.on(name, (...a) => { if (epoch === S.epoch) fn(...a); });
    on('connect', () => {
      setConnection(true);
      if (!first && !s.recovered) {
        for (const c of S.convs.values()) c.stale = true;
        loadPeople();
        if (S.open) loadConversation(S.open);
      }
      first = false;
    });
    on('disconnect', (reason) => {
      setConnection(false);
      for (const id of [...S.typing.keys()]) setTyping(id, false);
      if (reason === 'io server disconnect') setTimeout(() => { if (epoch === S.epoch) s.connect(); }, 1000);
    });
    on('connect_error', (err) => {
      if (err && /^(unauthorized|authentication error)/i.test(err.message || '')) return sessionEnded();
      setConnection(false, first);
      if (!s.active) setTimeout(() => { if (epoch === S.epoch) s.connect(); }, 3000);
    });
    on('getOnlineUsers', (ids) => {
      if (!Array.isArray(ids)) return;
      S.online = new Set(ids.map(String));
      if (S.peopleLoaded && ids.some((i) => i !== S.me._id && !S.users.has(i))) loadPeopleSoon();
      renderPeople(); renderPeerStatus();
    });
    on('newMessage', (m) => { if (m && m._id) incoming(m); });
    on('messageSent', (m) => { if (m && m._id) echoed(m); });
    on('messageDeleted', (d) => { const id = d && (d.messageId || d._id); if (id) markDeleted(id); });
    on('messageRestored', (m) => { if (m && m._id) { upsert(convOf(m), m); changed(peerOf(m)); } });
    on('userTyping', (d) => { if (d && d.userId) setTyping(String(d.userId), true); });
    on('userStoppedTyping', (d) => { if (d && d.userId) setTyping(String(d.userId), false); });
    on('userJoined', (u) => {
      if (!u || !u._id || u._id === S.me._id) return;
      if (!S.users.has(u._id)) { S.fresh.add(u._id); announce(nameOf(u) + ' joined'); }
      S.users.set(u._id, Object.assign(S.users.get(u._id) || {}, u));
      renderPeople();
    });
  }

  function setTyping(id, on) {
    clearTimeout(S.typing.get(id));
    if (on) S.typing.set(id, setTimeout(() => setTyping(id, false), 6000));
    else if (!S.typing.delete(id)) return;
    renderPeople(); renderPeerStatus(); renderTyping();
  }

  /* --------------------------------------------------------------- people */

  let peopleTimer = null;
  function loadPeopleSoon() { clearTimeout(peopleTimer); peopleTimer = setTimeout(() => { if (S.me) loadPeople(); }, 400); }

  async function loadPeople() {
    const epoch = S.epoch;
    let contacts, chats;
    try {
      [contacts, chats] = await Promise.all([api('GET', '/messages/contacts'), api('GET', '/messages/chats')]);
    } catch (e) {
      if (epoch !== S.epoch) return;
      show($('people-skeleton'), false);
      if (S.peopleLoaded) fail(e);
      else emptyPeople('Could not load people', e.message, 'Try again', () => { show($('people-empty'), false); show($('people-skeleton'), true); loadPeople(); });
      return;
    }
    if (epoch !== S.epoch) return;
    for (const u of [...(contacts || []), ...(chats || [])]) if (u && u._id && u._id !== S.me._id) S.users.set(u._id, u);
    (chats || []).forEach((u, i) => {
      if (!u || u._id === S.me._id) return;
      const last = u.lastMessage && u.lastMessage._id ? u.lastMessage : null;
      if (last) {
        const c = conv(u._id);
        if (!c.loaded) c.preview = last;
        if (last.senderId === u._id && !last.deleted && time(last.createdAt) > readMark(u._id) && !S.unread.has(u._id) && S.open !== u._id) S.unread.set(u._id, 1);
      }
      // The server's order stands until the real times are known.
      if (last || !S.recent.has(u._id)) S.recent.set(u._id, last ? time(last.createdAt) : -i);
    });
    S.peopleLoaded = true;
    show($('people-skeleton'), false);
    renderPeople(); renderHeader();
    prefetch((chats || []).map((u) => u && u._id).filter((id) => id && id !== S.me._id), epoch);
  }

  // Previews and unread counts for the latest few chats.
  async function prefetch(ids, epoch) {
    for (const id of ids.slice(0, 6)) {
      const c = conv(id);
      if (epoch !== S.epoch) return;
      if ((c.loaded && !c.stale) || c.loading || (c.preview && !c.stale && !S.unread.has(id)) || id === S.open) continue;
      try { await loadConversation(id, true); } catch (e) { return; }
    }
  }

  function emptyPeople(title, text, label, run) {
    setText($('people-empty-title'), title);
    setText($('people-empty-text'), text);
    const b = $('people-empty-action');
    show(b, !!label);
    b.textContent = label || '';
    b.onclick = run || null;
    show($('people-empty'), true);
  }

  const personEls = new Map();
  function matches(u) {
    const q = S.query.toLowerCase();
    return !q || nameOf(u).toLowerCase().includes(q) || String(u.email || '').toLowerCase().includes(q);
  }
  function renderPeople() {
    if (!S.me || !S.peopleLoaded) return;
    const all = [...S.users.values()];
    const recent = all.filter((u) => S.recent.has(u._id) && matches(u)).sort((a, b) => S.recent.get(b._id) - S.recent.get(a._id));
    const rest = all.filter((u) => !S.recent.has(u._id) && matches(u))
      .sort((a, b) => S.online.has(b._id) - S.online.has(a._id) || nameOf(a).localeCompare(nameOf(b)));
    fillPeople($('list-recent'), recent);
    fillPeople($('list-people'), rest);
    show($('sec-recent'), recent.length > 0);
    show($('sec-people'), rest.length > 0);
    if (recent.length + rest.length) show($('people-empty'), false);
    else if (S.query) emptyPeople('Nobody found', 'No name or email matches “' + S.query + '”.', 'Clear search', clearSearch);
    else emptyPeople('It is quiet in here', 'You are the first one. Share the address and start talking.', 'Copy link', copyLink);
    updateTitle();
  }
  function fillPeople(list, users) {
    const focused = document.activeElement;
    const keep = list.contains(focused) || (focused && focused.classList.contains('person')) ? focused : null;
    users.forEach((u, i) => {
      let row = personEls.get(u._id);
      if (!row) { row = makePerson(u._id); personEls.set(u._id, row); }
      updatePerson(row, u);
      if (list.children[i] !== row.li) list.insertBefore(row.li, list.children[i] || null);
    });
    while (list.children.length > users.length) list.lastElementChild.remove();
    if (keep && keep.isConnected && document.activeElement !== keep) keep.focus({ preventScroll: true });
  }
  function makePerson(id) {
    const av = h('span'), name = h('span', { class: 'person-name' }), tag = h('span', { class: 'tag', text: 'New' });
    const when = h('time', { class: 'person-time' }), sub = h('span', { class: 'person-sub' }), badge = h('span', { class: 'badge' });
    const btn = h('button', { type: 'button', class: 'person', 'data-testid': 'person', data: { userId: id, online: 'false' }, onclick: () => openChat(id, true) },
      av,
      h('span', { class: 'person-main' },
        h('span', { class: 'person-top' }, name, tag, when),
        h('span', { class: 'person-bottom' }, sub, badge)));
    return { li: h('li', {}, btn), btn, av, name, tag, when, sub, badge };
  }
  function updatePerson(r, u) {
    const id = u._id, online = S.online.has(id), n = S.unread.get(id) || 0;
    putAvatar(r.av, u, '', true);
    setText(r.name, nameOf(u));
    show(r.tag, S.fresh.has(id) && !S.recent.has(id));
    r.btn.dataset.online = String(online);
    if (S.open === id) r.btn.setAttribute('aria-current', 'true'); else r.btn.removeAttribute('aria-current');
    r.btn.classList.toggle('unread', n > 0);
    const last = lastMessage(id);
    show(r.when, !!last);
    if (last) { setText(r.when, listTime(time(last.createdAt))); r.when.dateTime = String(last.createdAt); }
    const typing = S.typing.has(id);
    const draft = S.open !== id && S.drafts.get(id);
    r.sub.classList.toggle('is-typing', typing);
    r.sub.classList.toggle('is-draft', !typing && !!draft);
    setText(r.sub, typing ? 'typing…' : draft ? 'Draft: ' + (draft.text.trim() || 'picture') : last ? previewText(last) : S.recent.has(id) ? (online ? 'Online' : 'Offline') : online ? 'Online now' : String(u.email || 'Offline'));
    show(r.badge, n > 0);
    setText(r.badge, n > 99 ? '99+' : String(n));
    r.btn.setAttribute('aria-label', [nameOf(u), online ? 'online' : 'offline', n ? n + ' unread' : '', typing ? 'typing' : last ? previewText(last) : ''].filter(Boolean).join(', '));
  }
  function lastMessage(id) {
    const c = S.convs.get(id);
    if (!c) return null;
    return c.list.length ? c.list[c.list.length - 1] : c.preview || null;
  }
  function previewText(m) {
    const mine = m.senderId === S.me._id;
    if (m.deleted) return mine ? 'You deleted a message' : 'Message deleted';
    const body = m.text ? m.text.replace(/\s+/g, ' ').slice(0, 120) : m.image ? '📷 Picture' : '';
    return (m.status === 'failed' ? 'Not sent: ' : mine ? 'You: ' : '') + (m.text && m.image ? '📷 ' : '') + body;
  }
  function clearSearch() { S.query = ''; $('search').value = ''; onSearch(); $('search').focus(); }
  function onSearch() {
    S.query = $('search').value.trim();
    show($('search-clear'), !!S.query);
    show($('search-hint'), !S.query && !!$('search-hint').textContent);
    renderPeople();
  }
  async function copyLink() {
    try {
      await navigator.clipboard.writeText(location.origin + '/');
      toast('Link copied', { icon: 'check' });
    } catch (e) {
      toast('Share this address: ' + location.origin + '/', { ms: 8000 });
    }
  }
  function updateTitle() {
    if (!S.me) return;
    let n = 0;
    for (const v of S.unread.values()) n += v;
    const who = S.open && S.users.get(S.open);
    document.title = (n ? '(' + n + ') ' : '') + (who ? nameOf(who) + ' · ' : '') + 'chat-server';
  }

  /* ------------------------------------------------------ own information */

  function renderMe() {
    putAvatar($('me-avatar'), S.me, '', false);
    setText($('me-name'), nameOf(S.me));
    $('me-open').setAttribute('aria-label', 'Your profile: ' + nameOf(S.me));
    putAvatar($('profile-avatar'), S.me, 'av-xl', false);
    setText($('profile-name'), nameOf(S.me));
    setText($('profile-email'), S.me.email || '');
    setText($('profile-since'), S.me.createdAt ? fmt.dateYear.format(time(S.me.createdAt)) : '–');
  }
  // Cropped to a square and scaled down, so that a picture stays a few dozen KB.
  async function squarePicture(file) {
    const url = URL.createObjectURL(file);
    try {
      const img = new Image();
      img.src = url;
      await img.decode();
      const side = Math.min(img.naturalWidth, img.naturalHeight), size = Math.min(512, side);
      if (!side) throw new Error('empty');
      const cv = document.createElement('canvas');
      cv.width = cv.height = size;
      const g = cv.getContext('2d');
      g.imageSmoothingQuality = 'high';
      g.drawImage(img, (img.naturalWidth - side) / 2, (img.naturalHeight - side) / 2, side, side, 0, 0, size, size);
      return file.type === 'image/jpeg' ? cv.toDataURL('image/jpeg', 0.9) : cv.toDataURL('image/png');
    } catch (e) {
      throw new Error('That file is not a picture this browser can read.');
    } finally {
      URL.revokeObjectURL(url);
    }
  }
  async function changePicture(file) {
    const err = $('profile-error');
    const say = (t) => { err.textContent = t; show(err, !!t); };
    say('');
    const problem = imageProblem(file);
    if (problem) return say(problem.replace('sent', 'used'));
    const epoch = S.epoch;
    $('profile').classList.add('busy');
    try {
      const user = await api('PUT', '/auth/update-profile', { profilePic: await squarePicture(file) }, { timeout: 60000 });
      if (epoch !== S.epoch) return;
      S.me = Object.assign(S.me, user);
      renderMe();
      $('profile').close();
      toast('Profile picture updated', { icon: 'check' });
    } catch (e) {
      if (epoch === S.epoch) say(e.message);
    } finally {
      $('profile').classList.remove('busy');
    }
  }

  /* -------------------------------------------------------- conversations */

  function conv(id) {
    let c = S.convs.get(id);
    if (!c) {
      c = { id, list: [], byId: new Map(), loaded: false, loading: false, stale: false, error: null, preview: null, limit: PAGE, tail: Promise.resolve(), inflight: 0, echoes: [], mark: null };
      S.convs.set(id, c);
    }
    return c;
  }
  const peerOf = (m) => (m.senderId === S.me._id ? m.receiverId : m.senderId);
  const convOf = (m) => conv(peerOf(m));

  function order(c) {
    const late = (m) => (m.status ? 1 : 0); // not yet on the server: last
    c.list.sort((a, b) => late(a) - late(b) || a.t - b.t || a.seq - b.seq);
  }
  // Adds a message from the server, or brings the one we have up to date.
  function upsert(c, m) {
    let x = c.byId.get(m._id);
    const fresh = !x;
    if (fresh) {
      x = { key: 'm' + m._id, seq: ++seq };
      c.byId.set(m._id, x);
      c.list.push(x);
    }
    Object.assign(x, { deleted: false }, m);
    x.t = time(m.createdAt);
    order(c);
    touch(c.id, x.t);
    return fresh;
  }
  function touch(id, t) { if (!(S.recent.get(id) >= t)) S.recent.set(id, t); }
  function changed(id) {
    if (S.open === id) renderThread();
    renderPeople();
  }

  async function loadConversation(id, quiet) {
    const c = conv(id), epoch = S.epoch;
    if (c.loading) { c.again = true; return; }
    c.loading = true;
    c.error = null;
    if (S.open === id && !c.loaded) renderThread();
    try {
      const list = await api('GET', '/messages/' + enc(id));
      if (epoch !== S.epoch) return;
      const seen = new Set();
      for (const m of Array.isArray(list) ? list : []) { if (m && m._id) { seen.add(m._id); upsert(c, m); } }
      // What the server no longer lists is gone, unless it arrived while we asked or we know it as deleted.
      const newest = Array.isArray(list) && list.length ? time(list[list.length - 1].createdAt) : 0;
      c.list = c.list.filter((m) => m.status || seen.has(m._id) || m.t >= newest || m.deleted || !c.stale);
      c.byId = new Map(c.list.filter((m) => m._id).map((m) => [m._id, m]));
      c.loaded = true;
      c.stale = false;
      countUnread(c);
    } catch (e) {
      if (epoch !== S.epoch) return;
      if (quiet) throw e;
      if (c.loaded) fail(e); else c.error = e.message;
    } finally {
      c.loading = false;
      if (epoch === S.epoch) {
        if (c.again) { c.again = false; loadConversation(id, true).catch(() => {}); }
        changed(id);
      }
    }
  }

  const readMark = (id) => Number(store.get('read:' + S.me._id + ':' + id)) || Number(store.get('since:' + S.me._id)) || 0;
  const watching = (id) => S.open === id && document.visibilityState === 'visible';
  function countUnread(c) {
    if (watching(c.id)) return markRead(c.id);
    const mark = readMark(c.id);
    const n = c.list.filter((m) => m.senderId === c.id && !m.deleted && m.t > mark).length;
    if (n) S.unread.set(c.id, n); else S.unread.delete(c.id);
  }
  function markRead(id) {
    const c = conv(id);
    const last = c.list.reduce((t, m) => (m.status ? t : Math.max(t, m.t)), 0);
    if (last > readMark(id)) store.set('read:' + S.me._id + ':' + id, String(last));
    if (S.unread.delete(id)) renderPeople();
    updateTitle();
  }

  function incoming(m) {
    const id = peerOf(m);
    if (m.senderId === S.me._id) return echoed(m);
    const c = conv(id);
    const fresh = upsert(c, m);
    c.preview = null;
    setTyping(id, false);
    if (!S.users.has(id)) loadPeopleSoon();
    if (fresh) {
      announce(nameOf(S.users.get(id)) + ': ' + (m.text || 'sent a picture'));
      if (watching(id)) {
        markRead(id);
        if (!stick) { missed++; }
      } else {
        S.unread.set(id, (S.unread.get(id) || 0) + 1);
        if (S.open === id && c.mark === null) c.mark = c.byId.get(m._id).t - 1;
      }
    }
    changed(id);
  }
  // Our own message, from this tab (the answer of the request settles it) or from another one.
  function echoed(m) {
    const c = convOf(m);
    if (c.inflight && !c.byId.has(m._id)) { c.echoes.push(m); return; }
    upsert(c, m);
    c.preview = null;
    changed(c.id);
  }
  function markDeleted(id) {
    for (const c of S.convs.values()) {
      const m = c.byId.get(id);
      if (m) {
        m.deleted = true;
        if (S.unread.has(c.id)) countUnread(c);
        changed(c.id);
        return;
      }
      if (c.preview && c.preview._id === id) { c.preview = Object.assign({}, c.preview, { deleted: true }); renderPeople(); }
    }
  }

  /* ----------------------------------------------------------- send & undo */

  let attachment = null; // {file, url}
  function sendNow() {
    const id = S.open;
    if (!id) return;
    const box = $('composer');
    const text = box.value.trim(), file = attachment && attachment.file;
    if (!text && !file) return;
    const m = {
      key: 'p' + (++seq), seq, _id: null, senderId: S.me._id, receiverId: id, text, image: attachment ? attachment.url : null,
      localUrl: attachment ? attachment.url : null, file: file || null, deleted: false, createdAt: new Date().toISOString(), t: Date.now(), status: 'sending', error: '',
    };
    attachment = null;
    box.value = '';
    S.drafts.delete(id);
    renderAttachment(); grow();
    stopTyping();
    post(id, m, true);
    box.focus();
  }
  function post(id, m, isNew) {
    const c = conv(id), epoch = S.epoch;
    m.status = 'sending';
    m.error = '';
    if (isNew) { c.list.push(m); c.mark = null; }
    order(c);
    touch(id, Date.now());
    stick = true;
    changed(id);
    // One after the other, so that they arrive in the order they were written.
    c.tail = c.tail.then(() => (epoch === S.epoch && c.list.includes(m) ? deliver(c, m, epoch) : null));
  }
  async function deliver(c, m, epoch) {
    c.inflight++;
    let saved = null, error = null;
    try {
      const image = m.file ? await readDataUrl(m.file) : null;
      saved = await api('POST', '/messages/send/' + enc(c.id), { text: m.text, image }, { timeout: image ? 90000 : 25000 });
      if (!saved || !saved._id) { error = new ApiError('The server gave no answer.', 0); saved = null; }
    } catch (e) { error = e; }
    c.inflight--;
    if (epoch !== S.epoch) return;
    // The answer got lost, but the echo shows that it was stored.
    if (!saved && error.status === 0) saved = c.echoes.find((x) => (x.text || '') === m.text && !!x.image === !!m.file) || null;
    if (saved) {
      const twin = c.byId.get(saved._id);
      if (twin && twin !== m) c.list.splice(c.list.indexOf(twin), 1);
      const local = m.localUrl;
      Object.assign(m, saved, { status: '', file: null });
      m.localUrl = local; // keep showing the picture we have: no flicker
      m.t = time(saved.createdAt);
      c.byId.set(m._id, m);
      c.preview = null;
      order(c);
    } else {
      m.status = 'failed';
      m.error = error.message;
      if (error.status) fail(error);
      announce('Message not sent');
    }
    if (!c.inflight) for (const x of c.echoes.splice(0)) upsert(c, x);
    changed(c.id);
  }
  function discard(c, m) {
    c.list.splice(c.list.indexOf(m), 1);
    if (!c.list.length && c.loaded) S.recent.delete(c.id);
    changed(c.id);
    $('composer').focus();
  }
  async function remove(c, m) {
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
  async function restore(c, m) {
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

  /* ------------------------------------------------------------ the thread */

  let stick = true;   // is the newest message in sight?
  let missed = 0;     // arrived while it was not
  const rowEls = new Map();

  function saveDraft() {
    if (!S.open) return;
    const text = $('composer').value;
    if (text.trim() || attachment) S.drafts.set(S.open, { text, image: attachment });
    else S.drafts.delete(S.open);
  }
  function openChat(id, byHand) {
    if (!S.users.has(id)) return;
    const wasOpen = S.open;
    if (wasOpen !== id) {
      saveDraft();
      stopTyping();
      if (wasOpen) conv(wasOpen).mark = null;
      S.open = id;
      const c = conv(id);
      c.limit = PAGE;
      c.mark = S.unread.get(id) ? readMark(id) : null; // what came later stands under "New messages"
      const d = S.drafts.get(id);
      $('composer').value = d ? d.text : '';
      attachment = d ? d.image : null;
      S.drafts.delete(id);
      missed = 0; stick = true;
      rowEls.clear();
      $('messages').replaceChildren();
      renderAttachment();
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
  function closeChat() {
    if (!S.open) return;
    const id = S.open;
    saveDraft();
    stopTyping();
    conv(id).mark = null;
    S.open = null;
    $('composer').value = ''; attachment = null;
    renderAttachment();
    $('app').classList.remove('in-chat');
    show($('chat-open'), false); show($('chat-none'), true);
    renderPeople(); updateTitle();
    const row = personEls.get(id);
    if (row && row.btn.isConnected) row.btn.focus({ preventScroll: true });
  }
  function goBack() {
    if (history.state && history.state.chat) return history.back();
    history.replaceState(null, '', location.pathname);
    closeChat();
  }
  function openFromHash() {
    if (!S.me) return;
    const m = /^#\/c\/(.+)$/.exec(location.hash);
    let id = null;
    try { id = m && decodeURIComponent(m[1]); } catch (e) { /* not ours */ }
    if (id && S.users.has(id)) { if (S.open !== id) openChat(id, false); }
    else closeChat();
  }

  function renderHeader() {
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
  function renderPeerStatus() {
    if (!S.open || !S.me) return;
    const online = S.online.has(S.open), typing = S.typing.has(S.open);
    const el = $('peer-status');
    setText(el, typing ? 'typing…' : !S.connected ? 'Waiting for the connection…' : online ? 'Online' : 'Offline');
    el.className = 'peer-status' + (typing ? ' is-typing' : online && S.connected ? ' is-online' : '');
    document.querySelector('.chat-head').dataset.online = String(online && S.connected);
  }
  function renderTyping() {
    show($('typing'), !!S.open && S.typing.has(S.open) && conv(S.open).loaded);
    if (stick) toBottom();
  }

  // What is on the page, top to bottom, as rows with a key and a signature.
  function rowsOf(c) {
    const rows = [], from = Math.max(0, c.list.length - c.limit), list = c.list.slice(from);
    const news = c.mark === null ? null : c.list.find((m) => m.senderId === c.id && !m.deleted && m.t > c.mark);
    let day = null, prev = null;
    list.forEach((m, i) => {
      const d = dayStart(m.t);
      if (d !== day) { rows.push({ key: 'd' + d, sig: dayLabel(m.t), make: () => h('li', { class: 'day' }, h('span', { text: dayLabel(m.t) })) }); day = d; prev = null; }
      if (m === news) { rows.push({ key: 'new', sig: '', make: () => h('li', { class: 'new-line' }, h('span', { text: 'New messages' })) }); prev = null; }
      const next = list[i + 1];
      const joins = (a, b) => !!a && !!b && a.senderId === b.senderId && Math.abs(b.t - a.t) < GROUP_GAP && dayStart(a.t) === dayStart(b.t);
      const first = !joins(prev, m), last = !joins(m, next) || (!!news && next === news);
      const mine = m.senderId === S.me._id, peer = S.users.get(c.id);
      rows.push({
        key: m.key,
        sig: JSON.stringify([m._id, m.status, m.error, m.deleted, m.text, m.localUrl || m.image, first, last, mine ? '' : [nameOf(peer), peer && peer.profilePic]]),
        make: () => messageRow(c, m, { first, last, mine, peer }),
      });
      prev = m;
    });
    return rows;
  }

  function renderThread(initial) {
    const c = S.open && conv(S.open);
    if (!c) return;
    const waiting = !c.loaded && !c.error;
    show($('thread-skeleton'), waiting && !c.list.length);
    show($('thread-error'), !!c.error && !c.list.length);
    setText($('thread-error-text'), c.error || '');
    show($('thread-empty'), c.loaded && !c.list.length);
    show($('earlier'), c.list.length > c.limit);

    const list = $('messages'), rows = rowsOf(c), used = new Set();
    const animate = !initial && rowEls.size > 0 && document.visibilityState === 'visible';
    rows.forEach((r, i) => {
      used.add(r.key);
      let have = rowEls.get(r.key);
      if (!have) {
        have = { el: r.make(), sig: r.sig };
        if (animate && i >= rows.length - 2) have.el.classList.add('enter');
        rowEls.set(r.key, have);
      } else if (have.sig !== r.sig) {
        const el = r.make();
        have.el.replaceWith(el);
        have.el = el; have.sig = r.sig;
      }
      if (list.children[i] !== have.el) list.insertBefore(have.el, list.children[i] || null);
    });
    for (const [k, v] of rowEls) if (!used.has(k)) { v.el.remove(); rowEls.delete(k); }
    renderTyping();
    if (stick) toBottom();
    if (initial && c.mark !== null) {
      const line = list.querySelector('.new-line');
      const t = $('thread');
      if (line && t.scrollHeight - line.offsetTop > t.clientHeight) { t.scrollTop = line.offsetTop - 60; onScroll(); }
    }
    renderJump();
  }

  function messageRow(c, m, p) {
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

    const mark = p.mine && m.status !== 'failed' ? icon(m.status === 'sending' ? 'clock' : 'check', 'mark') : null;
    bubble.append(h('span', { class: 'meta' }, stamp, mark, p.mine ? h('span', { class: 'sr-only', text: m.status === 'sending' ? 'sending' : m.status === 'failed' ? 'not sent' : 'sent' }) : null));

    const body = h('div', { class: 'msg-body' }, bubble);
    if (m.status === 'failed') {
      body.append(h('div', { class: 'failed', role: 'group', 'aria-label': 'Message not sent' }, icon('alert'),
        h('span', { text: 'Not sent', title: m.error }),
        h('button', { type: 'button', class: 'link-btn', 'data-testid': 'retry', text: 'Retry', onclick: () => post(c.id, m, false) }),
        h('button', { type: 'button', class: 'link-btn muted', text: 'Discard', onclick: () => discard(c, m) })));
    }
    const del = p.mine && m._id
      ? h('button', { type: 'button', class: 'icon-btn icon-btn-sm del', 'data-testid': 'delete-message', 'aria-label': 'Delete message', title: 'Delete message', onclick: () => remove(c, m) }, icon('trash'))
      : null;
    return h('li', { class: cls, 'data-testid': 'message', data: { messageId: m._id || m.key, mine: String(p.mine), status: m.status || 'sent' } }, gutter, del, body);
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

  function toBottom() { const t = $('thread'); t.scrollTop = t.scrollHeight; }
  function onScroll() {
    const t = $('thread');
    stick = t.scrollHeight - t.scrollTop - t.clientHeight < 90;
    if (stick) missed = 0;
    renderJump();
  }
  function renderJump() {
    show($('jump'), !stick && !!S.open && conv(S.open).list.length > 0);
    show($('jump-count'), missed > 0);
    setText($('jump-count'), String(missed));
  }
  function showEarlier() {
    const c = conv(S.open), t = $('thread'), fromEnd = t.scrollHeight - t.scrollTop;
    c.limit += PAGE;
    stick = false;
    renderThread();
    t.scrollTop = t.scrollHeight - fromEnd;
  }

  function openLightbox(src) {
    $('lightbox-img').src = src;
    $('lightbox').showModal();
  }

  /* -------------------------------------------------------------- composer */

  function grow() {
    const box = $('composer');
    box.style.height = 'auto';
    box.style.height = Math.min(box.scrollHeight, 168) + 'px';
    box.style.overflowY = box.scrollHeight > 168 ? 'auto' : 'hidden';
    $('send').disabled = !box.value.trim() && !attachment;
  }
  function renderAttachment() {
    show($('attach'), !!attachment);
    if (attachment) {
      $('attach-img').src = attachment.url;
      setText($('attach-name'), attachment.file.name || 'Picture');
      setText($('attach-size'), bytes(attachment.file.size));
    } else $('attach-img').removeAttribute('src');
    $('send').disabled = !$('composer').value.trim() && !attachment;
    if (stick && S.open) toBottom();
  }
  function attachFiles(files) {
    const all = [...files];
    if (!all.length || !S.open) return;
    const pics = all.filter((f) => f.type.startsWith('image/'));
    const file = pics[0] || all[0];
    const problem = imageProblem(file);
    if (problem) return toast(problem, { kind: 'error', key: 'pic' });
    if (all.length > 1) toast('One picture at a time. The first one was taken.', { key: 'pic' });
    if (attachment) URL.revokeObjectURL(attachment.url);
    attachment = { file, url: URL.createObjectURL(file) };
    renderAttachment();
    $('composer').focus();
  }

  const typer = { last: 0, to: null, idle: null, later: null };
  function userTypes() {
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
  function stopTyping() {
    clearTimeout(typer.idle);
    clearTimeout(typer.later);
    if (typer.to && S.socket && S.connected) S.socket.emit('stopTyping', { to: typer.to });
    typer.to = null;
  }

  function insertText(t) {
    const box = $('composer');
    box.focus();
    box.setRangeText(t, box.selectionStart, box.selectionEnd, 'end');
    box.dispatchEvent(new Event('input', { bubbles: true }));
  }
  function toggleEmoji(on) {
    const pop = $('emoji-pop');
    show(pop, on);
    $('emoji-open').setAttribute('aria-expanded', String(on));
    if (on) pop.firstElementChild.focus();
  }

  /* ----------------------------------------------------------------- setup */

  function setup() {
    applyTheme();
    for (const b of document.querySelectorAll('.theme-toggle')) b.addEventListener('click', toggleTheme);

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
      const ro = new ResizeObserver(() => { if (stick && S.open) toBottom(); });
      ro.observe($('thread')); ro.observe($('thread-inner'));
    }
    for (const t of ['👋 Hello!', 'How are you?', 'Free for a chat?']) {
      $('chips').append(h('button', { type: 'button', class: 'chip', text: t, onclick: () => { $('composer').value = t; sendNow(); } }));
    }

    const box = $('composer');
    $('composer-form').addEventListener('submit', (e) => { e.preventDefault(); sendNow(); });
    box.addEventListener('input', () => { grow(); userTypes(); });
    box.addEventListener('keydown', (e) => {
      if (e.key === 'Enter' && !e.shiftKey && !e.isComposing && e.keyCode !== 229) { e.preventDefault(); sendNow(); }
    });
    box.addEventListener('paste', (e) => {
      const files = [...(e.clipboardData ? e.clipboardData.files : [])];
      if (files.some((f) => f.type.startsWith('image/'))) { e.preventDefault(); attachFiles(files); }
    });
    $('pick').addEventListener('click', () => $('file').click());
    $('file').addEventListener('change', (e) => { attachFiles(e.target.files); e.target.value = ''; });
    $('attach-remove').addEventListener('click', () => {
      if (attachment) URL.revokeObjectURL(attachment.url);
      attachment = null;
      renderAttachment();
      box.focus();
    });

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
      d.addEventListener('click', (e) => { if (e.target === d || e.target.closest('[data-close]')) d.close(); });
    }
    $('lightbox').addEventListener('close', () => $('lightbox-img').removeAttribute('src'));

    document.addEventListener('keydown', (e) => {
      if ((e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey && e.key.toLowerCase() === 'k' && S.me) { e.preventDefault(); $('search').focus(); $('search').select(); }
      if (e.key === 'Escape' && !document.querySelector('dialog[open]')) {
        if (!pop.hidden) { toggleEmoji(false); box.focus(); }
        else if (S.open && attachment) $('attach-remove').click();
      }
    });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && S.me && S.open) markRead(S.open);
    });
    window.addEventListener('online', () => { if (S.socket && !S.connected) S.socket.connect(); });
    window.addEventListener('storage', (e) => {
      if (e.key === 'cs:theme') applyTheme();
      // Logged out, or in as someone else, in another tab of this browser.
      if (e.key === 'cs:session' && e.newValue !== (S.me ? S.me._id : null)) location.reload();
    });
    setInterval(() => { if (S.me) { renderPeople(); if (S.open) renderThread(); } }, 60000); // "Today" turns into "Yesterday"

    start();
  }

  async function start() {
    view('boot');
    try {
      const user = await api('GET', '/auth/check', undefined, { auth: true });
      if (!user || !user._id) throw new ApiError('', 401);
      enter(user);
    } catch (e) {
      showAuth(location.hash === '#signup' ? 'signup' : 'login');
      if (e.status !== 401) formError($('login-form'), e.message);
    }
  }

  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', setup);
  else setup();
})();
