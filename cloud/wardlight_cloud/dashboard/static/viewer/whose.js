// Whose an object is and of when, by what it says itself. The heading of the page says it of the study.

import { dateText, dateTimeText, momentText, personName, text, value, zoneText } from "./dicom.js";

export function patientLines(dataset) {
  const born = text(dataset, "PatientBirthDate");
  return [
    personName(value(dataset, "PatientName")) || "no name in the object",
    `ID ${text(dataset, "PatientID") || "none"}`,
    [born && `born ${dateText(born)}`, text(dataset, "PatientSex")].filter(Boolean).join(", "),
  ].filter(Boolean);
}

// "recorded 2020-01-01 03:04:05": of waveforms when they were taken, which is not when the object was
// made; of the rest when its content was, else the study.
export function whenLine(dataset) {
  const taken = text(dataset, "AcquisitionDateTime");
  if (taken) return `recorded ${dateTimeText(taken)}${hasZone(taken) ? "" : ` ${zoneText(dataset)}`}`;
  const content = momentText(dataset, "ContentDate", "ContentTime");
  if (content) return `of ${content}`;
  const study = momentText(dataset, "StudyDate", "StudyTime");
  return study ? `study of ${study}` : "no date in the object";
}

const hasZone = (dt) => dt.length <= 8 || /[+-]\d{4}$/.test(dt); // a day alone has none
