// What lies over the samples of an image: its display shutter (PS3.3, C.7.6.11) and its overlay
// planes (C.9.2), as the server draws them: making/shutter.py and making/overlays.py.

const GROUPS = Array.from({ length: 16 }, (_, i) => (0x6000 + 2 * i).toString(16).toUpperCase());
const WHITE = 255;

const listOf = (dataset, tag) => dataset[tag]?.Value ?? [];
const numberOf = (dataset, tag) => {
  const found = listOf(dataset, tag)[0];
  return found === undefined || found === null || found === "" ? undefined : Number(found);
};

// Calls ``mark(column)`` for the columns from ``first`` to ``last`` that there are, from 1.
function span(columns, first, last, mark) {
  for (let column = Math.max(1, Math.ceil(first)); column <= Math.min(columns, Math.floor(last)); column++) mark(column);
}

// Even-odd: each edge that a row crosses turns what lies to the right of it; edges are seen.
function polygon(dataset, { rows, columns }) {
  const found = listOf(dataset, "00181620").map(Number);
  const corners = Array.from({ length: found.length >> 1 }, (_, i) => [found[2 * i], found[2 * i + 1]]);
  if (corners.length < 3 || found.length % 2 || !found.every(Number.isFinite)) return null;
  const seen = new Uint8Array(rows * columns), border = new Uint8Array(rows * columns);
  corners.forEach((corner, i) => {
    const next = corners[(i + 1) % corners.length];
    const isFirst = corner[0] < next[0] || (corner[0] === next[0] && corner[1] <= next[1]);
    const [[top, left], [low, right]] = isFirst ? [corner, next] : [next, corner];
    for (let row = Math.max(1, top); row <= Math.min(rows, low); row++) {
      const at = (row - 1) * columns - 1;
      const onBorder = (column) => { border[at + column] = 1; };
      if (top === low) { span(columns, Math.min(left, right), Math.max(left, right), onBorder); continue; }
      const column = left + (row - top) * (right - left) / (low - top);
      span(columns, column, column, onBorder);
      if (row < low) span(columns, column, columns, (place) => { seen[at + place] ^= 1; });
    }
  });
  return (row, column) => seen[(row - 1) * columns + column - 1] || border[(row - 1) * columns + column - 1];
}

function rectangle(dataset) {
  const [left, right, upper, lower] = ["00181602", "00181604", "00181606", "00181608"].map((tag) => numberOf(dataset, tag));
  if (![left, right, upper, lower].every(Number.isFinite)) return null;
  return (row, column) => row >= upper && row <= lower && column >= left && column <= right;
}

function circle(dataset) {
  const [centerRow, centerColumn] = listOf(dataset, "00181610").map(Number);
  const radius = numberOf(dataset, "00181612");
  if (![centerRow, centerColumn, radius].every(Number.isFinite)) return null;
  return (row, column) => (row - centerRow) ** 2 + (column - centerColumn) ** 2 <= radius ** 2;
}

const SHAPES = { RECTANGULAR: rectangle, CIRCULAR: circle, POLYGONAL: polygon };

// Hides what lies outside of any shape; a shutter that would hide all of the image is none.
function shut(dataset, image, cover) {
  const shapes = listOf(dataset, "00181600").map((name) => SHAPES[name]?.(dataset, image)).filter(Boolean);
  const hidden = [];
  for (let row = 1, place = 0; row <= image.rows; row++) {
    for (let column = 1; column <= image.columns; column++, place++) {
      if (!shapes.every((isSeen) => isSeen(row, column))) hidden.push(place);
    }
  }
  if (hidden.length === cover.length) return;
  const grey = Math.min(255, (numberOf(dataset, "00181622") ?? 0) >> 8);
  for (const place of hidden) cover[place] = grey;
}

// Which of the plane's frames lies over this one, from 0; one without a number over all.
function frameOfPlane(dataset, group, frame) {
  const count = numberOf(dataset, `${group}0015`), first = numberOf(dataset, `${group}0051`);
  if (count === undefined && first === undefined) return 0;
  const place = frame - (first || 1);
  return place >= 0 && place < (count || 1) ? place : null;
}

// (row, column) from 0 -> whether the plane has its bit set there; null: nothing over this frame.
async function planeOf(dataset, group, picture, octetsOf) {
  const rows = numberOf(dataset, `${group}0010`), columns = numberOf(dataset, `${group}0011`);
  if (!(rows > 0 && columns > 0)) return null;
  const data = dataset[`${group}3000`];
  const isIn = (row, column) => row >= 0 && column >= 0 && row < rows && column < columns;
  if (data) {
    const place = frameOfPlane(dataset, group, picture.frame);
    if (place === null) return null;
    const octets = await octetsOf(data);
    const first = place * rows * columns;
    if (octets.length * 8 < first + rows * columns) return null;
    const has = (row, column) => {
      const bit = first + row * columns + column;
      return isIn(row, column) && (octets[bit >> 3] >> (bit & 7)) & 1;
    };
    return { rows, columns, has };
  }
  const { image, octets, isBigEndian } = picture;
  const bit = numberOf(dataset, `${group}0102`) ?? 0;
  const isSample = bit > image.highBit - image.bitsStored && bit <= image.highBit;
  if (isSample || rows !== image.rows || columns !== image.columns || await picture.wasDecoded()) return null;
  const view = new DataView(octets.buffer, octets.byteOffset);
  const word = (place) => image.bitsAllocated === 8 ? octets[place] : view.getUint16(2 * place, !isBigEndian);
  return { rows, columns, has: (row, column) => isIn(row, column) && (word(row * columns + column) >> bit) & 1 };
}

function lay(dataset, group, { rows, columns, has }, image, cover) {
  const [top, left] = [0, 1].map((i) => Number(listOf(dataset, `${group}0050`)[i] ?? 1) - 1);
  // Of a region only the outline: it hides nothing of the image.
  const isRegion = listOf(dataset, `${group}0040`)[0] === "R";
  const isInner = (row, column) => has(row - 1, column) && has(row + 1, column) && has(row, column - 1) && has(row, column + 1);
  for (let row = Math.max(0, -top); row < Math.min(rows, image.rows - top); row++) {
    for (let column = Math.max(0, -left); column < Math.min(columns, image.columns - left); column++) {
      if (!has(row, column) || (isRegion && isInner(row, column))) continue;
      cover[(row + top) * image.columns + column + left] = WHITE;
    }
  }
}

// The grey that lies over each sample, -1 where none does; null where nothing does anywhere.
// ``picture``: {image, frame, octets, isBigEndian} as the samples came; ``wasDecoded()`` asks whether
// they were stored compressed: then what lies beside them are no bits of a plane. ``octetsOf``
// brings what is not in the metadata itself. A plane that cannot be had is left out.
export async function coverOf(dataset, picture, octetsOf) {
  const groups = GROUPS.filter((group) => dataset[`${group}0010`]);
  if (!groups.length && !listOf(dataset, "00181600").length) return null;
  const cover = new Int16Array(picture.image.rows * picture.image.columns).fill(-1);
  shut(dataset, picture.image, cover);
  for (const group of groups) {
    const plane = await planeOf(dataset, group, picture, octetsOf).catch(() => null);
    if (plane) lay(dataset, group, plane, picture.image, cover);
  }
  return cover;
}

export function paintCover(cover, pixels) {
  const packed = new Uint32Array(pixels.buffer);
  for (let i = 0; i < cover.length; i++) if (cover[i] >= 0) packed[i] = 0xff000000 | (cover[i] * 0x010101);
}
