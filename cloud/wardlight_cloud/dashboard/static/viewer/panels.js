// What is shown in place of an image: waveforms, documents, reports.

import { text } from "./dicom.js";
import { showDocument } from "./documents.js";
import { showWaveforms } from "./ecg.js";
import { isPresentation, stateName } from "./presentations.js";
import { showReport } from "./report.js";
import { patientLines, whenLine } from "./whose.js";

function unknownKind(dataset) {
  const line = document.createElement("p");
  if (isPresentation(dataset)) {
    line.textContent = `Presentation state “${stateName(dataset)}”: how somebody wants images to be seen. Choose it above an image that it names.`;
    return line;
  }
  const modality = text(dataset, "Modality") || "modality unknown";
  line.textContent = `This object (${modality}) holds no image, waveform, document or report that this page draws.`;
  return line;
}

// Of whom the object itself says it is, and of when: a study may hold objects of somebody else.
function heading(dataset) {
  const line = document.createElement("p");
  line.className = "whose";
  const name = document.createElement("strong");
  const [first, ...more] = patientLines(dataset);
  name.textContent = first;
  line.append(name, [", ", more.join(", "), " · ", whenLine(dataset)].join(""));
  return line;
}

// {content, release}: the element to show for an entry, and what takes its memory back. ``room``:
// pixels of width there are; ``jump(sop, frame)`` goes to an image.
export async function panelOf(entry, web, room, jump) {
  const content = document.createElement("div");
  let release = () => {};
  if (entry.kind === "waveform") await showWaveforms(content, entry.dataset, web, room);
  else if (entry.kind === "document") release = await showDocument(content, entry.dataset, web);
  else if (entry.kind === "report") await showReport(content, entry.dataset, web, jump);
  else content.append(unknownKind(entry.dataset));
  content.prepend(heading(entry.dataset));
  return { content, release };
}
