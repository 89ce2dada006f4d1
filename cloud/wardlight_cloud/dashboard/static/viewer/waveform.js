// Samples of a waveform object as what was measured (PS3.3, C.10.9): each channel in its own unit.

import { items, number, text, value } from "./dicom.js";
import { leadsOf } from "./leads.js";

const READERS = { SS: ["getInt16", 2], US: ["getUint16", 2], SB: ["getInt8", 1], UB: ["getUint8", 1] };
const MILLIVOLTS = { nV: 1e-6, uV: 1e-3, "µV": 1e-3, mV: 1, V: 1000 };

function filters(channel) {
  const low = number(channel, "FilterLowFrequency"), high = number(channel, "FilterHighFrequency");
  const notch = number(channel, "NotchFilterFrequency");
  return [
    low > 0 ? `from ${low} Hz` : "", high > 0 ? `to ${high} Hz` : "",
    notch > 0 ? `without ${notch} Hz` : notch === 0 ? "no notch" : "",
  ].filter(Boolean).join(", ");
}

// Encoded 1 in the channel's unit, and what encoded 0 is; null: the object does not calibrate it.
function calibration(channel) {
  const sensitivity = number(channel, "ChannelSensitivity");
  if (sensitivity === undefined) return null;
  const unit = text(items(channel, "ChannelSensitivityUnitsSequence")[0] ?? {}, "CodeValue");
  const toMillivolts = MILLIVOLTS[unit];
  const factor = sensitivity * (number(channel, "ChannelSensitivityCorrectionFactor") ?? 1);
  const baseline = number(channel, "ChannelBaseline") ?? 0;
  return {
    factor: factor * (toMillivolts ?? 1), baseline: baseline * (toMillivolts ?? 1),
    unit: toMillivolts ? "mV" : unit,
  };
}

function reader(group) {
  const [name, size] = READERS[text(group, "WaveformSampleInterpretation")] ?? [];
  if (!name || number(group, "WaveformBitsAllocated") !== size * 8) return null;
  return { name, size };
}

function padding(group) {
  const found = value(group, "WaveformPaddingValue") ?? group["5400100A"]?.InlineBinary;
  if (typeof found === "number") return found;
  const read = reader(group);
  if (typeof found !== "string" || !read) return undefined;
  const octets = Uint8Array.from(atob(found), (letter) => letter.charCodeAt(0));
  if (octets.length < read.size) return undefined;
  return new DataView(octets.buffer)[read.name](0, true);
}

// A multiplex group: {label, rate, seconds, channels: [{name, isLead, unit, filters, samples}]};
// samples are numbers, NaN where the recorder had none. null: encoded as this page does not read it.
export function readGroup(group, octets) {
  const read = reader(group);
  const definitions = items(group, "ChannelDefinitionSequence");
  const count = number(group, "NumberOfWaveformSamples"), rate = number(group, "SamplingFrequency");
  if (!read || !definitions.length || !count || !(rate > 0)) return null;
  if (octets.length < count * definitions.length * read.size) return null;
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const gap = padding(group);
  const leads = leadsOf(definitions);
  const channels = definitions.map((channel, place) => {
    const scale = calibration(channel);
    const samples = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const encoded = view[read.name]((i * definitions.length + place) * read.size, true);
      samples[i] = encoded === gap ? NaN : scale ? encoded * scale.factor + scale.baseline : encoded;
    }
    return {
      ...leads[place], unit: scale?.unit ?? "", isCalibrated: scale !== null,
      filters: filters(channel), samples,
    };
  });
  return {
    label: text(group, "MultiplexGroupLabel"), rate, seconds: count / rate, channels,
    isDerived: text(group, "WaveformOriginality") === "DERIVED",
  };
}
