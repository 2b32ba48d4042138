// A TCP proxy that does to connections what networks do: resets them, swallows or holds what they carry in one direction
// or both, delays it, refuses new ones.

import net from 'node:net';

/** From the client to the server, and from the server to the client. */
export const [UP, DOWN] = ['up', 'down'];

/** Stands before `server`: connect to `proxy.url`. */
export async function startProxy(server) {
  const proxy = new Proxy(server.port);
  await new Promise((resolve) => proxy.listener.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${proxy.listener.address().port}`;
  return proxy;
}

class Proxy {
  #sides = new Set();
  #ways = new Set();
  #holding = new Set();
  #swallowing = new Set();
  #delay = () => 0;

  constructor(port) {
    this.port = port;
    this.refusing = false;
    this.listener = net.createServer((client) => {
      if (this.refusing) return client.resetAndDestroy();
      const server = net.connect(this.port, '127.0.0.1');
      for (const side of [client, server]) {
        side.setNoDelay(true);
        this.#sides.add(side);
        side.on('close', () => this.#sides.delete(side));
      }
      this.#carry(UP, client, server);
      this.#carry(DOWN, server, client);
    });
  }

  #carry(name, from, to) {
    const way = new Way(name, to, () => this.#delay(name));
    if (this.#holding.has(name)) way.hold();
    way.swallowing = this.#swallowing.has(name);
    this.#ways.add(way);
    from.on('data', (bytes) => way.take(() => to.write(bytes)));
    // Told by "close".
    from.on('error', () => {});
    from.on('close', () => {
      // Behind a black hole nobody hears of the other's end.
      way.take(() => to.destroy());
      if (way.swallowing) this.#ways.delete(way);
    });
    to.on('close', () => this.#ways.delete(way));
  }

  /** Cuts all connections there are, and refuses new ones until `accept()`. */
  cut() {
    this.refusing = true;
    this.reset();
  }

  /** Cuts all connections there are; new ones are let in. */
  reset() {
    for (const side of this.#sides) side.resetAndDestroy();
  }

  /** Swallows everything on the connections there are, or what goes in one direction; neither side is told. */
  swallow(...names) {
    for (const way of this.#chosen(names)) way.swallowing = true;
  }

  /** The same, on new connections too, until `heal()`. */
  blacken(...names) {
    for (const name of names) this.#swallowing.add(name);
    this.swallow(...names);
  }

  /** New connections carry everything again, and what was swallowed on stays silent no longer: it is cut. */
  heal() {
    this.#swallowing.clear();
    this.reset();
  }

  /** Holds what the connections there are and new ones carry, or what goes in one direction, until `release()`. */
  hold(...names) {
    for (const name of names.length ? names : [UP, DOWN]) this.#holding.add(name);
    for (const way of this.#chosen(names)) way.hold();
  }

  /** Lets go, in order, what was held. */
  release() {
    this.#holding.clear();
    for (const way of this.#ways) way.release();
  }

  /** What comes is passed on after `delay(direction)` milliseconds, and never before what came earlier. */
  delay(delay) {
    this.#delay = delay;
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
    for (const side of this.#sides) side.destroy();
  }

  #chosen(names) {
    return [...this.#ways].filter((way) => names.length === 0 || names.includes(way.name));
  }
}

/** One direction of one connection. */
class Way {
  #waiting = [];
  #held = false;
  #timer;

  constructor(name, to, delay) {
    Object.assign(this, { name, to, delay, swallowing: false });
  }

  take(pass) {
    if (this.swallowing) return;
    const last = this.#waiting.at(-1)?.at ?? 0;
    this.#waiting.push({ pass, at: Math.max(last, performance.now() + this.delay()) });
    this.#flow();
  }

  hold() {
    this.#held = true;
  }

  release() {
    this.#held = false;
    this.#flow();
  }

  #flow() {
    while (this.#waiting.length && !this.#held && !this.swallowing) {
      const wait = this.#waiting[0].at - performance.now();
      if (wait > 0) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#flow(), wait);
        return;
      }
      const { pass } = this.#waiting.shift();
      if (!this.to.destroyed) pass();
    }
  }
}
