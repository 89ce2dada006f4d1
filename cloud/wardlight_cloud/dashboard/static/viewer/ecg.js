// Draws waveforms on the paper that readers know: 25 mm/s, 10 mm/mV, millimetre grid.

import { element, items } from "./dicom.js";
import { SHEET, isTwelveLead } from "./leads.js";
import { readGroup } from "./waveform.js";

const SVG = "http://www.w3.org/2000/svg";
const MM_PER_S = 25, MM_PER_MV = 10;
const BIN_MM = 0.2; // the lowest and the highest sample of each stay, so that no spike is lost
const MARGIN_MM = 12;
const SHEET_S = 10;
const SIZES = [1, 12]; // pixels of the screen for a millimetre: least and most
const USUAL_SIZE = 4;

function svg(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

// "M x y L x y ..." of samples [from, to), in mm; x from 0, y upwards negative.
export function tracePath(samples, rate, mmPerUnit, from = 0, to = samples.length) {
  const perBin = Math.max(1, Math.floor(BIN_MM / MM_PER_S * rate));
  const parts = [];
  let isDown = false;
  const point = (i) => {
    if (Number.isNaN(samples[i])) { isDown = false; return; }
    const x = (i - from) / rate * MM_PER_S, y = -samples[i] * mmPerUnit;
    parts.push(`${isDown ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(3)}`);
    isDown = true;
  };
  for (let start = from; start < to; start += perBin) {
    const end = Math.min(to, start + perBin);
    let low = start, high = start, hasGap = false;
    for (let i = start; i < end; i++) {
      hasGap ||= Number.isNaN(samples[i]);
      if (samples[i] < samples[low]) low = i;
      if (samples[i] > samples[high]) high = i;
    }
    if (hasGap) for (let i = start; i < end; i++) point(i);
    else if (low === high) point(low);
    else [Math.min(low, high), Math.max(low, high)].forEach(point);
  }
  return parts.join("");
}

// Millimetres for one unit: the standard's for millivolts, else what makes 20 mm of the range.
function gain(channel) {
  if (channel.unit === "mV") return MM_PER_MV;
  let least = Infinity, most = -Infinity;
  for (const one of channel.samples) { if (one < least) least = one; if (one > most) most = one; }
  return most > least ? 20 / (most - least) : 1;
}

// What goes where: [{channel, from, to, x, row}] and how large the paper is, in mm.
function sheet(group) {
  const named = new Map(group.channels.map((channel) => [channel.name, channel]));
  const step = SHEET_S / 4 * group.rate;
  const traces = SHEET.flatMap((names, row) => names.map((name, column) => ({
    channel: named.get(name), from: Math.round(column * step), to: Math.round((column + 1) * step),
    x: column * SHEET_S / 4 * MM_PER_S, row,
  })));
  traces.push({ channel: named.get("II"), from: 0, to: Math.round(4 * step), x: 0, row: 3 });
  return { traces, rows: 4, width: SHEET_S * MM_PER_S, rowHeight: 32 };
}

function rows(group) {
  const traces = group.channels.map((channel, row) => ({
    channel, from: 0, to: channel.samples.length, x: 0, row,
  }));
  return { traces, rows: traces.length, width: group.seconds * MM_PER_S, rowHeight: 26 };
}

export const fitsSheet = (group) => group.seconds >= SHEET_S - 0.01 && isTwelveLead(group.channels);

// Leads that the sheet of twelve has no place for.
const besideSheet = (group) => group.channels.map(({ name }) => name).filter((name) => !SHEET.flat().includes(name));

function grid(root, width, height) {
  const patterns = svg("defs", {}, root);
  for (const [name, step, stroke] of [["fine", 1, 0.08], ["coarse", 5, 0.2]]) {
    const pattern = svg("pattern", { id: `grid-${name}`, width: step, height: step, patternUnits: "userSpaceOnUse" }, patterns);
    svg("path", { d: `M${step} 0H0V${step}`, class: `grid ${name}`, "stroke-width": stroke }, pattern);
  }
  for (const name of ["fine", "coarse"]) svg("rect", { width, height, fill: `url(#grid-${name})` }, root);
}

function draw(layout, size) {
  const width = layout.width + 2 * MARGIN_MM, height = layout.rows * layout.rowHeight + 8;
  const names = [...new Set(layout.traces.map(({ channel }) => channel.name))];
  const root = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, width: width * size, height: height * size, role: "img",
    "aria-label": `Waveforms of ${names.length} channels: ${names.join(", ")}`, class: "paper",
  });
  grid(root, width, height);
  for (const { channel, from, to, x, row } of layout.traces) {
    const y = (row + 0.6) * layout.rowHeight;
    const group = svg("g", { transform: `translate(${MARGIN_MM + x} ${y})`, "data-lead": channel.name }, root);
    if (x === 0 && channel.unit === "mV") {
      svg("path", { d: `M-9 0h1.5v-${MM_PER_MV}h5v${MM_PER_MV}h1.5`, class: "pulse" }, group);
    }
    svg("path", { d: tracePath(channel.samples, layout.rate, gain(channel), from, to), class: "trace" }, group);
    svg("text", { x: 1, y: -layout.rowHeight * 0.42, class: "lead" }, group).textContent = channel.name;
  }
  return root;
}

