// The messages of server.js in SQLite, or nowhere (STORE=none: history is then a canned page).
'use strict';

const CANNED = "~canned history row of about one hundred bytes, kept in memory, the floor of a page's encoding cost~";

/** The key of a conversation, the same from both sides. */
const conversation = (a, b) => (a < b ? `${a}:${b}` : `${b}:${a}`);

function sqlite(path, synchronous) {
  const db = require('better-sqlite3')(path);
  db.pragma('journal_mode = WAL');
  db.pragma(`synchronous = ${synchronous}`);
  db.exec(`create table if not exists messages(id text primary key, sender text, receiver text, conv text,
             content text, compressed int, created_at int);
           create index if not exists m_conv on messages(conv, created_at);`);
  const insert = db.prepare('insert into messages values (?,?,?,?,?,?,?)');
  const select = db.prepare(`select id _id, sender senderId, receiver receiverId, content, created_at
                             from messages where conv=? order by created_at desc limit ?`);
  return {
    save(m, packed) {
      const conv = conversation(m.senderId, m.receiverId);
      insert.run(m._id, m.senderId, m.receiverId, conv, packed ?? m.content, packed ? 1 : 0, m.timestamp.getTime());
    },
    page: (a, b, limit) => select.all(conversation(a, b), limit).reverse().map((r) => ({
      _id: r._id, senderId: r.senderId, receiverId: r.receiverId, content: r.content, timestamp: new Date(r.created_at),
    })),
  };
}

const none = () => ({
  save() {},
  page: (a, b, limit) => Array.from({ length: limit }, () => ({
    _id: '6563a1b2c3d4e5f601020304', senderId: a, receiverId: b, content: CANNED, timestamp: new Date(),
  })),
});

/** Opens the store that the environment names: STORE, SQLITE_PATH, SYNC. */
exports.open = (env) => {
  if ((env.STORE || 'none') === 'none') return none();
  const sync = (env.SYNC || 'NORMAL').toUpperCase();
  if (env.STORE !== 'sqlite' || !['NORMAL', 'FULL'].includes(sync)) throw new Error('STORE=none|sqlite, SYNC=NORMAL|FULL');
  return sqlite(env.SQLITE_PATH || './node.db', sync);
};
