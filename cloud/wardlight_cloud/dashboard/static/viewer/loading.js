// Series: their entries, opening one, and fetching what lies ahead.

import { rateOf } from "./cine.js";
import { text } from "./dicom.js";
import { at, fail, say } from "./page.js";
import { cine, pictures, stage, web } from "./parts.js";
import { show } from "./showing.js";
import { entriesOf } from "./stack.js";
import { entry, state } from "./state.js";

export function loading(which, part) {
  const now = entry();
  if (which.sop === now?.sop && which.frame === now.frame && !pictures.has(now)) {
    say(`Loading the image … ${10 * Math.floor(10 * part)} %`);
  }
}

function loadSeries(series) {
  series.entries ??= web.metadata(text(series.dataset, "SeriesInstanceUID")).then(entriesOf)
    .catch((error) => { series.entries = undefined; throw error; });
  return series.entries;
}

export async function openSeries(series, sop = null, frame = 1) {
  cine.stop();
  state.ahead?.abort();
  const asked = ++state.asked;
  for (const other of state.series) other.place.setAttribute("aria-pressed", String(other === series));
  series.place.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (state.current !== series) say("Loading the series …");
  try {
    const entries = await loadSeries(series);
    if (asked !== state.asked) return;
    const isOther = state.current !== series;
    Object.assign(state, { current: series, entries });
    if (isOther) Object.assign(state, { window: null });
    if (isOther) stage.fit();
    const found = entries.findIndex((one) => one.sop === sop && one.frame === frame);
    if (!entries.length) { say("This series holds nothing that this page knows.", true); return; }
    prepare();
    await show(Math.max(0, found));
    fetchAhead();
  } catch (error) {
    if (asked === state.asked) fail(error);
  }
}

// What belongs to the series and not to one image: slider, cine.
function prepare() {
  const slider = at(".slider");
  slider.max = String(state.entries.length);
  slider.hidden = state.entries.length < 2;
  at(".cine").hidden = state.entries.length < 2 || state.entries[0].kind !== "image";
  const { fps, source } = rateOf(state.entries[0].dataset);
  cine.fps = fps;
  at(".fps").value = String(Number(fps.toFixed(1)));
  at(".fps").title = source ? `As the object says (${source})` : "The object does not say how fast";
}

function fetchAhead() {
  if (navigator.connection?.saveData || entry().kind !== "image") return;
  state.ahead = new AbortController();
  const { signal } = state.ahead;
  const total = state.entries.length;
  const bar = at(".progress");
  bar.hidden = total < 2;
  bar.max = total;
  bar.value = 0;
  pictures.ahead(state.entries, state.index, signal, (done) => { bar.value = done; })
    .finally(() => { if (!signal.aborted) bar.hidden = true; });
}

export function stepSeries(by) {
  const next = state.series[state.series.indexOf(state.current) + by];
  if (next) openSeries(next);
}

export async function jumpTo(sop, frame = 1) {
  for (const series of state.series) {
    const entries = await loadSeries(series).catch(() => []);
    if (entries.some((one) => one.sop === sop)) return openSeries(series, sop, frame);
  }
  return say("That image is not in this study.", true);
}
