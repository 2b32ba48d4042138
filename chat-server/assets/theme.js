/* The theme. Not a module: it runs before anything is painted, so that the first paint is right. */
(function () {
  'use strict';

  const store = {
    get(k) { try { return localStorage.getItem('cs:' + k); } catch (e) { return null; } },
    set(k, v) { try { localStorage.setItem('cs:' + k, v); } catch (e) { /* private mode */ } },
    del(k) { try { localStorage.removeItem('cs:' + k); } catch (e) { /* private mode */ } },
  };
  const prefersDark = window.matchMedia('(prefers-color-scheme: dark)');

  function applyTheme() {
    const chosen = store.get('theme');
    const theme = chosen === 'dark' || chosen === 'light' ? chosen : prefersDark.matches ? 'dark' : 'light';
    document.documentElement.dataset.theme = theme;
    const meta = document.querySelector('meta[name="theme-color"]');
    if (meta) meta.content = theme === 'dark' ? '#151210' : '#f4efea';
    for (const b of document.querySelectorAll('.theme-toggle')) {
      const label = theme === 'dark' ? 'Switch to light theme' : 'Switch to dark theme';
      b.setAttribute('aria-label', label);
      b.title = label;
    }
  }
  function toggleTheme() {
    const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    if (next === (prefersDark.matches ? 'dark' : 'light')) store.del('theme'); // back to following the system
    else store.set('theme', next);
    applyTheme();
  }
  applyTheme();
  prefersDark.addEventListener('change', applyTheme);
  window.addEventListener('storage', (e) => { if (e.key === 'cs:theme') applyTheme(); });
  document.addEventListener('DOMContentLoaded', () => {
    applyTheme();
    for (const b of document.querySelectorAll('.theme-toggle')) b.addEventListener('click', toggleTheme);
  });
})();
