// The peer over REST: sign-up with the token in a cookie, POST /api/messages/send/:id, event newMessage,
// GET /api/messages/:id (../profiles/push.toml). It keeps everything in memory, so it does less than
// chat-server does with its store on.
// Environment: PORT, JWT_SECRET, ROUNDS (bcrypt, 10), PRESENCE=1 and KEYOBJ=1 as in server.js.
'use strict';
const { createSecretKey } = require('node:crypto');
const bcrypt = require('bcryptjs');
const express = require('express');
const jwt = require('jsonwebtoken');
const { Server } = require('socket.io');

const { env } = process;
const SECRET = env.JWT_SECRET;
if (!SECRET) throw new Error('JWT_SECRET is not set');
const KEY = env.KEYOBJ === '1' ? createSecretKey(Buffer.from(SECRET)) : SECRET;

const app = express();
app.use(express.json());
const server = require('node:http').createServer(app);
const io = new Server(server);

const byMail = new Map(), online = new Map(), conversations = new Map();
let ids = 0;
const objectId = () => '6563a1b2' + (ids++).toString(16).padStart(16, '0');
const between = (a, b) => (a < b ? a + b : b + a);
const userOf = (headers) => jwt.verify(/(?:^|; )jwt=([^;]+)/.exec(headers.cookie || '')?.[1], KEY).userId;

function signedIn(req, res, next) {
  try { req.userId = userOf(req.headers); next(); } catch { res.status(401).json({ message: 'Unauthorized' }); }
}

app.get('/readyz', (_req, res) => res.send('ok'));

app.post('/api/auth/signup', async (req, res) => {
  const { fullName, email, password } = req.body;
  if (byMail.has(email)) return res.status(400).json({ message: 'Email already exists' });
  const user = { _id: objectId(), fullName, email, hash: await bcrypt.hash(password, +(env.ROUNDS || 10)) };
  byMail.set(email, user);
  res.cookie('jwt', jwt.sign({ userId: user._id }, SECRET, { expiresIn: '7d' }), { httpOnly: true });
  return res.status(201).json({ _id: user._id, fullName, email });
});

app.post('/api/messages/send/:id', signedIn, (req, res) => {
  const m = { _id: objectId(), senderId: req.userId, receiverId: req.params.id, text: req.body.text, deleted: false, createdAt: new Date() };
  const key = between(m.senderId, m.receiverId);
  if (!conversations.has(key)) conversations.set(key, []);
  conversations.get(key).push(m);
  const to = online.get(m.receiverId);
  if (to) io.to(to).emit('newMessage', m);
  res.status(201).json(m);
});

app.get('/api/messages/:id', signedIn, (req, res) => {
  res.json((conversations.get(between(req.userId, req.params.id)) || []).slice(-50));
});

io.use((socket, next) => {
  try { socket.userId = userOf(socket.handshake.headers); next(); } catch { next(new Error('Unauthorized')); }
});

io.on('connection', (socket) => {
  online.set(socket.userId, socket.id);
  if (env.PRESENCE === '1') io.emit('getOnlineUsers', [...online.keys()]);
  socket.on('disconnect', () => { if (online.get(socket.userId) === socket.id) online.delete(socket.userId); });
});

server.listen(+(env.PORT || 4050), '127.0.0.1', 4096, () => console.error('listening', env.PORT, 'pid', process.pid));
