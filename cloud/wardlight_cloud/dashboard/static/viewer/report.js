// A structured report as text: its tree of names and values (PS3.3, C.17.3). What it does not show is named.

import { code, dateText, dateTimeText, element, items, momentText, number, numbers, personName, text, timeText, value } from "./dicom.js";

const CHARSETS = {
  "": "utf-8", ISO_IR_192: "utf-8", ISO_IR_100: "latin1", ISO_IR_101: "iso-8859-2",
  ISO_IR_109: "iso-8859-3", ISO_IR_110: "iso-8859-4", ISO_IR_144: "iso-8859-5",
  ISO_IR_127: "iso-8859-6", ISO_IR_126: "iso-8859-7", ISO_IR_138: "iso-8859-8",
  ISO_IR_148: "iso-8859-9", ISO_IR_13: "shift_jis", ISO_IR_166: "tis-620", GB18030: "gb18030", GBK: "gbk",
};

function tag(name, className, words) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (words !== undefined) made.textContent = words;
  return made;
}

// Long texts are not in the metadata but at an address of their own.
async function longText(item, keyword, dataset, web) {
  const found = element(item, keyword);
  if (!found?.BulkDataURI) return text(item, keyword);
  const name = text(dataset, "SpecificCharacterSet").replaceAll(" ", "_");
  return new TextDecoder(CHARSETS[name] ?? "utf-8").decode(await web.bulk(found)).trim();
}

export function measured(item) {
  const found = items(item, "MeasuredValueSequence")[0];
  // Why there is no value, or what of it is to be doubted (PS3.3, C.18.1).
  const qualifier = code(item, "NumericValueQualifierCodeSequence");
  const why = qualifier ? ` (${qualifier})` : "";
  if (!found) return `no value${why}`;
  const unit = items(found, "MeasurementUnitsCodeSequence")[0];
  const symbol = unit ? text(unit, "CodeValue") : "";
  return `${text(found, "NumericValue")}${symbol && symbol !== "1" ? ` ${symbol}` : ""}${why}`;
}

// The item that another one names by its place in the tree, 1 being the root (PS3.3, C.17.3.2.5).
export function referred(item, dataset) {
  const place = numbers(item, "ReferencedContentItemIdentifier");
  if (!place.length) return "";
  const found = place.slice(1).reduce((at, number) => at && items(at, "ContentSequence")[number - 1], dataset);
  const name = found ? code(found, "ConceptNameCodeSequence") || code(found, "ConceptCodeSequence") : "";
  const how = text(item, "RelationshipType").toLowerCase() || "refers to";
  return `${how}: ${name ? `${name} (item ${place.join(".")})` : `item ${place.join(".")} of this report`}`;
}

function reference(item, jump) {
  const found = items(item, "ReferencedSOPSequence")[0];
  const sop = found ? text(found, "ReferencedSOPInstanceUID") : "";
  const frame = found ? number(found, "ReferencedFrameNumber") ?? 1 : 1;
  const made = tag("button", "reference", "Show this image");
  made.type = "button";
  made.addEventListener("click", () => jump(sop, frame));
  return made;
}

async function answer(item, dataset, web, jump) {
  switch (text(item, "ValueType")) {
    case "TEXT": return longText(item, "TextValue", dataset, web);
    case "CODE": return code(item, "ConceptCodeSequence");
    case "NUM": return measured(item);
    case "DATE": return dateText(text(item, "Date"));
    case "TIME": return timeText(text(item, "Time"));
    case "DATETIME": return dateTimeText(text(item, "DateTime"));
    case "PNAME": return personName(value(item, "PersonName"));
    case "UIDREF": return text(item, "UID");
    case "IMAGE": case "WAVEFORM": case "COMPOSITE": return reference(item, jump);
    case "CONTAINER": return "";
    case "": return referred(item, dataset);
    default: return text(item, "ValueType") ? `(${text(item, "ValueType").toLowerCase()}, not shown)` : "";
  }
}

