// A page of Vue 2 with vue-socket.io, over a socket of its own making.

import Vue from 'vue-2/dist/vue.runtime.esm.js';
import VueSocketIO from 'vue-socket.io';

import { open, shown } from './page.js';

Vue.use(new VueSocketIO({ debug: false, connection: open() }));
new Vue({
  sockets: { [window.wanted.event]: (message) => shown(message) },
  render: (h) => h('main'),
}).$mount(document.body.appendChild(document.createElement('div')));
