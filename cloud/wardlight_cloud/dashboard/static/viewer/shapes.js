// What a reader draws over an image: lines that measure, arrows, ellipses.

const INK = "#ffe45c";
const HEAD_PX = 11;

function path(context, kind, [from, to]) {
  if (kind === "ellipse") {
    const [x, y] = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
    context.ellipse(x, y, Math.abs(to[0] - from[0]) / 2, Math.abs(to[1] - from[1]) / 2, 0, 0, 2 * Math.PI);
    return;
  }
  if (kind === "cross") {
    for (const [dx, dy] of [[12, 0], [0, 12]]) {
      context.moveTo(from[0] - dx, from[1] - dy);
      context.lineTo(from[0] + dx, from[1] + dy);
    }
    return;
  }
  context.moveTo(...from);
  context.lineTo(...to);
  const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
  if (kind === "arrow") {
    for (const side of [-0.5, 0.5]) {
      context.moveTo(...to);
      context.lineTo(to[0] - HEAD_PX * Math.cos(angle + side), to[1] - HEAD_PX * Math.sin(angle + side));
    }
  } else {
    for (const [x, y] of [from, to]) {
      context.moveTo(x + 6 * Math.sin(angle), y - 6 * Math.cos(angle));
      context.lineTo(x - 6 * Math.sin(angle), y + 6 * Math.cos(angle));
    }
  }
}

// Points are CSS pixels of the canvas.
export function drawShape(context, kind, points, label) {
  for (const [width, ink] of [[4, "rgba(0, 0, 0, .65)"], [1.8, INK]]) {
    context.beginPath();
    context.lineWidth = width;
    context.strokeStyle = ink;
    path(context, kind, points);
    context.stroke();
  }
  if (!label) return;
  const [x, y] = points[points.length - 1];
  context.font = "600 14px system-ui, sans-serif";
  const width = context.measureText(label).width;
  const left = Math.max(4, Math.min(x + 12, context.canvas.clientWidth - width - 8));
  context.fillStyle = "rgba(0, 0, 0, .7)";
  context.fillRect(left - 4, y + 4, width + 8, 20);
  context.fillStyle = INK;
  context.fillText(label, left, y + 19);
}

export const isDrawing = (tool) => tool === "length" || tool === "arrow" || tool === "ellipse";
