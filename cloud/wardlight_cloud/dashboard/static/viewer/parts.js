// The parts of the page, told what to do with what happens in them.

import { Cine } from "./cine.js";
import { KeyDrawing } from "./key_drawing.js";
import { loading } from "./loading.js";
import { Notes } from "./notes.js";
import { correctNote, jumpToNote } from "./noting.js";
import { at, isTouch, root, say } from "./page.js";
import { Pictures } from "./pictures.js";
import { move } from "./showing.js";
import { Stage } from "./stage.js";
import { state } from "./state.js";
import { addShape } from "./tools.js";
import { Dicomweb } from "./web.js";

const MIB = 2 ** 20;
const isSmall = isTouch || (navigator.deviceMemory ?? 8) <= 2;

export const web = new Dicomweb(root.dataset.root, root.dataset.study);
export const pictures = new Pictures(web, (isSmall ? 96 : 512) * MIB, loading);
export const stage = new Stage(at("canvas"));
export const byKey = new KeyDrawing(stage, say, (points) => addShape({ kind: state.tool, points }));
export const cine = new Cine(() => move(1, { isEndless: true }));
export const notes = new Notes(at(".notes"), root.dataset.notes, jumpToNote, correctNote);
