/* What must survive a reload, in IndexedDB and by account: messages that the server has not acknowledged, and the pictures
 * of drafts. Where a browser gives no IndexedDB, or no room in it, the same is kept in memory: it works, until a reload.
 */

const memory = { outbox: [], pictures: new Map() };
let opening = null;

function open() {
  if (!opening) {
    opening = new Promise((ok, bad) => {
      const r = indexedDB.open('chat-server', 1);
      r.onupgradeneeded = () => {
        const outbox = r.result.createObjectStore('outbox', { keyPath: 'n', autoIncrement: true });
        outbox.createIndex('chat', ['account', 'to']);
        outbox.createIndex('clientId', 'clientId', { unique: true });
        r.result.createObjectStore('pictures', { keyPath: ['account', 'to'] });
        r.result.createObjectStore('leases', { keyPath: 'name' });
      };
      r.onsuccess = () => {
        // A newer page in another tab must not wait for this one.
        r.result.onversionchange = () => { r.result.close(); opening = null; };
        r.result.onclose = () => { opening = null; };
        ok(r.result);
      };
      r.onerror = () => bad(r.error);
    });
    opening.catch(() => {});
  }
  return opening;
}

// Runs `work` in one transaction. What it passes to its second argument is the result, once it is committed.
async function transact(name, mode, work) {
  const db = await open();
  return new Promise((ok, bad) => {
    const t = db.transaction(name, mode);
    let result;
    t.oncomplete = () => ok(result);
    t.onabort = () => bad(t.error || new Error('The browser could not store it.'));
    work(t.objectStore(name), (r) => { result = r; });
  });
}
const quietly = (promise, otherwise) => promise.catch(() => otherwise);

// Goes through a chat's messages in order, or an account's, until `visit` says true.
function walk(outbox, account, to, visit) {
  const range = to === null ? IDBKeyRange.bound([account], [account, []]) : IDBKeyRange.only([account, to]);
  outbox.index('chat').openCursor(range).onsuccess = (e) => {
    const at = e.target.result;
    if (at && !visit(at.value, at)) at.continue();
  };
}
function find(outbox, clientId, visit) {
  outbox.index('clientId').openCursor(IDBKeyRange.only(clientId)).onsuccess = (e) => { if (e.target.result) visit(e.target.result); };
}
const inMemory = (clientId) => memory.outbox.find((x) => x.clientId === clientId);
const forget = (test) => { memory.outbox = memory.outbox.filter((x) => !test(x)); };

/** All unsent messages of an account, in order within each chat. */
export async function unsent(account) {
  const stored = await quietly(transact('outbox', 'readonly', (outbox, done) => {
    const all = [];
    done(all);
    walk(outbox, account, null, (x) => { all.push(x); });
  }), []);
  return [...stored, ...memory.outbox.filter((x) => x.account === account)];
}

/** Adds a message behind the others of its chat. False if it will not survive a reload. */
export async function add(entry) {
  // What follows one that is in memory stands behind it.
  if (!memory.outbox.some((x) => x.account === entry.account && x.to === entry.to)) {
    try {
      await transact('outbox', 'readwrite', (outbox) => { outbox.add(entry); });
      return true;
    } catch (e) { /* no room, or no database */ }
  }
  memory.outbox.push(Object.assign({}, entry));
  return false;
}

/**
 * The message of a chat that is to be sent next, which from now on may have been; `{later}` in milliseconds if it has to
 * wait; null if there is none. What was refused for good is passed over. When to come back is for the server to say
 * (`notBefore`), or a pause of our own (`pause`), which ends for the `eager`: those who know that the server is back.
 */