async function node(item, depth, dataset, web, jump) {
  const name = code(item, "ConceptNameCodeSequence");
  const isContainer = text(item, "ValueType") === "CONTAINER";
  const made = tag("li", isContainer ? "container" : "");
  if (name && isContainer) made.append(tag(`h${Math.min(6, depth + 2)}`, "", name));
  else if (name) made.append(tag("span", "concept", `${name}: `));
  const found = await answer(item, dataset, web, jump);
  if (found instanceof Node) made.append(found);
  else if (found) made.append(tag("span", "answer", found));
  const children = items(item, "ContentSequence");
  if (children.length) made.append(await tree(children, depth + 1, dataset, web, jump));
  return made;
}

async function tree(children, depth, dataset, web, jump) {
  const list = tag("ul", "report");
  for (const child of children) list.append(await node(child, depth, dataset, web, jump));
  return list;
}

const STANDINGS = [
  ["PreliminaryFlag", "PRELIMINARY", "preliminary report"], ["CompletionFlag", "PARTIAL", "not complete"],
  ["CompletionFlag", "COMPLETE", "complete"], ["VerificationFlag", "UNVERIFIED", "not verified"],
  ["VerificationFlag", "VERIFIED", "verified"],
];

// How far a report has come (PS3.3, C.17.2): {words, isPreliminary}; the second where more may come.
export function standing(dataset) {
  const found = STANDINGS.filter(([keyword, flag]) => text(dataset, keyword) === flag);
  const isPreliminary = found.some(([, flag]) => flag === "PRELIMINARY" || flag === "PARTIAL");
  const words = found.map(([, , said]) => said).join(", ");
  return { words: words.charAt(0).toUpperCase() + words.slice(1), isPreliminary };
}

// UIDs of the reports that this one names as its predecessors (PS3.3, C.17.2).
export function predecessors(dataset) {
  return items(dataset, "PredecessorDocumentsSequence")
    .flatMap((document) => items(document, "ReferencedSeriesSequence"))
    .flatMap((series) => items(series, "ReferencedSOPSequence"))
    .map((instance) => text(instance, "ReferencedSOPInstanceUID"))
    .filter((uid) => uid && uid !== text(dataset, "SOPInstanceUID"));
}

// Reports of the study that name this one as their predecessor.
async function successors(dataset, web) {
  const series = (await web.series()).filter((one) => text(one, "Modality") === "SR");
  const reports = (await Promise.all(series.map((one) => web.metadata(text(one, "SeriesInstanceUID"))))).flat();
  return reports.filter((one) => predecessors(one).includes(text(dataset, "SOPInstanceUID")));
}

// That another report takes the place of this one, or this one of another: {words, sop, isOld} of each.
export function chained(dataset, later) {
  const newer = later.map((one) => ({
    words: `A later report (${momentText(one, "ContentDate", "ContentTime") || "undated"}${standing(one).isPreliminary ? ", preliminary" : ""}) follows this one and may correct it.`,
    sop: text(one, "SOPInstanceUID"), isOld: true,
  }));
  const older = predecessors(dataset).map((sop) => ({ words: "This report follows an earlier one.", sop, isOld: false }));
  return [...newer, ...older];
}

function chainLine({ words, sop, isOld }, jump) {
  const line = tag("p", isOld ? "facts superseded" : "facts", `${words} `);
  const show = tag("button", "reference", isOld ? "Show the later one" : "Show the earlier one");
  show.type = "button";
  show.addEventListener("click", () => jump(sop, 1));
  line.append(show);
  return line;
}

// Show a report; ``jump(sop, frame)`` goes to an image that it names.
export async function showReport(place, dataset, web, jump) {
  const title = tag("h2", "", code(dataset, "ConceptNameCodeSequence") || "Report");
  const { words, isPreliminary } = standing(dataset);
  const content = await tree(items(dataset, "ContentSequence"), 1, dataset, web, jump);
  const lines = chained(dataset, await successors(dataset, web)).map((one) => chainLine(one, jump));
  place.replaceChildren(title, tag("p", isPreliminary ? "facts preliminary" : "facts", words), ...lines, content);
}
