// Letters at the edges of an image: where the patient's left, head and front are (PS3.3, C.7.6.2.1.1).

import { numbers, text, values } from "./dicom.js";

const OPPOSITE = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };
const LEAST = 0.05; // a direction that leans less than 3 degrees towards an axis does not name it

// The letters towards which a direction in the patient's coordinates points, largest part first.
export function lettersOf(direction) {
  return [[direction[0], "L", "R"], [direction[1], "P", "A"], [direction[2], "H", "F"]]
    .filter(([size]) => Math.abs(size) > LEAST)
    .sort(([one], [other]) => Math.abs(other) - Math.abs(one))
    .map(([size, plus, minus]) => size > 0 ? plus : minus)
    .join("");
}

const opposite = (letters) => [...letters].map((letter) => OPPOSITE[letter] ?? "").join("");

// {left, right, top, bottom}; empty texts where the image does not say.
export function edgeLetters(dataset) {
  const cosines = numbers(dataset, "ImageOrientationPatient");
  const isQuadruped = text(dataset, "AnatomicalOrientationType") === "QUADRUPED";
  if (isQuadruped) return { left: "", right: "", top: "", bottom: "" };
  let [right, bottom] = ["", ""];
  if (cosines.length === 6 && cosines.every(Number.isFinite)) {
    [right, bottom] = [lettersOf(cosines.slice(0, 3)), lettersOf(cosines.slice(3))];
  } else {
    [right, bottom] = [0, 1].map((i) => String(values(dataset, "PatientOrientation")[i] ?? ""));
  }
  return { left: opposite(right), right, top: opposite(bottom), bottom };
}
