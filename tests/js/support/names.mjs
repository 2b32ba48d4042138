// Names, passwords and texts that occur only once, so that a test finds only its own.

import { randomBytes } from 'node:crypto';

import { secret } from './server.mjs';

export function unique(word) {
  return `${word}_${randomBytes(4).toString('hex')}`;
}

export function password() {
  return secret(`Pw-${randomBytes(9).toString('hex')}`);
}

/** A message text, which must not be found in a log. */
export function text(word = 'hello') {
  return secret(`${word} ${randomBytes(6).toString('hex')}`);
}
