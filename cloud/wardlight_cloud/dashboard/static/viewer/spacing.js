// How long a line on an image is. Where nothing says how large a pixel is, it is told in pixels:
// a wrong millimetre is worse than none. Source: PS3.3, 10.7.1.3 and C.8.5.5.

import { isLocalizer, items, number, numbers, text } from "./dicom.js";

const PROJECTIONS = new Set(["CR", "DX", "IO", "MG", "PX", "RF", "RG", "XA"]);
const CENTIMETRES = 3, SECONDS = 4, HERTZ = 5, CM_PER_S = 7;
const UNITS = { [SECONDS]: "s", [HERTZ]: "Hz", [CM_PER_S]: "cm/s", [CENTIMETRES]: "cm" };

function pair(dataset, keyword) {
  const found = numbers(dataset, keyword);
  return found.length === 2 && found.every((one) => Number.isFinite(one) && one > 0) ? found : null;
}

// {rows, columns: mm between rows and between columns, note}; null where it is not known.
export function pixelSpacing(dataset) {
  const plain = pair(dataset, "PixelSpacing");
  const imager = pair(dataset, "ImagerPixelSpacing");
  const scanned = pair(dataset, "NominalScannedPixelSpacing");
  if (plain && isProjection(dataset)) return projection(dataset, plain, imager);
  if (plain) return { rows: plain[0], columns: plain[1], note: "" };
  if (imager) return { rows: imager[0], columns: imager[1], note: "at the detector" };
  if (scanned) return { rows: scanned[0], columns: scanned[1], note: "on the scanned film" };
  return null;
}

function isProjection(dataset) {
  return PROJECTIONS.has(text(dataset, "Modality")) || isLocalizer(dataset);
}

function projection(dataset, plain, imager) {
  const size = { rows: plain[0], columns: plain[1] };
  const how = text(dataset, "PixelSpacingCalibrationType");
  if (how === "GEOMETRY") return { ...size, note: "corrected for magnification" };
  if (how === "FIDUCIAL") return { ...size, note: "calibrated by an object of known size" };
  const isImager = imager && imager.every((one, i) => Math.abs(one - plain[i]) < 1e-6 * one);
  if (isImager) return { ...size, note: "at the detector" };
  return { ...size, note: imager ? "calibrated" : "not known whether calibrated" };
}

// How much higher than wide a pixel is drawn.
export function pixelHeight(dataset) {
  const size = pixelSpacing(dataset);
  if (size) return size.rows / size.columns;
  const aspect = numbers(dataset, "PixelAspectRatio");
  return aspect.length === 2 && aspect[0] > 0 && aspect[1] > 0 ? aspect[0] / aspect[1] : 1;
}

function holds(region, [x, y]) {
  const [x0, y0, x1, y1] = ["RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1"]
    .map((keyword) => number(region, keyword));
  return x >= x0 && x <= x1 && y >= y0 && y <= y1;
}

function regionText(region, dx, dy) {
  const [unitX, unitY] = [number(region, "PhysicalUnitsXDirection"), number(region, "PhysicalUnitsYDirection")];
  const [x, y] = [dx * number(region, "PhysicalDeltaX"), dy * number(region, "PhysicalDeltaY")];
  if (!Number.isFinite(x) || !Number.isFinite(y)) return null;
  if (unitX === CENTIMETRES && unitY === CENTIMETRES) return `${decimals(10 * Math.hypot(x, y))} mm`;
  const along = [[x, unitX], [y, unitY]].filter(([, unit]) => UNITS[unit])
    .map(([size, unit]) => `${unit === SECONDS ? Math.abs(size).toFixed(3) : decimals(Math.abs(size))} ${UNITS[unit]}`);
  return along.length ? along.join(", ") : null;
}

function decimals(size) {
  return size < 10 ? size.toFixed(2) : size.toFixed(1);
}

// "12.3 mm", "12.3 mm at the detector", "0.512 s, 34.0 cm/s" or "48.0 px"; points are [column, row].
export function lengthText(dataset, from, to) {
  const dx = to[0] - from[0], dy = to[1] - from[1];
  const pixels = `${Math.hypot(dx, dy).toFixed(1)} px`;
  const regions = items(dataset, "SequenceOfUltrasoundRegions");
  if (regions.length) {
    const common = regions.filter((region) => holds(region, from) && holds(region, to));
    // Two regions over each other may measure differently: then neither is taken.
    const said = new Set(common.map((region) => regionText(region, dx, dy)));
    return said.size === 1 ? [...said][0] ?? pixels : pixels;
  }
  const size = pixelSpacing(dataset);
  if (!size) return pixels;
  const length = `${decimals(Math.hypot(dx * size.columns, dy * size.rows))} mm`;
  return size.note ? `${length} ${size.note}` : length;
}
