// A TCP proxy that does to connections what networks do: resets them, swallows what they carry, refuses new ones.

import net from 'node:net';

/** Stands before `server`: connect to `proxy.url`. */
export async function startProxy(server) {
  const proxy = new Proxy(server.port);
  await new Promise((resolve) => proxy.listener.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${proxy.listener.address().port}`;
  return proxy;
}

class Proxy {
  constructor(port) {
    this.port = port;
    this.pairs = new Set();
    this.refusing = false;
    this.listener = net.createServer((client) => {
      if (this.refusing) return client.resetAndDestroy();
      const server = net.connect(this.port, '127.0.0.1');
      const pair = { client, server, swallowing: false };
      this.pairs.add(pair);
      const end = () => {
        this.pairs.delete(pair);
        // Behind a black hole the server hears nothing of its client's end.
        if (!pair.swallowing) server.destroy();
        client.destroy();
      };
      client.on('data', (bytes) => pair.swallowing || server.write(bytes));
      server.on('data', (bytes) => pair.swallowing || client.write(bytes));
      for (const side of [client, server]) side.on('close', end).on('error', end);
    });
  }

  /** Cuts all connections there are, and refuses new ones until `accept()`. */
  cut() {
    this.refusing = true;
    for (const { client, server } of this.pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Swallows everything on the connections there are; neither side is told. */
  swallow() {
    for (const pair of this.pairs) pair.swallowing = true;
  }

  /** Leads new connections to another server. */
  lead(server) {
    this.port = server.port;
  }

  /** Lets new connections in. */
  accept() {
    this.refusing = false;
  }

  async close() {
    this.listener.close();
    for (const { client, server } of this.pairs) {
      client.destroy();
      server.destroy();
    }
  }
}
