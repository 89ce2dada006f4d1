// What gestures and arrow keys mean on the image.

import { byKey, cine, stage } from "./parts.js";
import { isDrawing } from "./shapes.js";
import { corners, move } from "./showing.js";
import { drawingsHere, entry, state } from "./state.js";
import { dragWindow, layShapes, tellLength } from "./tools.js";

let begun = null; // the shape that is being drawn

export const meaning = {
  tool: () => state.tool,
  begin: (tool, x, y) => {
    begun = isDrawing(tool) && stage.picture ? { kind: tool, points: [stage.toImage(x, y), stage.toImage(x, y)] } : null;
    if (begun) stage.shapes = [...stage.shapes, begun];
  },
  drag: (tool, dx, dy, x, y, pointer) => {
    if (begun) { begun.points[1] = stage.toImage(x, y); stage.redraw(); tellLength(begun); }
    else if (tool === "window") dragWindow(dx, dy);
    else if (tool === "pan") stage.panBy(dx, dy);
    else if (tool === "zoom") { stage.zoomBy(Math.exp(-dy / 150), pointer.startX, pointer.startY); corners(); }
    else if (tool === "scroll") dragScroll(dy);
  },
  end: (hasMoved) => {
    if (begun && hasMoved) drawingsHere().push(begun);
    begun = null;
    if (state.entries.length && entry().kind === "image") layShapes();
  },
  scroll: (steps) => { cine.stop(); move(steps); },
  zoom: (factor, x, y) => { stage.zoomBy(factor, x, y); corners(); },
  pan: (dx, dy) => stage.panBy(dx, dy),
  hover: (place) => { if (stage.picture) corners(place ? probe(place) : null); },
};

let rest = 0;
function dragScroll(dy) {
  const perImage = Math.max(6, stage.canvas.clientHeight / Math.max(20, state.entries.length));
  rest += dy;
  const steps = Math.trunc(rest / perImage);
  rest -= steps * perImage;
  if (steps) move(steps);
}

// "x 12, y 40: -984 HU" of the pixel under the pointer.
export function probe([x, y]) {
  const picture = stage.picture;
  if (!picture?.stored) return null;
  const { image, stored } = picture;
  const [column, row] = stage.toImage(x, y).map(Math.floor);
  if (column < 0 || row < 0 || column >= image.columns || row >= image.rows) return null;
  const modality = stored[row * image.columns + column] * image.slope + image.intercept;
  return `x ${column}, y ${row}: ${Number(modality.toFixed(3))}${image.unit ? ` ${image.unit}` : ""}`;
}

export function arrow(shift, event) {
  if (!state.entries.length || entry().kind !== "image") return false;
  if (isDrawing(state.tool) && byKey.take(shift, event)) return true;
  if (shift && event.shiftKey) { dragWindow(12 * shift[0], 12 * shift[1]); return true; }
  if (shift && event.ctrlKey) { stage.panBy(-24 * shift[0], -24 * shift[1]); return true; }
  return false;
}
