// One image, or the panel in its place: on the screen with what is written around it.

import { showCorners } from "./corners.js";
import { lossyText } from "./dicom.js";
import { jumpTo } from "./loading.js";
import { edgeLetters } from "./orientation.js";
import { at, fail, root, say } from "./page.js";
import { panelOf } from "./panels.js";
import { cine, pictures, stage, web } from "./parts.js";
import { windowShown } from "./pixels.js";
import { presented, stateName, statesOf, stateText, stateWindow } from "./presentations.js";
import { pixelHeight } from "./spacing.js";
import { entry, state } from "./state.js";
import { layShapes, listWindows } from "./tools.js";

const PANEL_MARGINS = 36; // pixels

export async function show(index) {
  const asked = ++state.asked;
  state.index = index;
  const now = entry();
  const isImage = now.kind === "image";
  at(".slider").value = String(index + 1);
  at(".slider").setAttribute("aria-valuetext", `${index + 1} of ${state.entries.length}`);
  root.classList.toggle("without-image", !isImage);
  at(".image").hidden = !isImage;
  at(".panel").hidden = isImage;
  remember(now);
  if (isImage) listWindows();
  try {
    await (isImage ? showImage(now, asked) : showPanel(now, asked));
  } catch (error) {
    if (asked === state.asked) { if (isImage) blankStage(); fail(error); }
  } finally {
    if (asked === state.asked) root.classList.remove("loading");
  }
}

function remember(now) {
  const place = `#image=${now.sop}${now.frames > 1 ? `&frame=${now.frame}` : ""}`;
  if (!cine.isPlaying) history.replaceState(null, "", place);
}

// Nothing of the image before: neither its pixels nor its texts may pass for those of this one.
function blankStage() {
  stage.picture = stage.window = null;
  stage.shapes = [];
  stage.redraw();
  labelEdges(entry());
  corners();
}

async function showImage(now, asked) {
  if (!pictures.has(now) && !cine.isPlaying) {
    say("Loading the image …");
    root.classList.add("loading"); // what is still to be seen fades: it is another one
  }
  const found = await pictures.get(now, state.window);
  const wanted = found.stored && presentationOf(now);
  const picture = wanted ? await presented(found, wanted, now, (data) => web.bulk(data)) : found;
  if (asked !== state.asked) return;
  listStates(now, found);
  stage.pixelHeight = pixelHeight(now.dataset);
  layShapes();
  stage.show(picture, windowNow(now, picture), stage.pixelHeight);
  labelEdges(now);
  corners();
  say("");
  root.dataset.shown = `${now.sop}/${now.frame}`;
  stage.canvas.setAttribute("aria-label", `Image ${state.index + 1} of ${state.entries.length}. ${lossyText(now.dataset)}`);
}

// The chosen presentation state, where it is about this image.
export const presentationOf = (now) => statesOf(state.presentations, now).find((one) => one === state.presentation) ?? null;

// The window that is chosen, the presentation state's, or the image's own.
export function windowNow(now, picture) {
  const wanted = picture.stored && !state.window && presentationOf(now);
  return (wanted && stateWindow(wanted, now, picture.image)) || windowShown(now.dataset, picture, state.window);
}

// The presentation states to choose from are those about the image that is shown.
function listStates(now, picture) {
  const select = at(".presentations");
  const found = picture.stored ? statesOf(state.presentations, now) : [];
  select.hidden = !found.length;
  const places = found.map((one) => state.presentations.indexOf(one));
  if (select.dataset.listed !== places.join()) {
    select.dataset.listed = places.join();
    const options = found.map((one, i) => new Option(stateName(one), String(places[i])));
    select.replaceChildren(new Option("No presentation state", "-1"), ...options);
  }
  select.value = String(state.presentations.indexOf(presentationOf(now)));
}

export function choosePresentation(place) {
  state.presentation = state.presentations[Number(place)] ?? null;
  if (state.entries.length) show(state.index);
}

function labelEdges(now) {
  const letters = edgeLetters(now.dataset);
  for (const [edge, words] of Object.entries(letters)) at(`.edge.${edge}`).textContent = words;
}

export function corners(probe = null) {
  if (entry().kind !== "image") return;
  showCorners({
    topLeft: at(".top-left"), topRight: at(".top-right"),
    bottomLeft: at(".bottom-left"), bottomRight: at(".bottom-right"),
  }, entry(), {
    index: state.index, total: state.entries.length, window: stage.window, picture: stage.picture,
    isInverted: stage.isInverted, probe,
    presentation: stateText(statesOf(state.presentations, entry()), stage.picture?.stored ? presentationOf(entry()) : null),
    scale: stage.picture ? stage.scale / (devicePixelRatio || 1) : null,
  });
}

async function showPanel(now, asked) {
  const panel = at(".panel");
  state.release();
  state.release = () => {};
  delete root.dataset.shown;
  panel.replaceChildren();
  say("Loading …");
  const { content, release } = await panelOf(now, web, panel.clientWidth - PANEL_MARGINS, jumpTo);
  if (asked !== state.asked) { release(); return; }
  state.release = release;
  panel.replaceChildren(content);
  root.dataset.shown = `${now.sop}/1`;
  say("");
}

export async function move(steps, { isEndless = false } = {}) {
  const total = state.entries.length;
  const next = isEndless ? (state.index + steps + total) % total
    : Math.min(total - 1, Math.max(0, state.index + steps));
  if (next !== state.index) await show(next);
}
