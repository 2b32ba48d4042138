/* Logging in and signing up. */
import { api } from './api.js';
import { $, h, icon, setText, show } from './dom.js';
import { enter } from './session.js';
import { store } from './state.js';
import { waitWords } from './words.js';

export function view(name) {
  document.body.dataset.view = name;
  show($('boot'), name === 'boot');
  show($('auth'), name === 'auth');
  show($('app'), name === 'app');
}
/** Whether nobody has an account on this server yet, as it said when it gave out the page. */
const isFirst = () => document.body.dataset.firstAccount === 'true';

export function authMode(mode, focus) {
  const signup = mode === 'signup';
  const from = $(signup ? 'login-form' : 'signup-form'), to = $(signup ? 'signup-form' : 'login-form');
  show(from, false); show(to, true);
  for (const f of [from, to]) clearErrors(f);
  const mail = from.elements.email.value;
  if (mail && !to.elements.email.value) to.elements.email.value = mail;
  const first = isFirst();
  setText($('signup-title'), first ? 'Create the first account' : 'Create your account');
  setText($('signup-lead'), first ? 'Nobody has an account on this server yet. Create yours, then share the address.' : 'A name, an email, a password. That is all.');
  setText(document.querySelector('#signup-form .btn-label'), first ? 'Create account' : 'Sign up');
  $('signup-password').placeholder = 'At least ' + (document.body.dataset.passwordMin || 6) + ' characters';
  document.title = (signup ? 'Sign up' : 'Log in') + ' · chat-server';
  if (focus) (signup ? to.elements.fullName : to.elements.email).focus();
}
export function showAuth(mode, note) {
  view('auth');
  authMode(mode || (isFirst() ? 'signup' : 'login'), window.matchMedia('(hover: hover)').matches);
  const n = document.querySelector('#login-form .form-note');
  n.textContent = note || '';
  show(n, !!note);
}

function clearErrors(form) {
  formError(form, '');
  for (const i of form.querySelectorAll('input')) fieldError(i, '');
}
/** What is about no field stands above them all. */
function formError(form, text) {
  const p = form.querySelector('.form-error');
  p.textContent = text;
  show(p, !!text);
}
/** What is about a field stands below it, and belongs to it for those who cannot see that. */
function fieldError(input, text, action) {
  const p = $(input.id + '-error');
  p.replaceChildren(...(text ? [icon('alert'), h('span', {}, text, action ? ' ' : null, action)] : []));
  show(p, !!text);
  if (text) {
    input.setAttribute('aria-invalid', 'true');
    input.setAttribute('aria-describedby', p.id);
  } else {
    input.removeAttribute('aria-invalid');
    input.removeAttribute('aria-describedby');
  }
}
/** Shows all of them at once, and leads to the first. */
function showProblems(form, problems) {
  clearErrors(form);
  for (const [name, text, action] of problems) if (name) fieldError(form.elements[name], text, action); else formError(form, text);
  const first = problems.find(([name]) => name);
  if (first) form.elements[first[0]].focus();
}

// What the server has refused, at the field that it names.
function refused(form, e, signup) {
  if (e.status === 429) return [null, 'Too many attempts. Try again in ' + waitWords((e.retryAfter || 60) * 1000) + '.'];
  if (e.status !== 400 && e.status !== 401) return [null, e.status ? e.message : e.message + ' Check the connection and try again.'];
  if (!signup) {
    if (/^invalid credentials/i.test(e.message)) return ['password', 'Invalid credentials: the email or the password is not right.'];
    return [null, e.message];
  }
  if (/already exists|is taken/i.test(e.message)) {
    const instead = h('button', { type: 'button', class: 'link-btn', text: 'Log in instead', onclick: () => { authMode('login'); $('login-password').focus(); } });
    return ['email', 'There is an account with this email already.', instead];
  }
  if (/^password/i.test(e.message)) return ['password', sentence(e.message)];
  if (/e-?mail/i.test(e.message)) return ['email', 'This is not an email address: ' + form.elements.email.value.trim()];
  if (/^(full ?)?name/i.test(e.message)) return ['fullName', sentence(e.message.replace(/^(full ?)?name/i, 'The name'))];
  return [null, sentence(e.message)];
}
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, '.');

export async function submitAuth(ev, signup) {
  ev.preventDefault();
  const form = ev.currentTarget, f = form.elements;
  if (form.classList.contains('busy')) return;
  const email = f.email.value.trim(), password = f.password.value;
  const fullName = signup ? f.fullName.value.trim() : undefined;
  const note = form.querySelector('.form-note');
  if (note) show(note, false);
  const problems = [];
  if (signup && !fullName) problems.push(['fullName', 'Enter your name.']);
  if (!email) problems.push(['email', 'Enter your email address.']);
  else if (!/^[^\s@]+@[^\s@]+$/.test(email)) problems.push(['email', 'This is not an email address: ' + email]);
  if (!password) problems.push(['password', signup ? 'Choose a password.' : 'Enter your password.']);
  showProblems(form, problems);
  if (problems.length) return;
  form.classList.add('busy');
  // Nothing that waits in another tab goes out in the name of whoever logs in here.
  store.del('session');
  try {
    const user = await api('POST', signup ? '/auth/signup' : '/auth/login', signup ? { fullName, email, password } : { email, password }, { auth: true });
    for (const x of ['login-form', 'signup-form']) $(x).reset();
    for (const b of document.querySelectorAll('.reveal[aria-pressed="true"]')) b.click();
    document.body.dataset.firstAccount = 'false';
    enter(user);
  } catch (e) {
    showProblems(form, [refused(form, e, signup)]);
  } finally {
    form.classList.remove('busy');
  }
}
