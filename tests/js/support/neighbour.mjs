// A server that does next to nothing with what it is sent: what attacks on it cost is the cost of the attackers.

import http from 'node:http';
import os from 'node:os';

os.setPriority(os.constants.priority.PRIORITY_LOW);
const server = http.createServer((request, response) => {
  request.resume();
  response.end();
});
server.on('clientError', (_, socket) => socket.destroy());
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
process.on('disconnect', () => process.exit());
