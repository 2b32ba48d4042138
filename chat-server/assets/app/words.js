/* Times and sizes in words. */

export const time = (v) => { const t = typeof v === 'number' ? v : Date.parse(v); return Number.isFinite(t) ? t : Date.now(); };
export const fmt = {
  time: new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' }),
  weekday: new Intl.DateTimeFormat(undefined, { weekday: 'long' }),
  shortDay: new Intl.DateTimeFormat(undefined, { weekday: 'short' }),
  date: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long' }),
  dateYear: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' }),
  shortDate: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }),
  full: new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' }),
};
export function dayStart(t) { const d = new Date(t); d.setHours(0, 0, 0, 0); return d.getTime(); }
export function daysAgo(t) { return Math.round((dayStart(Date.now()) - dayStart(t)) / 864e5); }
export function dayLabel(t) {
  const n = daysAgo(t);
  if (n <= 0) return 'Today';
  if (n === 1) return 'Yesterday';
  if (n < 7) return fmt.weekday.format(t);
  return new Date(t).getFullYear() === new Date().getFullYear() ? fmt.date.format(t) : fmt.dateYear.format(t);
}
export function listTime(t) {
  const n = daysAgo(t);
  if (n <= 0) return fmt.time.format(t);
  if (n === 1) return 'Yesterday';
  return n < 7 ? fmt.shortDay.format(t) : fmt.shortDate.format(t);
}
export function bytes(n) { return n < 1024 * 1024 ? Math.max(1, Math.round(n / 1024)) + ' KB' : (n / 1024 / 1024).toFixed(1) + ' MB'; }

/** How long to wait, in milliseconds, as one says it. */
export function waitWords(ms) {
  const s = Math.max(1, Math.ceil(ms / 1000));
  if (s < 90) return s === 1 ? 'a second' : s + ' seconds';
  const min = Math.ceil(s / 60);
  return min < 90 ? min + ' minutes' : Math.ceil(min / 60) + ' hours';
}
