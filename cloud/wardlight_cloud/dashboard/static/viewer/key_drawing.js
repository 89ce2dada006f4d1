// Drawing without a mouse: arrows move a cross, Enter sets the ends of a shape, Escape leaves.

const STEP = 1, LONG_STEP = 10; // pixels of the image; the second with Shift

export class KeyDrawing {
  #first = null;

  // ``say(words)`` tells where the cross is; ``done(points)`` gets the two ends.
  constructor(stage, say, done) {
    this.stage = stage;
    this.say = say;
    this.done = done;
  }

  leave() {
    this.stage.cross = this.#first = null;
    this.stage.redraw();
  }

  // Whether it took the key; ``shift`` is [dx, dy] of an arrow or null.
  take(shift, event) {
    if (document.activeElement !== this.stage.canvas || !this.stage.picture) return false;
    if (shift) return this.#move(shift, event.shiftKey ? LONG_STEP : STEP);
    if (!this.stage.cross) return false;
    if (event.key === "Escape") this.leave();
    else if (event.key === "Enter") this.#set();
    else return false;
    return true;
  }

  #move([dx, dy], step) {
    const { columns, rows } = this.stage.picture.image;
    const [x, y] = this.stage.cross ?? [columns / 2, rows / 2];
    const within = (place, most) => Math.min(most, Math.max(0, place));
    this.stage.cross = [within(x + dx * step, columns), within(y + dy * step, rows)];
    this.say(`Cross at x ${this.stage.cross[0]}, y ${this.stage.cross[1]}`);
    this.stage.redraw();
    return true;
  }

  #set() {
    const here = [...this.stage.cross];
    if (this.#first) {
      this.done([this.#first, here]);
      this.#first = null;
    } else {
      this.#first = here;
      this.say("First end is set. Move on and press Enter.");
    }
  }
}
