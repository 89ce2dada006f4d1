// Presentation states (PS3.3, A.33): how somebody wants images to be seen. They are never applied by
// themselves: the page says that there are some, and a choice lays on window, inversion, shutter and
// overlays of one; what is left out of it is said too.

import { coverOf } from "./cover.js";
import { items, number, numbers, text } from "./dicom.js";
import { everyValue, ownWindows } from "./pixels.js";

const STATES = /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.11\./;
const OVERLAY = /^60[01][02468ACE]/;
const SHUTTER = /^001816[0-2]/;
const ACTIVATED = /^(60[01][02468ACE])1001$/; // layer of an overlay of the image itself
const LEFT_OUT = { // what may be in a state and is not laid on, in words
  GraphicAnnotationSequence: "annotations", MaskSubtractionSequence: "mask subtraction", ModalityLUTSequence: "modality table",
  PresentationLUTSequence: "presentation table",
};

// Whether a list of references names an image's frame; without frames it names all of them.
function names(references, entry) {
  return references.some((reference) => {
    const frames = numbers(reference, "ReferencedFrameNumber");
    return text(reference, "ReferencedSOPInstanceUID") === entry.sop && (!frames.length || frames.includes(entry.frame));
  });
}

const referencesOf = (state) => items(state, "ReferencedSeriesSequence").flatMap((series) => items(series, "ReferencedImageSequence"));

export const isPresentation = (dataset) => STATES.test(text(dataset, "SOPClassUID"));

// States that are about this frame of an image.
export const statesOf = (states, entry) => states.filter((one) => names(referencesOf(one), entry));

export const stateName = (one) => text(one, "ContentDescription") || text(one, "ContentLabel") || "without a name";

// The state's window for a frame: {center, width, shape}. Without one each value keeps its place among
// all that there can be (PS3.3, C.11.8); null where it has a table that this page does not lay on.
export function stateWindow(one, entry, image) {
  const own = items(one, "SoftcopyVOILUTSequence").find((item) => {
    const references = items(item, "ReferencedImageSequence");
    return !references.length || names(references, entry);
  });
  return own ? ownWindows(own)[0] ?? null : everyValue(image);
}

// In words, what a state says that this page does not lay on.
export function leftOut(one) {
  const found = Object.entries(LEFT_OUT).filter(([keyword]) => items(one, keyword).length).map(([, words]) => words);
  if (items(one, "SoftcopyVOILUTSequence").some((item) => !ownWindows(item).length)) found.push("table of grey");
  if (number(one, "ImageRotation") || text(one, "ImageHorizontalFlip") === "Y") found.push("rotation");
  return found;
}

// Shutter and overlays of a state, and those of the image's overlays that it calls for.
function laidOn(one, dataset) {
  const called = Object.keys(one).map((tag) => ACTIVATED.exec(tag)?.[1])
    .filter((group) => group && !one[`${group}0010`] && dataset[`${group}3000`]);
  const taken = (source, isTaken) => Object.entries(source).filter(([tag]) => isTaken(tag));
  return Object.fromEntries([
    ...taken(dataset, (tag) => called.includes(tag.slice(0, 4))),
    ...taken(one, (tag) => SHUTTER.test(tag) || (OVERLAY.test(tag) && one[`${tag.slice(0, 4)}3000`])),
  ]);
}

// What the state says of stored values in place of the image (PS3.3, C.11.1): nothing is 1 and 0, and
// then they have no unit.
function rescaled(one, image) {
  if (items(one, "ModalityLUTSequence").length) return image;
  const slope = number(one, "RescaleSlope");
  if (!slope) return { ...image, slope: 1, intercept: 0, unit: "" };
  return { ...image, slope, intercept: number(one, "RescaleIntercept") ?? 0 };
}

// The picture of an entry as a state wants it; what the server draws stays as it is. Which way grey
// runs is the state's to say (PS3.3, C.11.6). ``octetsOf`` brings what is not in the metadata.
export async function presented(picture, one, entry, octetsOf) {
  if (!picture.stored) return picture;
  const isInverse = text(one, "PresentationLUTShape") === "INVERSE";
  const image = { ...rescaled(one, picture.image), photometric: "MONOCHROME2", isInverse };
  const came = { image, frame: entry.frame, octets: new Uint8Array(0), isBigEndian: false, wasDecoded: async () => true };
  return { ...picture, image, cover: await coverOf(laidOn(one, entry.dataset), came, octetsOf) };
}

// What the page says of the states of an image: "" where there are none.
export function stateText(states, chosen) {
  if (chosen) {
    const without = leftOut(chosen);
    return `shown as “${stateName(chosen)}” says${without.length ? `, without its ${without.join(", ")}` : ""}`;
  }
  if (!states.length) return "";
  return states.length === 1 ? "1 presentation state stored, not applied" : `${states.length} presentation states stored, none applied`;
}

// All presentation states of a study's series ({dataset} each); ``failed`` is told of one that cannot
// be had.
export async function loadStates(series, metadata, failed) {
  const own = series.filter(({ dataset }) => text(dataset, "Modality") === "PR");
  const found = await Promise.all(own.map(({ dataset }) => metadata(text(dataset, "SeriesInstanceUID"))
    .catch((error) => { failed(error); return []; })));
  return found.flat().filter(isPresentation);
}
