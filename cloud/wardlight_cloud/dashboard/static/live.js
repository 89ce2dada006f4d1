// Live values: one event stream a page. Every value shows its age by the server's clock, ages tick
// here, and when the stream is lost the page says so and fades its values.
"use strict";
(() => {
  const root = document.querySelector("[data-live]");
  if (!root) return;
  const serverNow = Date.parse(document.body.dataset.now);
  const loadedAt = performance.now();
  const now = () => serverNow + (performance.now() - loadedAt);
  const banner = document.getElementById("connection");
  const PANEL = { diastolic_bp: "systolic_bp" };
  const newest = new Map(); // patient|metric -> last row, to join the two sides of a pressure

  function ageText(seconds) {
    if (seconds < 0) return "just now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min ago`;
    return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h ago`;
  }

  function tick() {
    for (const cell of document.querySelectorAll(".reading[data-time]")) {
      const age = (now() - Date.parse(cell.dataset.time)) / 1000;
      cell.querySelector(".age").textContent = ageText(age);
      cell.classList.toggle("stale", age > Number(cell.dataset.stale));
    }
  }

  function show(cell, row) {
    if (Date.parse(row.time) < Date.parse(cell.dataset.time)) return;
    const value = cell.querySelector(".value");
    let text = row.value === null ? row.absent.replaceAll("-", " ") : row.value;
    if (root.dataset.live === "all" && row.metric === "systolic_bp") {
      const other = newest.get(`${row.patient}|diastolic_bp`);
      if (other && other.time === row.time && other.value !== null) text += `/${other.value}`;
    }
    if (value.textContent !== text) value.textContent = text;
    value.classList.toggle("absent", row.value === null);
    cell.dataset.time = row.time;
  }

  function receive(event) {
    const rows = JSON.parse(event.data);
    for (const row of rows) newest.set(`${row.patient}|${row.metric}`, row);
    let unknown = false;
    for (const row of rows) {
      const cell = document.querySelector(`.reading[data-series="${row.series}"]`);
      if (cell) show(cell, row);
      else if (!(row.metric in PANEL) || root.dataset.live !== "all") unknown ||= isNew(row);
    }
    tick();
    document.dispatchEvent(new CustomEvent("wardlight:rows", { detail: rows }));
    // A series that this page has no place for: lay the page out anew, but not in a loop.
    if (unknown && !document.hidden && performance.now() > 15000) location.reload();
  }

  function isNew(row) {
    if (root.dataset.live !== "all") return true;
    const line = document.querySelector(`[data-patient="${row.patient}"]`);
    return Boolean(line && line.querySelector(".never") && !line.querySelector(`[data-metric="${row.metric}"]`))
      && ["spo2", "systolic_bp", "body_temperature", "body_weight", "heart_rate", "glucose_cgm"].includes(row.metric);
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

  const patient = root.dataset.live === "all" ? "" : `?patient=${root.dataset.live}`;
  let heard = performance.now();
  let source;
  function connect() {
    source = new EventSource(`/api/v1/live${patient}`);
    source.onopen = () => { heard = performance.now(); back(); };
    source.addEventListener("latest", (event) => { heard = performance.now(); back(); receive(event); });
    source.addEventListener("alive", () => { heard = performance.now(); back(); });
    source.onerror = () => lost();
  }
  connect();
  setInterval(() => {
    tick();
    if (lostAt !== null) lost();
    // A connection that died without a word: the server speaks at least every 10 seconds.
    if (performance.now() - heard > 25000) { source.close(); lost(); heard = performance.now(); connect(); }
  }, 1000);
  tick();
})();
