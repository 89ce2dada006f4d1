// What the reader does with the image: window, tools, shapes, and the acts of buttons and keys.

import { stepSeries } from "./loading.js";
import { at, root, say } from "./page.js";
import { byKey, cine, notes, stage } from "./parts.js";
import { presetOf, presets, wholeRange } from "./pixels.js";
import { corners, move, show, windowNow } from "./showing.js";
import { drawingsHere, entry, state } from "./state.js";

let reframe = 0;

export function setWindow(window) {
  state.window = window;
  listWindows();
  const picture = stage.picture;
  if (!picture) return;
  stage.window = windowNow(entry(), picture);
  if (!picture.byServer) { stage.paint(); corners(); return; }
  corners();
  clearTimeout(reframe);
  reframe = setTimeout(() => show(state.index), 180); // the server draws it anew
}

export function dragWindow(dx, dy) {
  const picture = stage.picture;
  if (!picture) return;
  const image = picture.image;
  const full = { center: 128, width: 256, shape: "LINEAR" };
  const isTable = stage.window?.shape === "TABLE";
  const start = isTable ? wholeRange(image, picture.stored) : stage.window ?? (picture.byServer
    ? { center: image.intercept + image.slope * 2 ** (image.bitsStored - 1), width: Math.abs(image.slope) * 2 ** image.bitsStored, shape: "LINEAR" }
    : full);
  // As far as the window is wide: a step feels the same on 8 and on 16 bits.
  const step = Math.max(0.1, start.width / 300);
  setWindow({ ...start, width: Math.max(1, start.width + dx * step), center: start.center + dy * step });
}

// The windows to choose from are those of the image that is shown: each may bring its own.
export function listWindows() {
  if (!state.entries.length) return;
  const select = at(".presets");
  const found = presets(entry().dataset);
  const names = found.map(({ name, width, center }, i) =>
    `${i + 1} ${name} (${Number(width.toFixed(1))} / ${Number(center.toFixed(1))})`);
  if (select.dataset.listed !== names.join("\n")) {
    select.dataset.listed = names.join("\n");
    const byHand = new Option("Set by hand", "hand");
    byHand.hidden = true; // it is not chosen but comes of dragging
    const options = names.map((name, i) => new Option(name, String(i)));
    select.replaceChildren(new Option("Own window", "own"), new Option("Whole range", "range"), byHand, ...options);
  }
  select.value = presetOf(found, state.window);
}

export function choosePreset(which) {
  if (which === "own") setWindow(null);
  else if (which === "range") {
    const picture = stage.picture;
    setWindow(picture?.stored ? wholeRange(picture.image, picture.stored) : null);
    if (state.window) at(".presets").value = "range";
  } else {
    const found = presets(entry().dataset)[Number(which)];
    if (found) setWindow(found);
  }
}

export function choose(tool) {
  state.tool = tool;
  for (const button of root.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  }
  byKey.leave();
}

export function layShapes() {
  const now = entry();
  const shown = state.noteShapes ? notes.shapesOn(now.sop, now.frame) : [];
  stage.shapes = [...shown, ...drawingsHere()];
  stage.redraw();
}

export function addShape(shape) {
  drawingsHere().push(shape);
  layShapes();
  tellLength(shape);
}

export function tellLength(shape) {
  if (shape.kind === "length") say(`Length: ${stage.labels(shape)}`);
}

function reset() {
  cine.stop();
  stage.isInverted = false;
  stage.fit();
  setWindow(null);
  at("[data-act=invert]").setAttribute("aria-pressed", "false");
}

export const acts = {
  next: () => move(1), previous: () => move(-1), forward: () => move(10), backward: () => move(-10),
  first: () => show(0), last: () => show(state.entries.length - 1),
  nextSeries: () => stepSeries(1), previousSeries: () => stepSeries(-1),
  play: () => {
    if (at(".cine").hidden) return;
    if (cine.isPlaying) cine.stop(); else cine.play();
    at("[data-act=play]").textContent = cine.isPlaying ? "Stop" : "Play";
  },
  larger: () => { stage.zoomBy(1.25); corners(); },
  smaller: () => { stage.zoomBy(0.8); corners(); },
  fit: () => { stage.fit(); corners(); },
  pixel: () => { stage.pixelForPixel(); corners(); },
  invert: () => {
    stage.isInverted = !stage.isInverted;
    at("[data-act=invert]").setAttribute("aria-pressed", String(stage.isInverted));
    stage.paint();
    corners();
  },
  reset, preset: (key) => choosePreset(String(Number(key) - 1)),
  undo: () => { if (state.entries.length) { drawingsHere().pop(); layShapes(); say(""); } },
  note: () => at(".notes textarea").focus(),
  help: () => at("dialog").showModal(),
};

export function act(name, key) {
  if (!state.entries.length && name !== "help") return;
  if (["window", "scroll", "pan", "zoom", "length", "arrow", "ellipse"].includes(name)) choose(name);
  else acts[name]?.(key);
}
