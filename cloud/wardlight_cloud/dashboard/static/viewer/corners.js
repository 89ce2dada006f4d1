// Texts in the corners of an image: whose it is, what it is, where in the stack, how it is shown.

import { lossyText, momentText, number, text } from "./dicom.js";
import { patientLines } from "./whose.js";

const lines = (...found) => found.filter(Boolean);

function study(dataset) {
  return lines(
    text(dataset, "InstitutionName"),
    text(dataset, "StudyDescription"),
    momentText(dataset, "StudyDate", "StudyTime") || "no date in the image",
    [text(dataset, "Modality"), text(dataset, "SeriesDescription")].filter(Boolean).join(" "),
  );
}

function place(entry, index, total) {
  const location = number(entry.dataset, "SliceLocation");
  const thickness = number(entry.dataset, "SliceThickness");
  const number_ = text(entry.dataset, "InstanceNumber");
  return lines(
    `${index + 1} of ${total}${number_ ? `, image ${number_}` : ""}`,
    entry.frames > 1 ? `frame ${entry.frame} of ${entry.frames}` : "",
    location === undefined ? "" : `at ${Number(location.toFixed(2))} mm`,
    thickness === undefined ? "" : `${Number(thickness.toFixed(2))} mm thick`,
    lossyText(entry.dataset),
  );
}

const short = (number) => String(Number(number.toFixed(1)));

function windowText(window, unit) {
  if (!window) return "";
  if (window.shape === "TABLE") return "shown by the image's own table";
  return `window ${short(window.width)}, centre ${short(window.center)}${unit}`;
}

function shown({ window, isInverted, scale, picture, probe, presentation }) {
  const unit = picture?.image.unit ? ` ${picture.image.unit}` : "";
  return lines(
    probe ?? "",
    windowText(window, unit),
    isInverted ? "inverted" : "",
    scale === null ? "" : `zoom ${Math.round(100 * scale)} %`,
    picture?.byServer ? "drawn by the server" : "",
    presentation,
  );
}

function fill(element, texts) {
  if (element.textContent === texts.join("")) return;
  element.replaceChildren(...texts.map((line) => {
    const span = document.createElement("span");
    span.textContent = line;
    return span;
  }));
}

// ``corners``: {topLeft, topRight, bottomLeft, bottomRight} elements; ``state``: what is shown how.
export function showCorners(corners, entry, state) {
  fill(corners.topLeft, patientLines(entry.dataset));
  fill(corners.topRight, study(entry.dataset));
  fill(corners.bottomLeft, place(entry, state.index, state.total));
  fill(corners.bottomRight, shown(state));
}
