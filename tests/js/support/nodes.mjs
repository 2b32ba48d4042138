// Two servers over one MongoDB and one Redis.

import { startMongo } from './mongodb.mjs';
import { startRedis } from './redis.mjs';
import { startServer } from './server.mjs';
import { closeSockets } from './wait.mjs';

/** Starts all four. `env` is for both servers, `of` gives what one of them (`a` or `b`) has of its own. */
export async function startNodes(env = {}, of = () => ({})) {
  const [mongo, redis] = await Promise.all([startMongo(), startRedis()]);
  const settings = (name) => ({ CHAT_STORE: mongo.url, REDIS_URL: redis.url, CHAT_NODE: name, ...env, ...of(name) });
  const [a, b] = await Promise.all(['a', 'b'].map((name) => startServer(settings(name))));
  return {
    a,
    b,
    mongo,
    redis,
    async finish() {
      closeSockets();
      await Promise.all([a, b].map((node) => node.finish()));
      await Promise.all([mongo, redis].map((server) => server.finish()));
    },
  };
}
