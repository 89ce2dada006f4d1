// The canvas: one picture under a window, at a zoom and a place, with shapes drawn over it.
// Image coordinates are [column, row]; the first pixel reaches from 0 to 1.

import { paintCover } from "./cover.js";
import { greyTable, paintDrawn, paintGrey } from "./pixels.js";
import { drawShape } from "./shapes.js";

const ZOOMS = [0.02, 40];

export class Stage {
  #pixels = new OffscreenCanvas(1, 1);
  #painted = null; // ImageData of #pixels, used again
  #isStale = false; // the pixels are of another picture or window
  #isQueued = false;

  constructor(canvas) {
    this.canvas = canvas;
    this.picture = null;
    this.window = null;
    this.isInverted = false;
    this.shapes = [];
    this.labels = () => "";
    this.pixelHeight = 1; // of a pixel that is 1 wide
    this.view = { zoom: null, x: 0, y: 0 }; // zoom null: as large as fits; x, y: shift of the middle
    this.cross = null; // where the keyboard draws
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  resize() {
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    this.redraw();
  }

  show(picture, window, pixelHeight) {
    this.picture = picture;
    this.window = window;
    this.pixelHeight = pixelHeight;
    this.paint();
  }

  // Picture, window or inversion have changed.
  paint() {
    this.#isStale = true;
    this.redraw();
  }

  // Samples or drawn channels to pixels, once a frame of the screen; what only moves them needs none.
  #paint() {
    this.#isStale = false;
    const { image, stored, cover, drawn } = this.picture;
    const [width, height] = drawn ? [drawn.width, drawn.height] : [image.columns, image.rows];
    if (this.#painted?.width !== width || this.#painted?.height !== height) {
      this.#pixels = new OffscreenCanvas(width, height);
      this.#painted = new ImageData(width, height);
    }
    const { data } = this.#painted;
    if (stored) paintGrey(stored, greyTable(image, this.window, this.isInverted), data);
    else paintDrawn(drawn.data, this.picture.byServer ? null : this.window, this.isInverted, data);
    if (cover) paintCover(cover, data);
    this.#pixels.getContext("2d").putImageData(this.#painted, 0, 0);
  }

  redraw() {
    if (this.#isQueued) return;
    this.#isQueued = true;
    requestAnimationFrame(() => {
      this.#isQueued = false;
      this.#draw();
    });
  }

  get #size() {
    const { image } = this.picture;
    return [image.columns, image.rows * this.pixelHeight];
  }

  // Device pixels of the canvas for one column.
  get scale() {
    const ratio = devicePixelRatio || 1;
    if (this.view.zoom !== null) return this.view.zoom * ratio;
    const [width, height] = this.#size;
    return Math.min(this.canvas.width / width, this.canvas.height / height);
  }

  #origin() {
    const ratio = devicePixelRatio || 1;
    const [width, height] = this.#size;
    return [
      Math.round((this.canvas.width - width * this.scale) / 2 + this.view.x * ratio),
      Math.round((this.canvas.height - height * this.scale) / 2 + this.view.y * ratio),
    ];
  }

  // Image coordinates of a place of the canvas in CSS pixels, and back.
  toImage(x, y) {
    const ratio = devicePixelRatio || 1;
    const [left, top] = this.#origin();
    return [(x * ratio - left) / this.scale, (y * ratio - top) / (this.scale * this.pixelHeight)];
  }

  toScreen([column, row]) {
    const ratio = devicePixelRatio || 1;
    const [left, top] = this.#origin();
    return [(left + column * this.scale) / ratio, (top + row * this.scale * this.pixelHeight) / ratio];
  }

  zoomBy(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    if (!this.picture) return;
    const place = this.toImage(x, y);
    const zoom = this.scale / (devicePixelRatio || 1) * factor;
    this.view.zoom = Math.min(ZOOMS[1], Math.max(ZOOMS[0], zoom));
    const [newX, newY] = this.toScreen(place);
    this.panBy(x - newX, y - newY);
  }

  panBy(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.redraw();
  }

  fit() {
    this.view = { zoom: null, x: 0, y: 0 };
    this.redraw();
  }

  // One pixel of the image on one of the screen.
  pixelForPixel() {
    this.view = { zoom: 1 / (devicePixelRatio || 1), x: 0, y: 0 };
    this.redraw();
  }

  #draw() {
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.picture) return;
    if (this.#isStale) this.#paint();
    const [left, top] = this.#origin();
    const [width, height] = this.#size;
    context.imageSmoothingEnabled = this.scale < 6; // so near that pixels are to be seen
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#pixels, left, top, width * this.scale, height * this.scale);
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const shape of this.shapes) {
      drawShape(context, shape.kind, shape.points.map((point) => this.toScreen(point)), this.labels(shape));
    }
    if (this.cross) drawShape(context, "cross", [this.toScreen(this.cross)], "");
  }
}
