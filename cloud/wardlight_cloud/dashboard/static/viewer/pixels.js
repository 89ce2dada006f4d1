// Stored samples -> grey of the screen: the modality and VOI transformations of PS3.3, C.11.

import { element, isLocalizer, items, number, numbers, text, value } from "./dicom.js";

// A value as samples have it: signed with them, also where it was written as VR US.
function storedNumber(dataset, keyword) {
  const found = number(dataset, keyword);
  const range = 2 ** (number(dataset, "BitsAllocated") ?? 16);
  const isSigned = number(dataset, "PixelRepresentation") === 1;
  if (isSigned && found >= range / 2) return found - range;
  return !isSigned && found < 0 ? found + range : found;
}

const CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2";

// The unit of modality values; "" where nothing says it. What a plain CT image does not say is
// Hounsfield units (PS3.3, C.8.2.1); a capture of one is not, nor is a projection.
function unitOf(dataset) {
  const said = text(dataset, "RescaleType");
  if (said) return said === "US" ? "" : said; // unspecified, C.11.1.1.2
  const isRescaled = number(dataset, "RescaleSlope") !== undefined && number(dataset, "RescaleIntercept") !== undefined;
  const isPlain = text(dataset, "SOPClassUID") === CT_IMAGE && text(dataset, "MultienergyCTAcquisition") !== "YES";
  return isPlain && isRescaled && !isLocalizer(dataset) ? "HU" : "";
}

// How an image's samples lie in memory and what they mean.
export function describe(dataset) {
  const bitsAllocated = number(dataset, "BitsAllocated") ?? 16;
  const bitsStored = number(dataset, "BitsStored") ?? bitsAllocated;
  return {
    rows: number(dataset, "Rows"),
    columns: number(dataset, "Columns"),
    samples: number(dataset, "SamplesPerPixel") ?? 1,
    photometric: text(dataset, "PhotometricInterpretation"),
    bitsAllocated,
    bitsStored,
    highBit: number(dataset, "HighBit") ?? bitsStored - 1,
    isSigned: number(dataset, "PixelRepresentation") === 1,
    slope: number(dataset, "RescaleSlope") ?? 1,
    intercept: number(dataset, "RescaleIntercept") ?? 0,
    padding: storedNumber(dataset, "PixelPaddingValue"),
    paddingLimit: storedNumber(dataset, "PixelPaddingRangeLimit"),
    hasTable: items(dataset, "ModalityLUTSequence").length > 0,
    isInverse: text(dataset, "PresentationLUTShape") === "INVERSE",
    unit: unitOf(dataset),
  };
}

export const isMonochrome = (image) => image.samples === 1 && /^MONOCHROME[12]$/.test(image.photometric);

// Whether this page can take the samples themselves; else the server draws.
export function isDrawable(image) {
  return isMonochrome(image) && !image.hasTable && image.slope !== 0
    && (image.bitsAllocated === 8 || image.bitsAllocated === 16) && image.bitsStored <= image.bitsAllocated;
}

function words16(octets, count, isBigEndian) {
  const found = new Uint16Array(count);
  const view = new DataView(octets.buffer, octets.byteOffset, count * 2);
  for (let i = 0; i < count; i++) found[i] = view.getUint16(i * 2, !isBigEndian);
  return found;
}

// Stored values of a frame; bits beside BitsStored are dropped (they may hold overlays).
// null where the octets are fewer than the image has samples.
export function storedValues(image, octets, isBigEndian) {
  const count = image.rows * image.columns;
  if (octets.length < count * (image.bitsAllocated / 8)) return null;
  const raw = image.bitsAllocated === 8 ? octets : words16(octets, count, isBigEndian);
  const down = image.highBit + 1 - image.bitsStored;
  const up = 32 - image.bitsStored;
  const stored = image.isSigned ? new Int16Array(count) : new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    const aligned = (raw[i] >>> down) << up;
    stored[i] = image.isSigned ? aligned >> up : aligned >>> up;
  }
  return stored;
}

