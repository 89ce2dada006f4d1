// Moments in this computer's time zone, with the zone said once on the page. Without scripts the
// page shows UTC.
"use strict";
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const day = { day: "numeric", month: "short", year: "numeric" };
  const today = () => new Date(Date.now()).toDateString();

  // "09:22:21" of today, else with its date.
  function text(iso) {
    const moment = new Date(iso);
    const form = moment.toDateString() === today() ? clock : { ...day, ...clock };
    return moment.toLocaleString(undefined, form);
  }

  function show(element, iso) {
    if (iso !== undefined) element.dateTime = iso;
    // Of a study only the day is known for sure: its zone is not in it.
    element.textContent = "day" in element.dataset
      ? new Date(element.dateTime).toLocaleDateString(undefined, { ...day, timeZone: "UTC" })
      : text(element.dateTime);
    element.title = element.dateTime;
  }

  globalThis.wardlightMoments = { show };
  for (const element of document.querySelectorAll("time")) show(element);
  const said = document.getElementById("zone");
  if (said) said.textContent = `Times are in the time zone ${zone.replaceAll("_", " ")}, where nothing else is said.`;
})();
