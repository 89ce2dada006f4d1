// Notes: going to the image of one, writing one.

import { jumpTo } from "./loading.js";
import { at, say } from "./page.js";
import { notes, stage } from "./parts.js";
import { drawings, drawingsHere, entry, state } from "./state.js";
import { acts, layShapes, setWindow } from "./tools.js";

export async function jumpToNote(note) {
  await jumpTo(note.sop, note.frame);
  const { window, inverted } = note.drawing;
  if (window) setWindow(window);
  if (Boolean(inverted) !== stage.isInverted) acts.invert();
}

// Another note in the place of one that is wrong: its words to begin with, on its image.
export async function correctNote(note) {
  await jumpToNote(note);
  notes.replaces = note.id;
  at(".notes textarea").value = note.text;
  at(".notes textarea").focus();
  at(".correcting").hidden = false;
}

export function endCorrecting() {
  notes.replaces = null;
  at(".correcting").hidden = true;
}

export async function writeNote(event) {
  event.preventDefault();
  if (!state.entries.length) return;
  const now = entry();
  const words = at(".notes textarea");
  const shapes = now.kind === "image" ? drawingsHere() : [];
  const drawing = now.kind === "image" ? { shapes, inverted: stage.isInverted } : {};
  if (stage.window?.width && now.kind === "image") drawing.window = { center: stage.window.center, width: stage.window.width, shape: stage.window.shape };
  at(".notes form button").disabled = true;
  const isWritten = await notes.write(now.sop, now.frame, words.value.trim(), drawing);
  at(".notes form button").disabled = false;
  if (!isWritten) return;
  words.value = "";
  endCorrecting();
  drawings.delete(`${now.sop}/${now.frame}`);
  if (now.kind === "image") layShapes();
  say("The note is stored.");
}
