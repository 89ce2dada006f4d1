// The page itself: its elements, and what is said to the reader.


export const root = document.getElementById("viewer");
export const at = (selector) => root.querySelector(selector);
export const isTouch = matchMedia("(pointer: coarse)").matches;

export function say(words, isError = false) {
  at(".status").textContent = words;
  at(".status").classList.toggle("error", isError);
}

export function fail(error) {
  if (error.name === "AbortError") return;
  say(error.status === undefined ? `This page cannot show it: ${error.message}` : error.message, true);
}
