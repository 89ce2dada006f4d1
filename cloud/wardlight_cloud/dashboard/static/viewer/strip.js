// The strip of series: a button each, with a picture and what it is.

import { number, text } from "./dicom.js";

function blank(modality) {
  const made = document.createElement("span");
  made.className = "blank";
  made.textContent = modality || "?";
  return made;
}

// A line of the strip for a series' data set: {line, button}; ``thumbnail`` is the picture's address.
export function stripLine(dataset, thumbnail, open) {
  const line = document.createElement("li");
  const button = document.createElement("button");
  const image = document.createElement("img");
  const words = document.createElement("span");
  button.type = "button";
  image.src = thumbnail;
  image.alt = "";
  image.loading = "lazy";
  image.width = image.height = 88;
  image.addEventListener("error", () => image.replaceWith(blank(text(dataset, "Modality"))));
  const count = number(dataset, "NumberOfSeriesRelatedInstances");
  const size = count === undefined ? "" : `${count} ${count === 1 ? "object" : "objects"}`;
  words.textContent = [text(dataset, "Modality"), text(dataset, "SeriesDescription"), size]
    .filter(Boolean).join(" · ");
  button.append(image, words);
  button.addEventListener("click", open);
  line.append(button);
  return { line, button };
}
