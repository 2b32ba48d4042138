// A page that listens by RxJS, as many do: `fromEvent` hands over an array where an event has several arguments.

import { fromEvent } from 'rxjs';

import { open, shown } from './page.js';

const socket = open();
fromEvent(socket, window.wanted.event).subscribe((message) => shown(message));
