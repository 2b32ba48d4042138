// The peer over the socket: Express + Socket.IO as the original backends do it (../profiles/baseline.toml).
// Environment: PORT, JWT_SECRET, STORE=none, sqlite with SQLITE_PATH and SYNC=NORMAL|FULL, or mongo with MONGO_URI, and as 1:
//   KEYOBJ    verify tokens with a prepared key object. With a string secret jsonwebtoken 9 first tries to
//             read it as a public key, which costs more than all the rest of a connect
//   PRESENCE  send everybody the whole list of who is online at every connect, as the original does
//   HUFFMAN   compress messages over 50 characters before storing them
//   RECOVERY  with Socket.IO's own connectionStateRecovery, and messages emitted to rooms as it needs
//   FAULT=drop|dup|late|garble  spoil every hundredth delivery, to check the load generator itself
'use strict';
const { createSecretKey } = require('node:crypto');
const express = require('express');
const jwt = require('jsonwebtoken');
const { Server } = require('socket.io');
const opened = require('./store').open(process.env);

const { env } = process;
if (!env.JWT_SECRET) throw new Error('JWT_SECRET is not set');
const KEY = env.KEYOBJ === '1' ? createSecretKey(Buffer.from(env.JWT_SECRET)) : env.JWT_SECRET;
const compress = env.HUFFMAN === '1' ? require('./huffman').compress : null;

const app = express();
app.use(express.json());
app.get('/readyz', (_req, res) => res.send('ok'));
const server = require('node:http').createServer(app);
const recovery = env.RECOVERY === '1' ? { connectionStateRecovery: { maxDisconnectionDuration: 2 * 60 * 1000 } } : {};
const io = new Server(server, { cors: { origin: '*' }, transports: ['websocket', 'polling'], ...recovery });

let store;
/** userId -> socket.id */
const online = new Map();
let ids = 0;
let deliveries = 0;

/** An id that looks like MongoDB's. */
function objectId() {
  const seconds = Math.floor(Date.now() / 1000).toString(16).padStart(8, '0');
  return `${seconds}a1b2c3d4e5${(ids++ & 0xffffff).toString(16).padStart(6, '0')}`;
}

function deliver(to, message) {
  const fault = env.FAULT && ++deliveries % 100 === 0 ? env.FAULT : '';
  const m = fault === 'garble' ? { ...message, content: `${message.content.slice(0, -1)}!` } : message;
  if (fault === 'drop') return;
  if (fault === 'late') { setTimeout(() => io.to(to).emit('privateMessage', m), 20); return; }
  io.to(to).emit('privateMessage', m);
  if (fault === 'dup') io.to(to).emit('privateMessage', m);
}

io.use((socket, next) => {
  try {
    socket.data.userId = jwt.verify(socket.handshake.auth.token, KEY).userId;
    next();
  } catch { next(new Error('Authentication error')); }
});

io.on('connection', (socket) => {
  // the data and the rooms of a recovered socket are restored, and its middleware does not run
  socket.userId = socket.data.userId;
  if (env.RECOVERY === '1') socket.join(`user:${socket.userId}`);
  online.set(socket.userId, socket.id);
  if (env.PRESENCE === '1') io.emit('getOnlineUsers', [...online.keys()]);

  socket.on('privateMessage', async (data, ack) => {
    try {
      const m = { _id: objectId(), senderId: socket.userId, receiverId: data.receiverId, content: data.content, timestamp: new Date() };
      const storing = store.save(m, compress && m.content.length > 50 ? compress(m.content) : undefined);
      if (storing) await storing;
      const to = env.RECOVERY === '1' ? `user:${m.receiverId}` : online.get(m.receiverId);
      if (to) deliver(to, m);
      ack?.({ success: true, messageId: m._id, timestamp: m.timestamp });
    } catch (e) { ack?.({ success: false, error: e.message }); }
  });

  socket.on('join-room', (data, ack) => { socket.join(data.roomId); ack?.({ success: true }); });

  socket.on('send-message', async (data, ack) => {
    const m = { _id: objectId(), sender: socket.userId, roomId: data.roomId, content: data.content, timestamp: new Date() };
    const storing = store.save({ ...m, senderId: m.sender, receiverId: m.roomId });
    if (storing) await storing;
    io.to(m.roomId).emit('new-message', m);
    ack?.({ success: true, messageId: m._id, timestamp: m.timestamp });
  });

  socket.on('getMessageHistory', async (data, ack) => {
    try {
      const page = store.page(socket.userId, data.userId, data.limit || 50);
      ack?.({ success: true, messages: page instanceof Promise ? await page : page });
    } catch (e) { ack?.({ success: false, error: e.message }); }
  });

  socket.on('disconnect', () => { if (online.get(socket.userId) === socket.id) online.delete(socket.userId); });
});

opened.then((it) => {
  store = it;
  server.listen(+(env.PORT || 4000), '127.0.0.1', 4096, () => console.error('listening', env.PORT, 'pid', process.pid));
});
