// A client that does only what it is told: it can stop reading, stop answering pings, or send what no client would.

import { WebSocket } from 'ws';

import { LIMIT, within } from './wait.mjs';

/** A websocket that has joined the default namespace. Pings are not answered. */
export async function join(server, { cookie, token } = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/socket.io/?EIO=4&transport=websocket`, {
    headers: cookie ? { cookie } : {},
    perMessageDeflate: false,
  });
  socket.closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {});
  const joined = new Promise((resolve, reject) => {
    socket.on('message', (data) => {
      const packet = data.toString();
      if (packet.startsWith('0')) socket.send(`40${JSON.stringify(token ? { token } : {})}`);
      if (packet.startsWith('40')) resolve();
      if (packet.startsWith('44')) reject(new Error(packet));
    });
    socket.once('close', () => reject(new Error('closed while joining')));
  });
  await within(joined, LIMIT, 'the connection of the raw websocket');
  return socket;
}