function saying(group, isSheet) {
  const mv = group.channels.every((channel) => channel.unit === "mV");
  const said = new Set(group.channels.map((channel) => channel.filters));
  return [
    mv ? `${MM_PER_S} mm/s, ${MM_PER_MV} mm/mV; a small square is 0.04 s and 0.1 mV.`
      : `${MM_PER_S} mm/s; channels that are not in millivolts are scaled each to its own range.`,
    `${group.channels.length} channels, ${Number(group.seconds.toFixed(2))} s at ${group.rate} samples/s.`,
    group.channels.every((channel) => channel.isCalibrated) ? "" : "Some channels are not calibrated: their heights mean nothing.",
    said.size === 1 && !said.has("") ? `Filters: ${[...said][0]}.` : said.has("") ? "Filters unknown." : "Filters differ by channel.",
    isSheet && besideSheet(group).length ? `Not on this sheet: ${besideSheet(group).join(", ")}.` : "",
    group.isDerived ? "Computed from other samples, not recorded so." : "",
  ].filter(Boolean).join(" ");
}

function button(text, parent, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  parent.append(made);
  return made;
}

// One group on its paper, with what may be changed about it.
function groupView(group, room) {
  const section = document.createElement("section");
  const tools = document.createElement("div");
  const caption = document.createElement("p");
  const paper = document.createElement("div");
  tools.className = "paper-tools";
  paper.className = "paper-scroll";
  paper.tabIndex = 0;
  paper.setAttribute("role", "region");
  paper.setAttribute("aria-label", group.label || "Waveforms");
  let isSheet = fitsSheet(group);
  // A sheet as wide as there is room, where it stays legible.
  const fitting = room / (SHEET_S * MM_PER_S + 2 * MARGIN_MM);
  let size = isSheet ? Math.min(USUAL_SIZE, Math.max(2.4, fitting)) : USUAL_SIZE;
  const show = () => {
    const layout = { ...(isSheet ? sheet(group) : rows(group)), rate: group.rate };
    paper.replaceChildren(draw(layout, size));
    caption.textContent = `${saying(group, isSheet)} On this screen a millimetre is ${Number(size.toFixed(1))} pixels.`;
  };
  const resize = (factor) => { size = Math.min(SIZES[1], Math.max(SIZES[0], size * factor)); show(); };
  if (isSheet) {
    const other = button("All leads in full", tools, () => {
      isSheet = !isSheet;
      other.textContent = isSheet ? "All leads in full" : "As a sheet of 3 × 4";
      show();
    });
  }
  button("Smaller", tools, () => resize(0.8));
  button("Larger", tools, () => resize(1.25));
  show();
  const title = document.createElement("h2");
  title.textContent = group.label || "Waveforms";
  section.append(title, caption, tools, paper);
  return section;
}

// Show all multiplex groups of a waveform object in ``place``, which has ``room`` pixels of width.
export async function showWaveforms(place, dataset, web, room) {
  const sections = [];
  for (const group of items(dataset, "WaveformSequence")) {
    const data = element(group, "WaveformData");
    const read = data ? readGroup(group, await web.bulk(data)) : null;
    if (read) { sections.push(groupView(read, room)); continue; }
    const line = document.createElement("p");
    line.textContent = "A group of waveforms in this object is encoded in a way that this page does not read.";
    sections.push(line);
  }
  place.replaceChildren(...sections);
}
