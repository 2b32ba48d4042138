// The same with Vue 3.

import { createApp, h } from 'vue';
import VueSocketIO from 'vue-3-socket.io';

import { open, shown } from './page.js';

createApp({
  sockets: { [window.wanted.event]: (message) => shown(message) },
  render: () => h('main'),
})
  .use(new VueSocketIO({ debug: false, connection: open() }))
  .mount(document.body.appendChild(document.createElement('div')));
