// Unmodified clients under faults: senders send at a steady rate, receivers sit behind a proxy that misbehaves or on a
// server that goes away. One JSON object on stdout says what became of the messages.
//
//   node clients.mjs '{"url": …, "port": …, "dialect": "camel"|"baseline", "fault": …, "pairs": 20, "seconds": 20, "retries": false}'
//
// "restart" and "kill" lines ask whoever runs this to do so with the server, and to answer with a line when it is ready.
import { createHmac } from 'node:crypto';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';

const plan = JSON.parse(process.argv[2]);
/** Milliseconds between two messages of one sender. */
const EVERY = 100;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// ---- What the network does -------------------------------------------------------------------------------

const connections = new Set();
const proxy = net.createServer((client) => {
  const server = net.connect(plan.port, '127.0.0.1');
  const pair = { client, server, swallowing: false };
  connections.add(pair);
  for (const [from, to] of [[client, server], [server, client]]) {
    from.setNoDelay(true);
    from.on('data', (bytes) => pair.swallowing || to.write(bytes));
    from.on('error', () => {});
    // behind a black hole the server hears nothing of its client's end
    from.on('close', () => {
      if (!pair.swallowing) to.destroy();
      connections.delete(pair);
    });
  }
});

const FAULTS = {
  reset: { every: 3_000, strike: () => connections.forEach(({ client, server }) => [client, server].forEach((side) => side.resetAndDestroy())) },
  // the device changes its network: the client is told, the server is not
  'half-open': {
    every: 5_000,
    strike: async (pairs) => {
      for (const pair of connections) pair.swallowing = true;
      await sleep(1_000);
      for (const { receiver } of pairs) receiver.io.engine.close();
    },
  },
  restart: { every: 6_000, strike: () => ask('restart') },
  kill: { every: 6_000, strike: () => ask('kill') },
};

async function ask(what) {
  console.log(what);
  await answers.next();
}

// ---- The two dialects ------------------------------------------------------------------------------------

const DIALECTS = {
  camel: {
    user: async (name) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${plan.url}/api/register`, { method: 'POST', headers, body: JSON.stringify({ username: name, password: 'secret-secret' }) });
      if (!answer.ok) throw new Error(`register: ${answer.status}`);
      return { name, token: (await answer.json()).token };
    },
    message: (to, text) => ({ text, receiver: to.name, timestamp: new Date().toISOString() }),
    text: (message) => message.text,
  },
  baseline: {
    user: (name) => ({ name, token: signed({ userId: name, iat: Math.floor(Date.now() / 1000) }) }),
    message: (to, text) => ({ receiverId: to.name, content: text }),
    text: (message) => message.content,
  },
};

function signed(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const content = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${content}.${createHmac('sha256', process.env.JWT_SECRET).update(content).digest('base64url')}`;
}

// ---- The run ---------------------------------------------------------------------------------------------

const dialect = DIALECTS[plan.dialect];
const fault = FAULTS[plan.fault];
await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
const behindProxy = `http://127.0.0.1:${proxy.address().port}`;
let last = Date.now();

function open(url, user, options = {}) {
  const socket = io(url, { auth: { token: user.token }, forceNew: true, ...options });
  return new Promise((resolve, reject) => socket.once('connect', () => resolve(socket)).once('connect_error', reject));
}

async function pair(index) {
  const [from, to] = [await dialect.user(`from${index}`), await dialect.user(`to${index}`)];
  // longer than any run: only a new connection makes the client send again
  const sender = await open(plan.url, from, plan.retries ? { retries: 1_000, ackTimeout: 600_000 } : {});
  const receiver = await open(behindProxy, to);
  const state = { sender, receiver, to, sent: 0, acknowledged: new Set(), counts: [], next: 0, reordered: 0, recovered: 0, reconnects: 0 };
  receiver.on('privateMessage', (message) => {
    const number = Number(dialect.text(message).split(' ')[1]);
    last = Date.now();
    state.counts[number] = (state.counts[number] ?? 0) + 1;
    if (state.counts[number] === 1 && number < state.next) state.reordered++;
    state.next = Math.max(state.next, number + 1);
  });
  receiver.on('connect', () => {
    state.reconnects++;
    if (receiver.recovered) state.recovered++;
  });
  return state;
}

function send(state) {
  const number = state.sent++;
  const done = (ack) => {
    last = Date.now();
    if (ack?.success) state.acknowledged.add(number);
  };
  const message = dialect.message(state.to, `number ${number} of a message with as many words as people write`);
  state.sender.emit('privateMessage', message, plan.retries ? (error, ack) => done(ack) : done);
}

const pairs = await Promise.all(Array.from({ length: plan.pairs }, (_, index) => pair(index)));
const sending = setInterval(() => pairs.forEach(send), EVERY);
const end = Date.now() + plan.seconds * 1_000;
for (;;) {
  await sleep(fault.every);
  // everybody has the time to come back
  if (Date.now() > end) break;
  await fault.strike(pairs);
}
clearInterval(sending);
const patience = Date.now() + 60_000;
const settled = () => pairs.every(({ sender, receiver }) => sender.connected && receiver.connected) && Date.now() - last > 3_000;
while (!settled() && Date.now() < patience) await sleep(100);

const sum = (figure) => pairs.reduce((total, state) => total + figure(state), 0);
console.log(JSON.stringify({
  mode: 'faults', fault: plan.fault, retries: plan.retries, seconds: plan.seconds,
  sent: sum((state) => state.sent),
  acknowledged: sum((state) => state.acknowledged.size),
  delivered: sum((state) => state.counts.filter(Boolean).length),
  acknowledged_lost: sum((state) => [...state.acknowledged].filter((number) => !state.counts[number]).length),
  doubled: sum((state) => state.counts.reduce((more, count) => more + count - 1, 0)),
  reordered: sum((state) => state.reordered),
  reconnects: sum((state) => state.reconnects),
  recovered: sum((state) => state.recovered),
}));
process.exit(0);
