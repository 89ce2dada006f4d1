// Plays frames one after the other at the rate the object asks for.

import { number, numbers } from "./dicom.js";

const USUAL_FPS = 15; // where nothing is said
const MOST_FPS = 60;

// Frames per second and where that is from (PS3.3, C.7.6.5 and C.7.6.16.2.2).
export function rateOf(dataset) {
  const time = number(dataset, "FrameTime");
  if (time > 0) return { fps: 1000 / time, source: "FrameTime" };
  const steps = numbers(dataset, "FrameTimeVector").slice(1).filter((step) => step > 0);
  if (steps.length) {
    return { fps: 1000 * steps.length / steps.reduce((sum, step) => sum + step, 0), source: "FrameTimeVector" };
  }
  for (const keyword of ["RecommendedDisplayFrameRate", "CineRate"]) {
    const rate = number(dataset, keyword);
    if (rate > 0) return { fps: rate, source: keyword };
  }
  return { fps: USUAL_FPS, source: "" };
}

export class Cine {
  #timer = null;
  #due = 0;

  // ``step()`` shows the next frame and resolves when it is on the screen.
  constructor(step) {
    this.step = step;
    this.fps = USUAL_FPS;
  }

  get isPlaying() {
    return this.#timer !== null;
  }

  play() {
    if (this.isPlaying) return;
    this.#due = performance.now();
    this.#timer = setTimeout(() => this.#tick(), 0);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #tick() {
    await this.step();
    if (!this.isPlaying) return;
    // A frame that came late does not make the next ones hurry.
    this.#due = Math.max(performance.now(), this.#due + 1000 / Math.min(MOST_FPS, this.fps));
    this.#timer = setTimeout(() => this.#tick(), this.#due - performance.now());
  }
}