const lowest = (image) => image.isSigned ? -(2 ** (image.bitsStored - 1)) : 0;

// The least modality value that there can be.
function least(image) {
  const ends = [lowest(image), lowest(image) + 2 ** image.bitsStored - 1];
  return Math.min(...ends.map((end) => end * image.slope + image.intercept));
}

// The window over all modality values that there can be, whichever there are.
export function everyValue(image) {
  const low = least(image), width = (2 ** image.bitsStored - 1) * Math.abs(image.slope);
  return { center: low + width / 2, width, shape: "LINEAR_EXACT" };
}

function isPadding(image, stored) {
  if (image.padding === undefined) return false;
  const other = image.paddingLimit ?? image.padding;
  return stored >= Math.min(image.padding, other) && stored <= Math.max(image.padding, other);
}

// The window that shows every sample but padding: {center, width, shape}.
export function wholeRange(image, stored) {
  let least = Infinity, most = -Infinity;
  for (const one of stored) {
    if (isPadding(image, one)) continue;
    if (one < least) least = one;
    if (one > most) most = one;
  }
  if (least > most) [least, most] = [lowest(image), lowest(image) + 1];
  const ends = [least, most].map((one) => one * image.slope + image.intercept);
  const low = Math.min(...ends), high = Math.max(...ends);
  return { center: (low + high + 1) / 2, width: high - low + 1, shape: "LINEAR" };
}

function tableGrey(modality, { first, entries, most }) {
  const place = Math.min(entries.length - 1, Math.max(0, Math.round(modality) - first));
  return 255 * Math.min(1, entries[place] / most);
}

// The image's own VOI table as a window of shape TABLE (PS3.3, C.11.2.1.1), or null. ``octetsOf``
// brings what is not in the metadata itself.
export async function ownTable(dataset, octetsOf) {
  const item = items(dataset, "VOILUTSequence")[0];
  const data = item && element(item, "LUTData");
  const [said, first, bits] = item ? numbers(item, "LUTDescriptor") : [];
  if (!data || !(bits >= 8 && bits <= 16)) return null;
  const count = said & 0xffff || 65536;
  const entries = data.Value ? data.Value.map((entry) => entry & 0xffff) : unpacked(await octetsOf(data), count);
  if (entries.length < count) return null;
  const start = first >= 32768 && least(describe(dataset)) < 0 ? first - 65536 : first;
  return { shape: "TABLE", table: { first: start, entries: entries.slice(0, count), most: 2 ** bits - 1 } };
}

// Entries are words, or octets where there are only so many.
function unpacked(octets, count) {
  if (octets.length < 2 * count) return [...octets];
  return [...words16(octets, count, false)];
}

// A modality value's grey of 0..255 (PS3.3, C.11.2.1.2.1 and C.11.2.1.3).
export function greyOf(modality, { center, width, shape, table }) {
  if (shape === "TABLE") return tableGrey(modality, table);
  if (shape === "SIGMOID") return 255 / (1 + Math.exp(-4 * (modality - center) / width));
  if (shape === "LINEAR_EXACT") {
    return 255 * Math.min(1, Math.max(0, (modality - center) / width + 0.5));
  }
  if (width <= 1) return modality > center - 0.5 ? 255 : 0;
  return 255 * Math.min(1, Math.max(0, (modality - (center - 0.5)) / (width - 1) + 0.5));
}

