// The messages of server.js in SQLite, in MongoDB, or nowhere (STORE=none: history is then a canned page).
// `save` returns a promise where it has to wait.
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

/** As the original backends do it: one mongoose document per message, with the server's default write concern. */
async function mongo(uri) {
  const mongoose = require('mongoose');
  await mongoose.connect(uri);
  const schema = new mongoose.Schema({
    sender: { type: String, required: true, index: true },
    receiver: { type: String, required: true },
    conv: { type: String, required: true },
    content: { type: String, required: true, maxlength: 2000 },
    type: { type: String, enum: ['text', 'image', 'file'], default: 'text' },
    compressed: { type: Boolean, default: false },
  }, { timestamps: true });
  schema.index({ conv: 1, createdAt: -1 });
  const Message = mongoose.model('Message', schema);
  await Message.init();
  return {
    async save(m) {
      const conv = conversation(m.senderId, m.receiverId);
      const stored = await new Message({ sender: m.senderId, receiver: m.receiverId, conv, content: m.content }).save();
      m._id = stored._id.toString();
    },
    async page(a, b, limit) {
      const found = await Message.find({ conv: conversation(a, b) }).sort({ createdAt: -1 }).limit(limit).lean();
      return found.reverse().map((r) => ({
        _id: r._id, senderId: r.sender, receiverId: r.receiver, content: r.content, timestamp: r.createdAt,
      }));
    },
  };
}

const none = () => ({
  save() {},
  page: (a, b, limit) => Array.from({ length: limit }, () => ({
    _id: '6563a1b2c3d4e5f601020304', senderId: a, receiverId: b, content: CANNED, timestamp: new Date(),
  })),
});

/** Opens the store that the environment names: STORE, SQLITE_PATH, SYNC, MONGO_URI. */
exports.open = async (env) => {
  const sync = (env.SYNC || 'NORMAL').toUpperCase();
  switch (env.STORE || 'none') {
    case 'none': return none();
    case 'mongo': return mongo(env.MONGO_URI);
    case 'sqlite':
      if (['NORMAL', 'FULL'].includes(sync)) return sqlite(env.SQLITE_PATH || './node.db', sync);
      throw new Error('SYNC=NORMAL|FULL');
    default: throw new Error('STORE=none|sqlite|mongo');
  }
};
