// What keys do in the viewer; the same list is the help that `?` shows.

export const KEYS = [
  [["ArrowDown", "ArrowRight"], "next", "next image"],
  [["ArrowUp", "ArrowLeft"], "previous", "previous image"],
  [["PageDown"], "forward", "ten images on"],
  [["PageUp"], "backward", "ten images back"],
  [["Home"], "first", "first image"],
  [["End"], "last", "last image"],
  [["]"], "nextSeries", "next series"],
  [["["], "previousSeries", "previous series"],
  [[" "], "play", "play or stop"],
  [["w"], "window", "tool: window and level"],
  [["s"], "scroll", "tool: scroll"],
  [["p"], "pan", "tool: pan"],
  [["z"], "zoom", "tool: zoom"],
  [["l"], "length", "tool: length"],
  [["a"], "arrow", "tool: arrow"],
  [["e"], "ellipse", "tool: ellipse"],
  [["+", "="], "larger", "larger"],
  [["-"], "smaller", "smaller"],
  [["f"], "fit", "fit to the window"],
  [["x"], "pixel", "one pixel for one of the screen"],
  [["i"], "invert", "invert"],
  [["r"], "reset", "reset everything"],
  [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "preset", "windows of the list"],
  [["Backspace", "Delete"], "undo", "take back the last drawing"],
  [["n"], "note", "write a note"],
  [["?"], "help", "this list"],
];

const ALSO = [
  ["Shift + arrows", "window narrower, wider; darker, brighter"],
  ["Ctrl + arrows", "move the image"],
  ["arrows, Enter, Esc", "with a drawing tool: move the cross, set an end, leave"],
  ["wheel, Ctrl + wheel", "scroll, zoom"],
  ["middle, right button", "move, zoom"],
  ["two fingers", "zoom and move"],
];
const NAMES = { " ": "Space", ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→" };

// Fill a table body with the list.
export function showHelp(body) {
  const lines = KEYS.map(([keys, , what]) => {
    const shown = keys.length > 4 ? `${keys[0]} to ${keys[keys.length - 1]}`
      : keys.map((key) => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key)).join(", ");
    return [shown, what];
  });
  for (const [keys, what] of [...lines, ...ALSO]) {
    const row = body.insertRow();
    const name = document.createElement("kbd");
    name.textContent = keys;
    row.insertCell().append(name);
    row.insertCell().textContent = what;
  }
}

// Keys go to ``act(name, key)``; ``arrow(dx, dy, event)`` is asked first and says whether it took one.
export function listen(act, arrow) {
  const shifts = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (target.closest("input, textarea, select, dialog, iframe, .paper-scroll")) return;
    if ((event.key === " " || event.key === "Enter") && target.closest("button, a, summary")) return;
    if (arrow(shifts[event.key] ?? null, event)) { event.preventDefault(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const found = KEYS.find(([keys]) => keys.includes(key));
    if (!found) return;
    event.preventDefault();
    act(found[1], key);
  });
}