export async function take(account, to, now, eager) {
  const decide = (x) => {
    if (x.state !== 'waiting') return null;
    // A clock that was set back must not hold it for ever.
    const later = Math.min(Math.max(x.notBefore || 0, eager ? 0 : x.pause || 0) - now, 60 * 60 * 1000);
    return later > 0 ? { later } : Object.assign({}, x, { attempted: true });
  };
  const stored = await quietly(transact('outbox', 'readwrite', (outbox, done) => {
    done(null);
    walk(outbox, account, to, (x, at) => {
      const next = decide(x);
      if (!next) return false;
      if (!next.later && !x.attempted) at.update(next);
      done(next.later ? next : Object.assign({}, next, { before: !!x.attempted }));
      return true;
    });
  }), null);
  if (stored) return stored;
  for (const x of memory.outbox) {
    const next = x.account === account && x.to === to && decide(x);
    if (!next) continue;
    if (next.later) return next;
    const before = !!x.attempted;
    x.attempted = true;
    return Object.assign(next, { before });
  }
  return null;
}

/** Changes fields of a message. */
export async function patch(clientId, fields) {
  const x = inMemory(clientId);
  if (x) return Object.assign(x, fields);
  return quietly(transact('outbox', 'readwrite', (outbox) => {
    find(outbox, clientId, (at) => at.update(Object.assign(at.value, fields)));
  }));
}

/** Takes a message out that was acknowledged or given up. */
export async function remove(clientId) {
  forget((x) => x.clientId === clientId);
  return quietly(transact('outbox', 'readwrite', (outbox) => { find(outbox, clientId, (at) => at.delete()); }));
}

/** Takes a message out unless it may be on its way; says whether it did. */
export async function withdraw(clientId) {
  const may = (x) => !x.attempted || x.state === 'failed';
  const x = inMemory(clientId);
  if (x) {
    if (may(x)) forget((y) => y === x);
    return may(x);
  }
  return quietly(transact('outbox', 'readwrite', (outbox, done) => {
    done(false);
    find(outbox, clientId, (at) => { if (may(at.value)) { at.delete(); done(true); } });
  }), false);
}

/** Takes out all messages of an account. */
export async function removeAll(account) {
  forget((x) => x.account === account);
  return quietly(transact('outbox', 'readwrite', (outbox) => { walk(outbox, account, null, (x, at) => { at.delete(); }); }));
}

/** The pictures of an account's drafts: `[{to, file}]`. */
export async function pictures(account) {
  const stored = await quietly(transact('pictures', 'readonly', (all, done) => {
    all.getAll(IDBKeyRange.bound([account], [account, []])).onsuccess = (e) => done(e.target.result);
  }), []);
  return [...stored, ...[...memory.pictures.values()].filter((x) => x.account === account)];
}

/** Keeps the picture of a draft, or with null forgets it. */
export async function keepPicture(account, to, file) {
  memory.pictures.delete(account + ' ' + to);
  try {
    await transact('pictures', 'readwrite', (all) => { if (file) all.put({ account, to, file }); else all.delete([account, to]); });
  } catch (e) {
    if (file) memory.pictures.set(account + ' ' + to, { account, to, file });
  }
}

// Who holds a lease, where the browser has no locks (pages that are not on https or localhost).
const LEASE = 15000;
const tab = Math.random().toString(36).slice(2);

async function lease(name, until) {
  return quietly(transact('leases', 'readwrite', (leases, done) => {
    leases.get(name).onsuccess = (e) => {
      const held = e.target.result, now = Date.now();
      const left = held && held.tab !== tab ? Math.min(held.until - now, LEASE) : 0;
      if (left <= 0) leases.put({ name, tab, until });
      done(Math.max(0, left));
    };
  }), 0);
}

/**
 * Runs `work` while no other tab of this browser runs the same; it gets a function to call now and then, which says whether
 * that is still so. The result of `work`, or in milliseconds how long to wait for another tab.
 */
export async function alone(name, work) {
  if (navigator.locks) return navigator.locks.request('chat-server ' + name, () => work(() => true));
  const hold = async () => (await lease(name, Date.now() + LEASE)) === 0;
  const left = await lease(name, Date.now() + LEASE);
  if (left) return left;
  const renewing = setInterval(hold, LEASE / 3);
  try {
    return await work(hold);
  } finally {
    clearInterval(renewing);
    await lease(name, 0);
  }
}