// Grey for every stored value there can be, from ``first`` on.
export function greyTable(image, window, isInverted) {
  const first = lowest(image);
  const table = new Uint8ClampedArray(2 ** image.bitsStored);
  // A shape of INVERSE goes with MONOCHROME1 and says the same (PS3.3, C.8.11.3.1.2).
  const isNegative = (image.photometric === "MONOCHROME1" || image.isInverse) !== isInverted;
  for (let i = 0; i < table.length; i++) {
    const grey = Math.round(greyOf((first + i) * image.slope + image.intercept, window));
    table[i] = isNegative ? 255 - grey : grey;
  }
  if (image.padding !== undefined) {
    // Padding is background: black, whichever way grey runs (PS3.3, C.7.5.1.1.2).
    const other = image.paddingLimit ?? image.padding;
    // It may lie below all that can be stored, or above it; a negative end would count from behind.
    const within = (place) => Math.min(table.length, Math.max(0, place));
    const from = within(Math.min(image.padding, other) - first);
    table.fill(0, from, within(Math.max(image.padding, other) - first + 1));
  }
  return { first, table };
}

const ALPHA = 0xff000000;

export function paintGrey(stored, { first, table }, pixels) {
  const packed = new Uint32Array(pixels.buffer);
  const grey = new Uint32Array(table.length);
  for (let i = 0; i < table.length; i++) grey[i] = ALPHA | (table[i] * 0x010101);
  for (let i = 0; i < stored.length; i++) packed[i] = grey[stored[i] - first];
}

// A picture that came drawn: window of 0..255 laid over its channels.
export function paintDrawn(source, window, isInverted, pixels) {
  const table = new Uint8ClampedArray(256);
  for (let i = 0; i < 256; i++) {
    const grey = window ? Math.round(greyOf(i, window)) : i;
    table[i] = isInverted ? 255 - grey : grey;
  }
  for (let i = 0; i < source.length; i += 4) {
    pixels[i] = table[source[i]];
    pixels[i + 1] = table[source[i + 1]];
    pixels[i + 2] = table[source[i + 2]];
    pixels[i + 3] = 255;
  }
}

const SHAPES = ["LINEAR", "LINEAR_EXACT", "SIGMOID"];

// Windows that the image brings along: [{name, center, width, shape}].
export function ownWindows(dataset) {
  const list = (keyword) => (element(dataset, keyword)?.Value ?? []);
  const said = text(dataset, "VOILUTFunction");
  const shape = SHAPES.includes(said) ? said : "LINEAR";
  const names = list("WindowCenterWidthExplanation");
  return list("WindowCenter").map((center, i) => ({
    name: String(names[i] ?? (i ? `As stored, ${i + 1}` : "As stored")),
    center: Number(center),
    width: Number(list("WindowWidth")[i]),
    shape,
  })).filter(({ center, width }) => Number.isFinite(center) && Number.isFinite(width) && width > 0);
}

const PRESETS = {
  CT: [
    ["Soft tissue", 40, 400], ["Lung", -600, 1500], ["Bone", 400, 1800], ["Brain", 40, 80],
    ["Mediastinum", 50, 350], ["Liver", 60, 160], ["Stroke", 35, 35],
  ],
  PT: [["0 to 10", 5, 10], ["0 to 20", 10, 20]],
};

// The window that an image is seen with: the one chosen, its own, its own table, all of its values.
// What the server draws brings the one that it was drawn with; colours have none but a chosen one.
export function windowShown(dataset, picture, chosen) {
  if (picture.drawn) return chosen ?? (picture.byServer ? picture.window : null);
  return chosen ?? ownWindows(dataset)[0] ?? picture.table ?? wholeRange(picture.image, picture.stored);
}

// What may be chosen for an image: its own windows, the modality's usual ones.
export function presets(dataset) {
  const usual = (PRESETS[value(dataset, "Modality")] ?? [])
    .map(([name, center, width]) => ({ name, center, width, shape: "LINEAR" }));
  return [...ownWindows(dataset), ...usual];
}

// Which entry of the list says what ``window`` is: its number among ``found``, "own" or "hand".
export function presetOf(found, window) {
  if (!window) return "own";
  const same = (one) => one.center === window.center && one.width === window.width && one.shape === window.shape;
  const place = found.findIndex(same);
  return place < 0 ? "hand" : String(place);
}
