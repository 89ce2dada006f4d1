// The images of a series in the order of scrolling: one entry a frame, or an object without frames.

import { frameCount, frameDataset, kindOf, number, text } from "./dicom.js";

function byNumber(one, other) {
  const [a, b] = [one, other].map((dataset) => number(dataset, "InstanceNumber") ?? Infinity);
  if (a !== b) return a < b ? -1 : 1;
  return text(one, "SOPInstanceUID") < text(other, "SOPInstanceUID") ? -1 : 1;
}

// Entries: {kind, instance: data set, dataset: as seen by this frame, series, sop, frame, frames}.
export function entriesOf(datasets) {
  return [...datasets].sort(byNumber).flatMap((instance) => {
    const kind = kindOf(instance);
    const frames = kind === "image" ? frameCount(instance) : 1;
    return Array.from({ length: frames }, (_, i) => ({
      kind, instance, frames, frame: i + 1,
      dataset: kind === "image" ? frameDataset(instance, i + 1) : instance,
      series: text(instance, "SeriesInstanceUID"),
      sop: text(instance, "SOPInstanceUID"),
    }));
  });
}
