// Tokens as others would make them: an old backend with the same secret, or somebody who has no secret at all.

import jwt from 'jsonwebtoken';

import { JWT_SECRET, secret } from './server.mjs';

export function signed(claims, options = {}, key = JWT_SECRET) {
  return secret(jwt.sign(claims, key, options));
}

export function expired(claims) {
  const now = Math.floor(Date.now() / 1000);
  return signed({ ...claims, iat: now - 7200, exp: now - 3600 });
}

export function withOtherSecret(claims) {
  return signed(claims, {}, 'another-secret-0123456789abcdef0123456789abcdef0123456789abcdef');
}

/** A token that says of itself that it needs no signature. */
export function unsigned(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return secret(`${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`);
}

/** A genuine token whose claims were changed afterwards. */
export function tampered(token, claims) {
  const [head, , signature] = token.split('.');
  return secret(`${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`);
}
