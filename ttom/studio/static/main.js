// Starts the page, and gives the actions their buttons and keys.
import * as api from "./api.js";
import * as behind from "./behind.js";
import * as canvas from "./canvas.js";
import * as check from "./check.js";
import { byId, hush, hushUnreachable, tell } from "./dom.js";
import * as files from "./files.js";
import * as generate from "./generate.js";
import { addKey, keyAt, removeKey } from "./layout.js";
import * as memory from "./memory.js";
import * as objects from "./objects.js";
import * as prompt from "./prompt.js";
import * as runs from "./runs.js";
import {
  canRedo,
  canUndo,
  changed,
  editObject,
  frames,
  go,
  persist,
  redo,
  restore,
  select,
  selected,
  state,
  subscribe,
  undo,
} from "./store.js";
import * as timeline from "./timeline.js";

const toggle = (name) => () => {
  state.view[name] = !state.view[name];
  changed();
};

const ACTIONS = {
  play: timeline.toggle,
  back: () => go(state.frame - 1),
  forward: () => go(state.frame + 1),
  first: () => go(0),
  last: () => go(frames() - 1),
  "key-previous": () => timeline.goToKey(-1),
  "key-next": () => timeline.goToKey(1),
  "key-add": () => selected() && editObject(state.selected, (item) => addKey(item, state.frame, frames())),
  "key-remove": removeKeyHere,
  add: () => canvas.add(freePlace()),
  duplicate: () => objects.copy(state.selected),
  delete: () => objects.remove(state.selected),
  undo,
  redo,
  draw: toggle("draw"),
  whole: toggle("whole"),
  snap: toggle("snap"),
  grid: toggle("grid"),
  mask: toggle("mask"),
  path: toggle("path"),
  video: toggle("video"),
  "help-open": () => byId("help").showModal(),
};

const KEYS = {
  " ": "play",
  ArrowLeft: "back",
  ArrowRight: "forward",
  Home: "first",
  End: "last",
  "[": "key-previous",
  "]": "key-next",
  k: "key-add",
  K: "key-remove",
  n: "add",
  d: "draw",
  w: "whole",
  s: "snap",
  g: "grid",
  m: "mask",
  p: "path",
  v: "video",
  Delete: "delete",
  Backspace: "delete",
  "?": "help-open",
};
const WITH_CONTROL = { z: "undo", y: "redo", d: "duplicate" };

function removeKeyHere() {
  const item = selected(),
    at = item ? keyAt(item, state.frame, frames()) : -1;
  if (at >= 0) editObject(item.id, (draft) => removeKey(draft, at));
}

// New boxes without a pointer step through the picture, so that they do not hide each other.
function freePlace() {
  const count = state.document.objects.length,
    x = 0.08 + 0.3 * (count % 3),
    y = 0.1 + 0.4 * (Math.floor(count / 3) % 2);
  return { x0: x, y0: y, x1: x + 0.26, y1: y + 0.4 };
}

// Keys without Ctrl work while the focus is in the editor or nowhere, never while somebody types or uses a control.
function keydown(event) {
  if (event.defaultPrevented || byId("help").open || byId("confirm").open) return;
  const { target } = event,
    typing = target.matches("textarea, input:not([type=range]):not([type=checkbox]):not([type=radio]), select");
  if (event.key === "Escape") {
    canvas.release(false);
    timeline.release(false);
    state.view.draw = false;
    state.words = "";
    hush();
    if (!typing) select(null);
    return;
  }
  let action;
  if (event.ctrlKey || event.metaKey)
    action = event.shiftKey && event.key.toLowerCase() === "z" ? "redo" : WITH_CONTROL[event.key.toLowerCase()];
  else if (!event.altKey && (target === document.body || target.closest("#editor"))) action = KEYS[event.key];
  if (!action || typing) return;
  if (event.key === " " && target.matches("button, a, summary, [role=button]")) return;
  if (event.key.startsWith("Arrow") && target.matches("input, [role=slider]")) return;
  event.preventDefault();
  ACTIONS[action]();
}

function draw() {
  for (const name of ["draw", "whole", "snap", "grid", "mask", "path", "video"])
    byId(name).setAttribute("aria-pressed", String(state.view[name]));
  byId("undo").disabled = !canUndo();
  byId("redo").disabled = !canRedo();
  for (const name of ["duplicate", "delete"]) byId(name).disabled = !selected();
}

async function start() {
  restore();
  api.onReturn(hushUnreachable);
  try {
    state.info = await api.info();
  } catch (error) {
    tell(error);
    return;
  }
  state.frame = Math.min(state.frame, state.info.frames - 1);
  const { model, family, width, height, fps } = state.info;
  byId("model").textContent = `${model} · ${width} × ${height}, ${frames()} frames at ${fps}/s`;
  byId("model").title = family;
  for (const [name, act] of Object.entries(ACTIONS)) if (name !== "play") byId(name)?.addEventListener("click", act);
  byId("message-close").addEventListener("click", hush);
  addEventListener("keydown", keydown);
  addEventListener("pagehide", persist);
  for (const part of [prompt, canvas, behind, timeline, objects, check, files, memory]) part.start();
  generate.start(runs.begun);
  subscribe(draw);
  changed();
  document.body.classList.add("ready");
  await runs.start();
}

start();
