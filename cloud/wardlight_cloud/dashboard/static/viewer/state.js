// What is shown: which series and image, with which window and tool, and what was drawn.

import { isTouch } from "./page.js";

export const drawings = new Map(); // sop/frame -> shapes not yet in a note

export const state = {
  series: [], // {dataset, entries: promise or undefined, place: button}
  current: null, // of series
  entries: [],
  index: 0,
  window: null, // chosen for the series; null: each image's own
  tool: isTouch ? "scroll" : "window",
  ahead: null, // what stops fetching ahead
  asked: 0, // numbers what is asked for: an answer that comes late is not shown
  release: () => {}, // takes back the memory of the panel
  noteShapes: true,
  presentations: [], // presentation states of the study
  presentation: null, // the one that is chosen; it counts for the images that it names
};

export const entry = () => state.entries[state.index];
export const drawingsHere = () => {
  const key = `${entry().sop}/${entry().frame}`;
  if (!drawings.has(key)) drawings.set(key, []);
  return drawings.get(key);
};
