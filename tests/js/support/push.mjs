// The `push` dialect as its frontend speaks it: axios with a cookie, REST in, events out.

import assert from 'node:assert/strict';
import axios from 'axios';
import http from 'node:http';
import { io } from 'socket.io-client';

import { password, unique } from './names.mjs';
import { secret } from './server.mjs';
import { connect, once } from './wait.mjs';

export const MESSAGE_FIELDS = ['_id', 'createdAt', 'deleted', 'image', 'receiverId', 'senderId', 'text', 'updatedAt'];
export const EVENTS = [
  'getOnlineUsers',
  'newMessage',
  'messageSent',
  'messageDeleted',
  'messageRestored',
  'userTyping',
  'userJoined',
  'error',
];

/** One browser: an axios instance and its cookies. Every status is an answer, none is thrown. */
export class Browser {
  constructor(server) {
    this.server = server;
    this.cookies = new Map();
    this.axios = axios.create({
      baseURL: `${server.url}/api`,
      withCredentials: true,
      validateStatus: () => true,
      proxy: false,
      // A connection per request: the server is killed and restarted under these clients.
      httpAgent: new http.Agent({ keepAlive: false }),
      maxBodyLength: Infinity,
      maxContentLength: Infinity,
    });
    this.axios.interceptors.request.use((config) => {
      if (this.cookies.size && !config.headers.has('cookie')) config.headers.set('cookie', this.cookie);
      return config;
    });
    this.axios.interceptors.response.use((answer) => {
      for (const line of answer.headers['set-cookie'] ?? []) this.#keep(line);
      return answer;
    });
  }

  get cookie() {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  get token() {
    return this.cookies.get('jwt');
  }

  #keep(line) {
    const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
    if (/max-age=0(;|$)/i.test(line)) this.cookies.delete(name);
    else this.cookies.set(name, secret(value));
  }

  get(path, config) {
    return this.axios.get(path, config);
  }
  post(path, body, config) {
    return this.axios.post(path, body, config);
  }
  put(path, body, config) {
    return this.axios.put(path, body, config);
  }
  delete(path, config) {
    return this.axios.delete(path, config);
  }

  /** Signs up, and is logged in by that. */
  async signup(word = 'user') {
    this.fullName = unique(word);
    this.email = `${this.fullName.toLowerCase()}@example.com`;
    this.password = password();
    const answer = await this.post('/auth/signup', {
      fullName: this.fullName,
      email: this.email,
      password: this.password,
    });
    assert.equal(answer.status, 201, JSON.stringify(answer.data));
    this.id = answer.data._id;
    return this;
  }

  login() {
    return this.post('/auth/login', { email: this.email, password: this.password });
  }

  /** Another browser of the same person. */
  async elsewhere() {
    const other = new Browser(this.server);
    Object.assign(other, { fullName: this.fullName, email: this.email, password: this.password, id: this.id });
    assert.equal((await other.login()).status, 200);
    return other;
  }

  /** Sends a message and gives it as the server stored it. */
  async send(to, body) {
    const answer = await this.post(`/messages/send/${to.id ?? to}`, typeof body === 'string' ? { text: body, image: null } : body);
    assert.equal(answer.status, 201, JSON.stringify(answer.data)?.slice(0, 300));
    return answer.data;
  }

  async history(other) {
    const answer = await this.get(`/messages/${other.id ?? other}`);
    assert.equal(answer.status, 200, JSON.stringify(answer.data));
    assert.ok(Array.isArray(answer.data), 'the history is a bare array');
    return answer.data;
  }

  /** All of it, page by page: an answer holds so many bytes of text and says where the next one begins. */
  async wholeHistory(other) {
    const whole = [];
    let next = `/messages/${other.id ?? other}`;
    while (next) {
      const answer = await this.get(next);
      assert.equal(answer.status, 200, JSON.stringify(answer.data));
      whole.unshift(...answer.data);
      next = answer.headers.link?.match(/^<\/api([^>]+)>; rel="next"$/)[1];
    }
    return whole;
  }

  /** Opens a page: a socket that is known by the cookie. */
  open(options = {}, client = io) {
    const headers = { extraHeaders: { cookie: this.cookie } };
    return connect(client, this.server.url, { withCredentials: true, ...headers, ...options }, EVENTS);
  }
}

export function signup(server, word) {
  return new Browser(server).signup(word);
}

/** The online list once it is as wanted: the last one that came, or the next one that fits. */
export function roster(socket, fits, ms) {
  const last = socket.seen.getOnlineUsers.at(-1);
  return last && fits(last) ? Promise.resolve(last) : once(socket, 'getOnlineUsers', fits, ms);
}
