// Pictures of frames: the samples where they can be had, else as the server draws them; the newest
// are kept, up to a budget of octets, and neighbours are fetched before they are asked for.

import { coverOf } from "./cover.js";
import { describe, isDrawable, isMonochrome, ownTable, ownWindows, storedValues } from "./pixels.js";

const GIVE_UP = 4; // failures after which nothing more is fetched ahead: a video has thousands of frames
const AT_ONCE = 4; // browsers open six connections to a server at most; two stay for the reader

const keyOf = (entry, window) => window
  ? `${entry.sop}/${entry.frame}/${window.center}/${window.width}/${window.shape}`
  : `${entry.sop}/${entry.frame}`;

function drawn(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

export class Pictures {
  #kept = new Map(); // key -> picture, the one used longest ago first
  #coming = new Map(); // key -> {promise, signal}
  #held = 0;
  #refused = new Set(); // series whose samples the server does not give

  // ``progress(entry, part)``: told how much of a large picture is there, 0 to 1.
  constructor(web, budget, progress) {
    this.web = web;
    this.budget = budget;
    this.progress = progress;
  }

  // {image, stored, cover} or {image, drawn: ImageData, byServer}; ``window`` matters to what the server draws.
  get(entry, window, signal) {
    const isSamples = this.#asksSamples(entry);
    const key = keyOf(entry, isSamples || !isMonochrome(describe(entry.dataset)) ? null : window);
    const kept = this.#kept.get(key);
    if (kept) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return Promise.resolve(kept);
    }
    const coming = this.#coming.get(key);
    if (!coming || coming.signal?.aborted) return this.#begin(key, entry, window, signal);
    // What somebody else asked for may be called off by them: then it is asked for anew.
    return coming.promise.catch((error) => {
      if (error.name !== "AbortError" || signal?.aborted) throw error;
      return this.#begin(key, entry, window, signal);
    });
  }

  #begin(key, entry, window, signal) {
    const promise = this.#load(entry, window, signal).then((picture) => this.#keep(picture, entry, window))
      .finally(() => { if (this.#coming.get(key)?.promise === promise) this.#coming.delete(key); });
    this.#coming.set(key, { promise, signal });
    return promise;
  }

  has(entry) {
    return this.#kept.has(keyOf(entry, null));
  }

  #asksSamples(entry) {
    return isDrawable(describe(entry.dataset)) && !this.#refused.has(entry.series);
  }

  async #load(entry, window, signal) {
    const image = describe(entry.dataset);
    if (this.#asksSamples(entry)) {
      const samples = await this.#samples(entry, image, signal);
      if (samples) return samples;
    }
    const isGrey = isMonochrome(image);
    const shown = isGrey ? window ?? ownWindows(entry.dataset)[0] ?? null : null;
    const bitmap = await this.web.rendered(entry.series, entry.sop, entry.frame, shown, signal);
    return { image, drawn: drawn(bitmap), byServer: isGrey, window: shown };
  }

  async #samples(entry, image, signal) {
    try {
      const { octets, isBigEndian } = await this.web.samples(
        entry.series, entry.sop, entry.frame, signal, (part) => this.progress(entry, part),
      );
      const stored = storedValues(image, octets, isBigEndian);
      const wasDecoded = () => this.web.isCompressed(entry.series, entry.sop);
      const came = { image, frame: entry.frame, octets, isBigEndian, wasDecoded };
      if (stored) {
        const cover = await coverOf(entry.dataset, came, (data) => this.web.bulk(data));
        return { image, stored, table: await this.#table(entry), cover };
      }
    } catch (error) {
      // 400, 406 and 415: not in this form; what else is wrong is wrong with the drawn one, too.
      if (![400, 406, 415, 500, 501].includes(error.status)) throw error;
    }
    this.#refused.add(entry.series);
    return null;
  }

  // Only where the image brings no window: a table that cannot be had is no reason to show nothing.
  async #table(entry) {
    if (ownWindows(entry.dataset).length) return null;
    return ownTable(entry.dataset, (data) => this.web.bulk(data)).catch(() => null);
  }

  #keep(picture, entry, window) {
    const key = keyOf(entry, picture.byServer ? window : null);
    this.#kept.set(key, picture);
    this.#held += sizeOf(picture);
    for (const [oldest, other] of this.#kept) {
      if (this.#held <= this.budget || oldest === key) break;
      this.#kept.delete(oldest);
      this.#held -= sizeOf(other);
    }
    return picture;
  }

  // Fetch what lies around ``index``, nearest first, until the budget is full; told by ``progress``.
  async ahead(entries, index, signal, progress) {
    const order = entries.map((entry, i) => [Math.abs(i - index), entry])
      .sort(([one], [other]) => one - other).map(([, entry]) => entry)
      .filter((entry) => entry.kind === "image");
    let next = 0, done = 0, failed = 0;
    const worker = async () => {
      while (next < order.length && !signal.aborted && this.#held < 0.9 * this.budget && failed < GIVE_UP) {
        const entry = order[next++];
        await this.get(entry, null, signal).catch(() => { failed++; }); // asked again when it is shown
        if (!signal.aborted) progress(++done, order.length);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }
}

function sizeOf(picture) {
  if (!picture.stored) return picture.drawn.data.byteLength;
  return picture.stored.byteLength + (picture.cover?.byteLength ?? 0);
}
