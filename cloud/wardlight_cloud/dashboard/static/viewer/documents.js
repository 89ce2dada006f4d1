// Documents inside DICOM objects: PDF in the browser's own reader, other kinds as a download.

import { element, number, text } from "./dicom.js";

const KINDS = { "application/pdf": "pdf", "text/XML": "xml", "text/xml": "xml", "model/stl": "stl" };

function line(words) {
  const made = document.createElement("p");
  made.textContent = words;
  return made;
}

function link(url, name, words) {
  const made = document.createElement("a");
  made.href = url;
  made.download = name;
  made.textContent = words;
  return made;
}

const isPdf = (octets) => new TextDecoder("latin1").decode(octets.subarray(0, 1024)).includes("%PDF-");

// What a file of this document may be called: its title, as far as every system takes it.
export function fileName(title, kind) {
  const plain = title.normalize("NFC").replace(/[^\p{L}\p{N}]+/gu, " ").trim().slice(0, 60).trim();
  return `${plain || "document"}.${KINDS[kind] ?? "bin"}`;
}

// Show a document; returns what takes its memory back.
export async function showDocument(place, dataset, web) {
  const data = element(dataset, "EncapsulatedDocument");
  const kind = text(dataset, "MIMETypeOfEncapsulatedDocument");
  const title = document.createElement("h2");
  title.textContent = text(dataset, "DocumentTitle") || "Document";
  if (!data) { place.replaceChildren(title, line("The object holds no document.")); return () => {}; }
  const found = await web.bulk(data, kind || "application/octet-stream");
  // An odd length was padded (PS3.5, 8.1.1).
  const octets = found.subarray(0, number(dataset, "EncapsulatedDocumentLength") ?? found.length);
  const isShown = kind === "application/pdf" && isPdf(octets);
  // Only what is a PDF may be read as one; all else is octets to the browser, never a page.
  const url = URL.createObjectURL(new Blob([octets], { type: isShown ? kind : "application/octet-stream" }));
  const name = fileName(title.textContent, kind);
  const download = link(url, name, `Download ${name} (${Math.ceil(octets.length / 1024)} KiB)`);
  if (!isShown) {
    place.replaceChildren(title, line(`This page does not show ${kind || "a document of unknown kind"}.`), download);
    return () => URL.revokeObjectURL(url);
  }
  if (!navigator.pdfViewerEnabled) {
    const words = "This browser shows no PDF inside of a page. Download it to read it.";
    place.replaceChildren(title, line(words), download);
    return () => URL.revokeObjectURL(url);
  }
  // No sandbox: browsers do not start their reader in one. What the frame holds is a PDF and never
  // a page, and the policy of this page holds inside of it.
  const frame = document.createElement("iframe");
  frame.src = url;
  frame.title = title.textContent;
  frame.className = "pdf";
  place.replaceChildren(title, download, frame);
  return () => URL.revokeObjectURL(url);
}
