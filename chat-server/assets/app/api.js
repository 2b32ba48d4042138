/* Requests to the server. */
import { sessionEnded } from './session.js';
import { S } from './state.js';

export class ApiError extends Error {
  constructor(message, status, retryAfter) { super(message); this.status = status; this.retryAfter = retryAfter || 0; }
}
/** The answer's JSON; with `page` also where the next page of it is. */
export async function api(method, path, body, opts) {
  const o = opts || {};
  const epoch = S.epoch;
  const ctl = new AbortController();
  const timer = setTimeout(() => ctl.abort(), o.timeout || 20000);
  let res, data = null;
  try {
    res = await fetch('/api' + path, {
      method,
      credentials: 'same-origin',
      headers: body === undefined ? { Accept: 'application/json' } : { Accept: 'application/json', 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: ctl.signal,
    });
    const raw = await res.text();
    try { data = raw ? JSON.parse(raw) : null; } catch (e) { data = null; }
  } catch (e) {
    throw new ApiError(ctl.signal.aborted ? 'The server took too long to answer.' : 'The server cannot be reached.', 0);
  } finally {
    clearTimeout(timer);
  }
  if (!res.ok) {
    const fallback = { 413: 'That is too large for the server.', 429: 'Too many requests. Please wait a moment.' }[res.status] || 'Something went wrong (' + res.status + ').';
    const retryAfter = Math.max(0, Number(res.headers.get('retry-after')) || 0);
    const err = new ApiError((data && typeof data.message === 'string' && data.message) || fallback, res.status, retryAfter);
    if (res.status === 401 && !o.auth && epoch === S.epoch && S.me) sessionEnded();
    throw err;
  }
  return o.page ? { data, next: nextPage(res.headers) } : data;
}
// Where older entries are, if there are any (RFC 8288).
function nextPage(headers) {
  const next = /<\/api(\/[^>]+)>; rel="next"/.exec(headers.get('link') || '');
  return next ? next[1] : null;
}
export const enc = encodeURIComponent;
