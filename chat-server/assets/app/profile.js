/* The own profile. */
import { api } from './api.js';
import { $, nameOf, putAvatar, setText, show } from './dom.js';
import { imageProblem, squarePicture } from './pictures.js';
import { S } from './state.js';
import { toast } from './toasts.js';
import { fmt, time } from './words.js';

export function renderMe() {
  putAvatar($('me-avatar'), S.me, '', false);
  setText($('me-name'), nameOf(S.me));
  $('me-open').setAttribute('aria-label', 'Your profile: ' + nameOf(S.me));
  putAvatar($('profile-avatar'), S.me, 'av-xl', false);
  setText($('profile-name'), nameOf(S.me));
  setText($('profile-email'), S.me.email || '');
  setText($('profile-since'), S.me.createdAt ? fmt.dateYear.format(time(S.me.createdAt)) : '–');
}
export async function changePicture(file) {
  const err = $('profile-error');
  const say = (t) => { err.textContent = t; show(err, !!t); };
  say('');
  const problem = imageProblem(file);
  if (problem) return say(problem.replace('sent', 'used'));
  const epoch = S.epoch;
  $('profile').classList.add('busy');
  try {
    const user = await api('PUT', '/auth/update-profile', { profilePic: await squarePicture(file) }, { timeout: 60000 });
    if (epoch !== S.epoch) return;
    S.me = Object.assign(S.me, user);
    renderMe();
    $('profile').close();
    toast('Profile picture updated', { icon: 'check' });
  } catch (e) {
    if (epoch === S.epoch) say(e.message);
  } finally {
    $('profile').classList.remove('busy');
  }
}
