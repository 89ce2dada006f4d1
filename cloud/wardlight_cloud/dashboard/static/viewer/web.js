// Asks DICOMweb of the same site (PS3.18), with the session's cookie; errors are in plain words.

import { text } from "./dicom.js";

const NATIVE = "1.2.840.10008.1.2.1"; // Explicit VR Little Endian: samples as they are
const BIG_ENDIAN = "1.2.840.10008.1.2.2";
const UNCOMPRESSED = new Set(["1.2.840.10008.1.2", NATIVE, BIG_ENDIAN, "1.2.840.10008.1.2.1.99"]);
const TRIES = 3;
const PAUSE_MS = 700;
const SOON_S = 10; // what takes longer is not waited for
const LARGE = 2 ** 20; // octets from which on progress is told

export class WebError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// "40 seconds", "5 minutes", "4 hours".
export function durationOf(seconds) {
  const [count, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  const whole = Math.ceil(count);
  return `${whole} ${unit}${whole === 1 ? "" : "s"}`;
}

function words(status, what, waitS = 0) {
  if (status === 401) return "Your session has ended. Reload the page and sign in again.";
  if (status === 403) return `You are not allowed to see ${what}.`;
  if (status === 404 || status === 410) return `${what} is not in the store.`;
  if (status === 406 || status === 415) return `${what} cannot be sent in a form that this page draws.`;
  if (status === 413) return `${what} is too large to be sent.`;
  if (status === 503) {
    return waitS > SOON_S
      ? `${what} lies in slow storage: fetching it takes about ${durationOf(waitS)}. Come back then.`
      : `${what} is not at hand just now: its storage is busy. Try again in a moment.`;
  }
  return `${what} could not be loaded: the server answered ${status}.`;
}

// The server's own sentence where it failed: that a stored file is damaged or missing.
async function saidBy(answer) {
  if (answer.status !== 500 || !answer.headers?.get("Content-Type")?.startsWith("text/plain")) return "";
  return ` ${(await answer.text().catch(() => "")).trim()}`;
}

const isPassing = (status) => status === 0 || status === 502 || status === 503 || status === 504;

async function once(url, accept, signal) {
  try {
    return await fetch(url, { headers: { Accept: accept }, credentials: "same-origin", signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { ok: false, status: 0 };
  }
}

async function ask(url, accept, what, signal) {
  for (let tries = 1; ; tries++) {
    const answer = await once(url, accept, signal);
    if (answer.ok) return answer;
    const waitS = Number(answer.headers?.get("Retry-After")) || 0;
    if (!isPassing(answer.status) || tries === TRIES || waitS > SOON_S) {
      if (answer.status === 0) throw new WebError("The server does not answer. Check the connection.", 0);
      throw new WebError(words(answer.status, what, waitS) + (await saidBy(answer)), answer.status);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * tries));
  }
}

// The body, told by parts as it comes where its length is known.
async function bodyOf(answer, progress) {
  const length = Number(answer.headers.get("Content-Length"));
  if (!(length > LARGE) || answer.headers.has("Content-Encoding") || !answer.body) {
    return new Uint8Array(await answer.arrayBuffer());
  }
  const octets = new Uint8Array(length);
  let filled = 0;
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (filled + value.length > length) throw new WebError("The answer of the server is longer than it says.", 0);
    octets.set(value, filled);
    filled += value.length;
    progress(filled / length);
  }
  if (filled < length) throw new WebError("The answer of the server was cut off.", 0);
  return octets;
}

function parameter(contentType, name) {
  const found = new RegExp(`;\\s*${name}\\s*=\\s*(?:"([^"]*)"|([^;\\s]*))`, "i").exec(contentType);
  return found ? found[1] ?? found[2] : "";
}

function indexOf(octets, pattern, start) {
  outer: for (let i = octets.indexOf(pattern[0], start); i >= 0; i = octets.indexOf(pattern[0], i + 1)) {
    for (let k = 1; k < pattern.length; k++) if (octets[i + k] !== pattern[k]) continue outer;
    return i;
  }
  return -1;
}

// The first part of a multipart/related body (RFC 2046, 5.1): {type, octets}; a plain body is one.
export function firstPart(octets, contentType) {
  if (!/^multipart\//i.test(contentType)) return { type: contentType, octets };
  const bytes = (latin) => Uint8Array.from(latin, (letter) => letter.charCodeAt(0));
  const boundary = bytes(`--${parameter(contentType, "boundary")}`);
  const first = indexOf(octets, boundary, 0);
  const body = indexOf(octets, bytes("\r\n\r\n"), first);
  const end = indexOf(octets, bytes(`\r\n--${parameter(contentType, "boundary")}`), body + 2);
  if (first < 0 || body < 0 || end < 0) throw new WebError("The answer of the server was cut off.", 0);
  const head = new TextDecoder("latin1").decode(octets.subarray(first + boundary.length, body));
  const type = /^content-type:\s*(.+?)\s*$/im.exec(head)?.[1] ?? "";
  return { type, octets: octets.subarray(body + 4, end) };
}

export class Dicomweb {
  constructor(root, study) {
    this.root = root;
    this.study = `${root}/studies/${encodeURIComponent(study)}`;
  }

  instance(series, sop) {
    return `${this.study}/series/${encodeURIComponent(series)}/instances/${encodeURIComponent(sop)}`;
  }

  thumbnail(series) {
    return `${this.study}/series/${encodeURIComponent(series)}/thumbnail?viewport=128,128`;
  }

  async #json(url, what) {
    const answer = await ask(url, "application/dicom+json", what);
    return answer.status === 204 ? [] : answer.json();
  }

  series() {
    return this.#json(`${this.study}/series?includefield=all&limit=1000`, "The list of series");
  }

  metadata(series) {
    return this.#json(`${this.study}/series/${encodeURIComponent(series)}/metadata`, "This series");
  }

  // Whether an instance is stored compressed, which its metadata does not say.
  async isCompressed(series, sop) {
    const url = `${this.study}/series/${encodeURIComponent(series)}/instances?SOPInstanceUID=${encodeURIComponent(sop)}`;
    const [found] = await this.#json(url, "This image");
    return !UNCOMPRESSED.has(text(found ?? {}, "AvailableTransferSyntaxUID"));
  }

  // Samples of a frame without compression: {octets, isBigEndian}; WebError 406 where there are none.
  async samples(series, sop, frame, signal, progress) {
    const accept = `multipart/related; type="application/octet-stream"; transfer-syntax=${NATIVE}`;
    const answer = await ask(`${this.instance(series, sop)}/frames/${frame}`, accept, "This image", signal);
    const part = firstPart(await bodyOf(answer, progress), answer.headers.get("Content-Type") ?? "");
    const syntax = parameter(part.type, "transfer-syntax") || NATIVE;
    if (!/^application\/octet-stream/i.test(part.type) || !UNCOMPRESSED.has(syntax)) {
      throw new WebError(words(406, "This image"), 406);
    }
    return { octets: part.octets, isBigEndian: syntax === BIG_ENDIAN };
  }

  // A frame drawn by the server, as an ImageBitmap; ``window`` {center, width, shape} or null.
  async rendered(series, sop, frame, window, signal) {
    const shape = window?.shape === "LINEAR_EXACT" ? "linear-exact" : (window?.shape ?? "").toLowerCase();
    const query = window ? `?window=${window.center},${window.width},${shape || "linear"}` : "";
    const url = `${this.instance(series, sop)}/frames/${frame}/rendered${query}`;
    const answer = await ask(url, "image/png, image/jpeg;q=0.9", "This image", signal);
    return createImageBitmap(await answer.blob());
  }

  // Octets of a bulk value: inline in its element, or at its address. Asked on this site whatever
  // name the address gives it: a server is known by several.
  async bulk(element, accept = "application/octet-stream") {
    if (element.InlineBinary !== undefined) {
      return Uint8Array.from(atob(element.InlineBinary), (letter) => letter.charCodeAt(0));
    }
    if (!element.BulkDataURI) throw new WebError("The object holds no data.", 0);
    const { pathname, search } = new URL(element.BulkDataURI, `${location.origin}${this.study}/`);
    if (!pathname.startsWith(`${this.root}/`)) throw new WebError("The data lies on another server.", 0);
    const both = `${accept}, multipart/related; type="${accept}"`;
    const answer = await ask(pathname + search, both, "This document");
    return firstPart(new Uint8Array(await answer.arrayBuffer()), answer.headers.get("Content-Type") ?? "").octets;
  }
}
