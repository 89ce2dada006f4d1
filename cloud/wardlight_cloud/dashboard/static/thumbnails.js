// A study whose picture cannot be made gets its modality in letters, not a broken picture.
"use strict";
(() => {
  function replace(image) {
    const blank = document.createElement("span");
    blank.className = "no-picture";
    blank.textContent = image.dataset.modality;
    image.replaceWith(blank);
  }
  for (const image of document.querySelectorAll(".study img")) {
    image.addEventListener("error", () => replace(image));
    if (image.complete && !image.naturalWidth) replace(image);
  }
})();
