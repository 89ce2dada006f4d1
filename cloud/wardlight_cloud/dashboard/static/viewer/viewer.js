// The viewer's page put together.

import { number, text } from "./dicom.js";
import { Gestures } from "./gestures.js";
import { listen, showHelp } from "./keys.js";
import { jumpTo, openSeries } from "./loading.js";
import { arrow, meaning } from "./meaning.js";
import { endCorrecting, writeNote } from "./noting.js";
import { at, fail, root, say } from "./page.js";
import { cine, notes, stage, web } from "./parts.js";
import { loadStates } from "./presentations.js";
import { choosePresentation, show } from "./showing.js";
import { lengthText } from "./spacing.js";
import { entry, state } from "./state.js";
import { stripLine } from "./strip.js";
import { act, choose, choosePreset, layShapes } from "./tools.js";

stage.labels = (shape) => shape.kind === "length" ? lengthText(entry().dataset, ...shape.points) : "";

function listenToPage() {
  for (const button of root.querySelectorAll("[data-tool]")) button.addEventListener("click", () => choose(button.dataset.tool));
  for (const button of root.querySelectorAll("[data-act]")) button.addEventListener("click", () => act(button.dataset.act));
  at(".presets").addEventListener("change", (event) => choosePreset(event.target.value));
  at(".presentations").addEventListener("change", (event) => choosePresentation(event.target.value));
  at(".slider").addEventListener("input", (event) => { cine.stop(); show(Number(event.target.value) - 1); });
  at(".fps").addEventListener("change", (event) => { cine.fps = Math.min(60, Math.max(0.5, Number(event.target.value) || 15)); });
  at(".notes form").addEventListener("submit", writeNote);
  at(".correcting button").addEventListener("click", () => { endCorrecting(); at(".notes textarea").value = ""; });
  at(".note-shapes").addEventListener("change", (event) => { state.noteShapes = event.target.checked; if (entry()?.kind === "image") layShapes(); });
  showHelp(at("dialog tbody"));
  new Gestures(stage.canvas, meaning);
  listen(act, arrow);
  addEventListener("hashchange", goToAddress);
}

async function goToAddress() {
  const place = new URLSearchParams(location.hash.slice(1));
  if (!place.get("image")) return false;
  await jumpTo(place.get("image"), Number(place.get("frame")) || 1);
  return true;
}

async function start() {
  choose(state.tool);
  listenToPage();
  say("Loading the study …");
  const datasets = await web.series();
  state.series = datasets.sort((one, other) => (number(one, "SeriesNumber") ?? Infinity) - (number(other, "SeriesNumber") ?? Infinity) || 0)
    .map((dataset) => ({ dataset }));
  if (!state.series.length) { say("This study holds no series.", true); return; }
  at(".strip ul").replaceChildren(...state.series.map((series) => {
    const thumbnail = web.thumbnail(text(series.dataset, "SeriesInstanceUID"));
    const { line, button } = stripLine(series.dataset, thumbnail, () => openSeries(series));
    series.place = button;
    return line;
  }));
  const noted = notes.load();
  const told = loadStates(state.series, (uid) => web.metadata(uid), fail).then((found) => { state.presentations = found; });
  if (!await goToAddress()) await openSeries(state.series[0]);
  await told;
  if (state.presentations.length && entry()?.kind === "image") await show(state.index);
  await noted;
  if (entry()?.kind === "image") layShapes();
}

start().catch(fail);
