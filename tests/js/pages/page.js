// What the pages have in common. Who looks at it, and by which event it is told of messages, stands in the address.

import { io } from 'socket.io-client';

window.wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
/** What the page shows, each as it was handed over. */
window.messages = [];
/** Whether each connection was recovered. */
window.connections = [];

export function shown(message) {
  window.messages.push(message);
}

export function open() {
  const { token, transports } = window.wanted;
  const pace = { reconnectionDelay: 50, reconnectionDelayMax: 100, randomizationFactor: 0 };
  const socket = io({ auth: { token }, transports: transports.split(','), ...pace });
  socket.on('connect', () => window.connections.push(socket.recovered));
  window.socket = socket;
  return socket;
}
