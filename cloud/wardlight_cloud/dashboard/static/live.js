// Live values: one event stream a page. Every value shows its age by the server's clock, ages tick
// here, and when the stream is lost the page says so and fades its values.
"use strict";
(() => {
  const root = document.querySelector("[data-live]");
  if (!root) return;
  const serverNow = Date.parse(document.body.dataset.now);
  const loadedAt = performance.now(), loadedDate = Date.now();
  // The larger of the two: the one clock stands still while a laptop sleeps, the other may be set.
  const elapsed = () => Math.max(performance.now() - loadedAt, Date.now() - loadedDate);
  const now = () => serverNow + elapsed();
  const banner = document.getElementById("connection");
  const isList = root.dataset.live === "all";
  const RULES = JSON.parse(root.dataset.rules); // how views.py words flags and units
  const newest = new Map(); // patient|metric -> last row, to join the two sides of a pressure

  function ageText(seconds) {
    if (seconds < 0) return "just now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min ago`;
    const days = Math.floor(seconds / 86400);
    return days < 7 ? `${days} d ${Math.floor((seconds % 86400) / 3600)} h ago` : `${days} days ago`;
  }

  function tick() {
    for (const cell of document.querySelectorAll(".reading[data-time]")) {
      const age = (now() - Date.parse(cell.dataset.time)) / 1000;
      const isStale = age > Number(cell.dataset.stale);
      // In words, too: colour alone tells nothing to many.
      cell.querySelector(".age").textContent = isStale ? `not current: ${ageText(age)}` : ageText(age);
      cell.classList.toggle("stale", isStale);
    }
  }

  function marks(row) {
    const flags = BigInt(row.flags); // more than the 32 bits that & would look at
    const found = RULES.marks.filter(([mask]) => (flags & BigInt(mask)) !== 0n).map(([, text]) => text);
    if (row.error_ms < 0 || row.error_ms > RULES.rough_time_ms) found.push(RULES.uncertain);
    return [...new Set(found)].join(", ");
  }

  function show(cell, row) {
    if (Date.parse(row.time) < Date.parse(cell.dataset.time)) return;
    const value = cell.querySelector(".value");
    let text = row.value === null ? row.absent.replaceAll("-", " ") : row.value;
    if (isList && row.metric === "systolic_bp") {
      const other = newest.get(`${row.patient}|diastolic_bp`);
      if (other && other.time === row.time && other.value !== null) text += `/${other.value}`;
    }
    if (value.textContent !== text) value.textContent = text;
    value.classList.toggle("absent", row.value === null);
    cell.querySelector(".unit").textContent = row.value === null ? "" : RULES.units[row.unit] ?? row.unit;
    cell.querySelector(".marks").textContent = marks(row);
    cell.dataset.time = row.time;
    // A cell of the list may now hold another metric, with another rhythm.
    cell.dataset.stale = RULES.stale_after_s[row.metric] ?? RULES.else_stale_after_s;
    const when = cell.querySelector("time");
    if (when) wardlightMoments.show(when, row.time);
  }

  // The list has one cell for several metrics, the patient's page one for each series.
  function place(row) {
    if (!isList) return document.querySelector(`.reading[data-series="${row.series}"]`);
    const line = document.querySelector(`[data-patient="${row.patient}"]`);
    return line && line.querySelector(`[data-metrics~="${row.metric}"]`);
  }

  // A list that was cut short has no line for some patients; one that is whole lacks only new ones.
  function isOfNewPatient(row) {
    return "whole" in root.dataset && !document.querySelector(`[data-patient="${row.patient}"]`);
  }

  function receive(event) {
    const rows = JSON.parse(event.data);
    for (const row of rows) newest.set(`${row.patient}|${row.metric}`, row);
    for (const row of rows) {
      const cell = place(row);
      if (cell && cell.matches(".reading")) show(cell, row);
      else isIncomplete ||= Boolean(cell) || !isList || isOfNewPatient(row);
    }
    tick();
    document.dispatchEvent(new CustomEvent("wardlight:rows", { detail: rows }));
  }

  // A value came that this page has no place for: lay the page out anew, but not in a loop.
  let isIncomplete = false;
  function renewed() {
    if (isIncomplete && lostAt === null && !document.hidden && elapsed() > 15000) location.reload();
  }

  let lostAt = null;
  function lost() {
    lostAt ??= now();
    banner.hidden = false;
    banner.textContent = `The live connection was lost ${ageText((now() - lostAt) / 1000)}. Values on this page may be old; trying to connect again.`;
    document.body.classList.add("offline");
  }
  function back() {
    lostAt = null;
    banner.hidden = true;
    document.body.classList.remove("offline");
  }

  // A session that has ended shows no patient any longer. The page is asked, for an event stream
  // does not tell why it was refused.
  async function leaveWhenSignedOut() {
    const answer = await fetch(location.pathname, { method: "HEAD", redirect: "manual", cache: "no-store" })
      .catch(() => null); // no answer at all: the banner says so
    if (answer && answer.type === "opaqueredirect") {
      location.replace(`/login?ended=1&next=${encodeURIComponent(location.pathname)}`);
    }
  }

  const patient = isList ? "" : `?patient=${root.dataset.live}`;
  let heard = elapsed();
  let source;
  function hear() { heard = elapsed(); back(); }
  function connect() {
    source?.close();
    heard = elapsed();
    source = new EventSource(`/api/v1/live${patient}`);
    source.onopen = hear;
    source.addEventListener("latest", (event) => { hear(); receive(event); });
    source.addEventListener("alive", hear);
    source.onerror = () => lost();
  }
  connect();
  setInterval(() => {
    tick();
    renewed();
    if (lostAt !== null) lost();
    // A browser gives up after an answer such as 503. And a connection may die without a word: the
    // server speaks at least every 10 seconds.
    const isClosed = source.readyState === EventSource.CLOSED;
    if (elapsed() - heard > (isClosed ? 3000 : 25000)) { lost(); connect(); leaveWhenSignedOut(); }
  }, 1000);
  tick();
})();
