// The state of the page, in one place. Views draw what it holds; the browser's storage keeps it over a reload.
import { clamp } from "./dom.js";
import { History, emptyDocument, timeOf } from "./layout.js";

const STORAGE = "ttom-studio";

export const state = {
  info: null,
  document: emptyDocument(),
  frame: 0,
  selected: null, // id of an object
  words: "", // the phrase of the next box
  view: { grid: false, mask: false, snap: true, path: true, draw: false, whole: false, video: false },
  form: { planner: "rules", method: null, preset: {}, settings: {}, seed: 0, compare: true },
  run: null, // id of the run that is shown
  problems: [],
};

const history = new History();
const listeners = [];
let scheduled = false,
  saving = null,
  before = null;

export const subscribe = (listener) => listeners.push(listener);

export function changed() {
  if (!scheduled) {
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      for (const listener of listeners) listener();
    });
  }
  clearTimeout(saving);
  saving = setTimeout(persist, 150);
}

export function persist() {
  clearTimeout(saving);
  const { document, frame, selected, view, form, run } = state;
  try {
    localStorage.setItem(STORAGE, JSON.stringify({ version: 1, document, frame, selected, view, form, run }));
  } catch {
    // storage is full or forbidden: the page works without it
  }
}

export function restore() {
  let kept;
  try {
    kept = JSON.parse(localStorage.getItem(STORAGE));
  } catch {
    return;
  }
  if (kept?.version !== 1 || typeof kept.document?.prompt !== "string" || !kept.document.objects?.every?.(isObject))
    return;
  state.document = { ...emptyDocument(), ...kept.document };
  Object.assign(state.view, kept.view, { draw: false });
  Object.assign(state.form, kept.form);
  Object.assign(state, { frame: kept.frame ?? 0, selected: kept.selected ?? null, run: kept.run ?? null });
}

// Storage may hold what another version of this page left.
const isObject = ({ id, phrase, noun, key_frames: keys, visible }) =>
  [id, phrase, noun].every((text) => typeof text === "string") &&
  visible?.length === 2 &&
  keys?.length > 0 &&
  keys.every(({ time, box }) => [time, box?.x0, box?.y0, box?.x1, box?.y1].every(Number.isFinite));

export const frames = () => state.info.frames;
export const now = () => timeOf(state.frame, frames());
export const selected = () => state.document.objects.find((item) => item.id === state.selected) ?? null;
export const indexOf = (id) => state.document.objects.findIndex((item) => item.id === id);

export function go(frame) {
  state.frame = clamp(Math.round(frame), 0, frames() - 1);
  changed();
}

export function select(id) {
  state.selected = id;
  state.words = "";
  changed();
}

// Changes the document, with undo. Edits of one `kind` that follow each other quickly are undone together.
export function edit(change, kind = null) {
  const draft = structuredClone(state.document);
  const result = change(draft);
  history.record(state.document, kind);
  state.document = draft;
  changed();
  return result;
}

export const editObject = (id, change, kind = null) =>
  edit((draft) => change(draft.objects.find((item) => item.id === id)), kind && `${kind} ${id}`);

// While a pointer drags: each change starts from the document at the beginning, and all are one step of undo.
export function drag(change) {
  before ??= state.document;
  state.document = structuredClone(before);
  change(state.document);
  changed();
}

export function drop(keep = true) {
  if (before === null) return;
  if (!keep) state.document = before;
  else if (JSON.stringify(before) !== JSON.stringify(state.document)) history.record(before);
  before = null;
  changed();
}

export const canUndo = () => history.past.length > 0;
export const canRedo = () => history.future.length > 0;

function travel(found) {
  if (found === null) return;
  state.document = found;
  if (indexOf(state.selected) < 0) state.selected = null;
  changed();
}

export const undo = () => travel(history.undo(state.document));
export const redo = () => travel(history.redo(state.document));
