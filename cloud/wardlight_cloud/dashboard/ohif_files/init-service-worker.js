// No service worker: what was installed before goes, so that no page is kept outside of a session.
navigator.serviceWorker?.getRegistrations().then((found) => {
  for (const registration of found) registration.unregister();
});
