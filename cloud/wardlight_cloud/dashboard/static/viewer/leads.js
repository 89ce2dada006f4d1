// Leads of an ECG by the code that an object gives them, never by its words: what is called "aVR" may
// be its mirror image, and "Frank Lead I" is no lead I.
// Source  PS3.16, CID 3001: MDC 2:n (ISO/IEEE 11073-10101); SCPECG 5.6.3-9-n has the same numbers.

import { code, items, text } from "./dicom.js";

const NUMBERS = { MDC: /^2:([0-9]{1,3})$/, SCPECG: /^5\.6\.3-9-([0-9]{1,3})$/ };

export const LEADS = new Map([
  [0, "Unspecified lead"],
  [1, "I"], [2, "II"], [3, "V1"], [4, "V2"], [5, "V3"], [6, "V4"], [7, "V5"], [8, "V6"], [9, "V7"],
  [10, "V2R"], [11, "V3R"], [12, "V4R"], [13, "V5R"], [14, "V6R"], [15, "V7R"],
  [16, "X"], [17, "Y"], [18, "Z"],
  [19, "CC5 (V5, V5R)"], [20, "CM5"], [21, "Left arm"], [22, "Right arm"], [23, "Left leg"],
  [24, "Frank I"], [25, "Frank E"], [26, "Frank C"], [27, "Frank A"], [28, "Frank M"],
  [29, "Frank F"], [30, "Frank H"],
  [31, "Derived I"], [32, "Derived II"], [33, "Derived V1"], [34, "Derived V2"], [35, "Derived V3"],
  [36, "Derived V4"], [37, "Derived V5"], [38, "Derived V6"],
  [61, "III"], [62, "aVR"], [63, "aVL"], [64, "aVF"], [65, "-aVR"],
  [66, "V8"], [67, "V9"], [68, "V8R"], [69, "V9R"],
  [70, "D (Nehb dorsal)"], [71, "A (Nehb anterior)"], [72, "J (Nehb inferior)"],
  [73, "Defibrillator, anterior-lateral"], [74, "External pacing, anterior-posterior"],
  [75, "Auxiliary unipolar 1"], [76, "Auxiliary unipolar 2"], [77, "Auxiliary unipolar 3"],
  [78, "Auxiliary unipolar 4"],
  [86, "Chest"], [87, "Precordial"],
  [88, "VR, not augmented"], [89, "VL, not augmented"], [90, "VF, not augmented"],
  [91, "MCL"], [92, "MCL1"], [93, "MCL2"], [94, "MCL3"], [95, "MCL4"], [96, "MCL5"], [97, "MCL6"],
  [98, "CC"], [99, "CC1 (V1, V1R)"], [100, "CC2 (V2, V2R)"], [101, "CC3 (V3, V3R)"],
  [102, "CC4 (V4, V4R)"], [103, "CC6 (V6, V6R)"], [104, "CC7 (V7, V8R)"],
  [105, "CM"], [106, "CM1"], [107, "CM2"], [108, "CM3"], [109, "CM4"], [110, "CM6"],
  [111, "Derived III"], [112, "Derived aVR"], [113, "Derived aVL"], [114, "Derived aVF"],
  [121, "CM7"], [122, "CH5"], [123, "CS5 (negative: right infraclavicular)"],
  [124, "CB5 (negative: low right scapula)"], [125, "CR5"], [126, "Modified limb"],
  [127, "Auxiliary bipolar 1"], [128, "Auxiliary bipolar 2"], [129, "Auxiliary bipolar 3"],
  [130, "Auxiliary bipolar 4"],
  [131, "EASI ES"], [132, "EASI AS"], [133, "EASI AI"], [134, "EASI upper sternum"],
  [147, "Right leg"],
  [148, "Canine, 5th right intercostal, sternum"], [149, "Canine, 6th left intercostal, sternum"],
  [150, "Canine, 6th left intercostal, costochondral"], [151, "Canine, dorsal, 7th vertebra"],
]);

// How the twelve stand on a sheet of 3 x 4.
export const SHEET = [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]];
const STANDARD = SHEET.flat();

function leadOfCode(item) {
  const found = NUMBERS[text(item, "CodingSchemeDesignator")]?.exec(text(item, "CodeValue"));
  return found ? LEADS.get(Number(found[1])) : undefined;
}

// {name, isLead}: ``isLead`` where the code says which lead it is; what has another code, none, or
// something added to it (PS3.3, C.10.9.1.4.1) is called as the object calls it.
export function leadOf(channel, place) {
  const source = items(channel, "ChannelSourceSequence")[0];
  const added = items(channel, "ChannelSourceModifiersSequence")
    .map((item) => text(item, "CodeMeaning") || text(item, "CodeValue"));
  const known = source && leadOfCode(source);
  const said = known ?? (code(channel, "ChannelSourceSequence") || text(channel, "ChannelLabel") || `Channel ${place + 1}`);
  return { name: [said, ...added].join(", "), isLead: known !== undefined && !added.length };
}

// Names that tell the channels of a group apart: those that two have get their place in it.
export function leadsOf(channels) {
  const found = channels.map(leadOf);
  const count = (name) => found.filter((one) => one.name === name).length;
  return found.map((lead, place) => count(lead.name) === 1 ? lead
    : { name: `${lead.name} (channel ${place + 1})`, isLead: false });
}

// Whether channels may stand on the sheet: each a lead by its code and once, the twelve among them.
export function isTwelveLead(channels) {
  return channels.every(({ isLead }) => isLead)
    && STANDARD.every((name) => channels.some((channel) => channel.name === name && channel.unit === "mV"));
}
