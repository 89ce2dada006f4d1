// Mouse, pen, touch and wheel of the canvas as what they mean.
//
// first button or finger  the chosen tool     wheel          scroll; with Ctrl zoom
// middle button           pan                 second button  zoom
// two fingers             zoom and pan

const WHEEL_STEP = 40; // what one notch gives at least, in CSS pixels
const NO_MOVE_PX = 3;

export class Gestures {
  #pointers = new Map();
  #pinch = null;
  #wheel = 0;

  // ``meaning``: {tool(), begin(x, y), drag(tool, dx, dy, x, y), end(hasMoved), scroll(steps),
  // zoom(factor, x, y), pan(dx, dy), hover(x, y)}
  constructor(canvas, meaning) {
    this.canvas = canvas;
    this.meaning = meaning;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.#up(event));
    }
    canvas.addEventListener("pointerleave", () => meaning.hover(null));
    canvas.addEventListener("wheel", (event) => this.#turned(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    const [x, y] = this.#place(event);
    const tool = event.button === 1 ? "pan" : event.button === 2 ? "zoom" : this.meaning.tool();
    this.#pointers.set(event.pointerId, { x, y, tool, moved: 0, startX: x, startY: y });
    if (this.#pointers.size === 2) {
      this.#pinch = this.#spread();
      this.meaning.end(false); // what the first finger began was no drawing
    } else if (this.#pointers.size === 1) {
      this.meaning.begin(tool, x, y);
    }
    event.preventDefault();
  }

  #move(event) {
    const [x, y] = this.#place(event);
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer) return this.meaning.hover([x, y]);
    const [dx, dy] = [x - pointer.x, y - pointer.y];
    pointer.moved += Math.abs(dx) + Math.abs(dy);
    Object.assign(pointer, { x, y });
    if (this.#pinch) this.#pinched();
    else if (this.#pointers.size === 1) this.meaning.drag(pointer.tool, dx, dy, x, y, pointer);
    return this.meaning.hover([x, y]);
  }

  #up(event) {
    const pointer = this.#pointers.get(event.pointerId);
    this.#pointers.delete(event.pointerId);
    if (this.#pinch) this.#pinch = this.#pointers.size ? this.#pinch : null;
    else if (pointer) this.meaning.end(event.type === "pointerup" && pointer.moved > NO_MOVE_PX);
    if (!this.#pointers.size) this.#pinch = null;
  }

  #spread() {
    const [one, other] = [...this.#pointers.values()];
    return {
      x: (one.x + other.x) / 2, y: (one.y + other.y) / 2,
      size: Math.max(10, Math.hypot(one.x - other.x, one.y - other.y)),
    };
  }

  #pinched() {
    if (this.#pointers.size < 2) return;
    const now = this.#spread();
    this.meaning.pan(now.x - this.#pinch.x, now.y - this.#pinch.y);
    this.meaning.zoom(now.size / this.#pinch.size, now.x, now.y);
    this.#pinch = now;
  }

  #turned(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? WHEEL_STEP : event.deltaMode === 2 ? 400 : 1);
    if (event.ctrlKey) {
      this.meaning.zoom(Math.exp(-pixels / 400), ...this.#place(event));
      return;
    }
    if (Math.sign(pixels) !== Math.sign(this.#wheel)) this.#wheel = 0;
    this.#wheel += pixels;
    const steps = Math.trunc(this.#wheel / WHEEL_STEP);
    if (!steps) return;
    this.#wheel = 0; // a notch is one image, however far the mouse says it went
    this.meaning.scroll(Math.abs(pixels) >= 100 ? Math.sign(steps) : steps);
  }
}
