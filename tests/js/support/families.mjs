// The two families behind one face: a reader whose page is tested, and a writer.

import * as camel from './camel.mjs';
import { text } from './names.mjs';
import * as push from './push.mjs';
import { connect, once, until } from './wait.mjs';

/** How a page is told of a message, the reader's token, somebody else's, and a way to write to the reader. */
export const FAMILIES = {
  camel: async (server) => {
    const [anna, bert] = [await camel.register(server, 'anna'), await camel.register(server, 'bert')];
    const annas = await camel.enter(server, anna);
    return {
      event: 'privateMessage',
      token: bert.token,
      other: async () => (await camel.register(server, 'carl')).token,
      say: (words) => camel.say(annas, bert.name, words),
      history: async () => (await camel.history(annas, bert.name)).map((message) => message.text),
    };
  },
  push: async (server) => {
    const [anna, bert] = [await push.signup(server, 'anna'), await push.signup(server, 'bert')];
    return {
      event: 'newMessage',
      token: bert.token,
      other: async () => (await push.signup(server, 'carl')).token,
      say: (words) => anna.send(bert, words),
      history: async () => (await bert.history(anna)).map((message) => message.text),
    };
  },
};

export const TRANSPORTS = { websocket: ['websocket'], polling: ['polling'], 'polling with upgrade': ['polling', 'websocket'] };

export const BACK_SOON = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100, randomizationFactor: 0 };

/** Opens the reader's page through the proxy; `page.texts` is what it shows. */
export async function open(client, proxy, family, options = {}) {
  const page = await connect(client, proxy.url, { auth: { token: family.token }, ...BACK_SOON, ...options });
  page.texts = [];
  page.on(family.event, (message) => page.texts.push(message.text));
  return page;
}

/** Cuts the page's connection and waits until it knows. */
export async function cut(proxy, page) {
  const dropped = once(page, 'disconnect');
  proxy.cut();
  // A polling client between two polls notices nothing until the next one.
  await dropped;
}

export async function back(proxy, page) {
  const connected = once(page, 'connect');
  proxy.accept();
  await connected;
}

export async function sayAll(family, texts) {
  for (const words of texts) await family.say(words);
}

export const some = (count) => Array.from({ length: count }, () => text());

export const shows = (page, texts) => until(() => page.texts.length >= texts.length, `${texts.length} messages`);
