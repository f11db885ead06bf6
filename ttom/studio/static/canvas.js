// The picture with its boxes: drawn, moved and resized by pointer; each box can also be focused and moved by keys.
import { byId, clamp, inkOn, keyed, make, objectColor, set } from "./dom.js";
import { addObject, boxAt, isVisible, keyAt, moveAll, moved, setBox, tidy, timeOf } from "./layout.js";
import { lines, snapEdges, snapMove } from "./snap.js";
import { drag, drop, edit, editObject, frames, go, indexOf, now, select, selected, state, subscribe } from "./store.js";
import { drawMasks } from "./mask.js";
import { nextPhrase, nounOf } from "./words.js";

const HANDLES = { nw: ["x0", "y0"], n: ["y0"], ne: ["x1", "y0"], e: ["x1"], se: ["x1", "y1"], s: ["y1"], sw: ["x0", "y1"], w: ["x0"] };
const REACH = 7; // pixels within which an edge snaps
const layers = {};
let stage, svg, size = { width: 1, height: 1 }, held = null, guides = [];

export function start() {
  stage = byId("stage");
  svg = byId("canvas");
  for (const name of ["grid", "paths", "boxes", "handles", "guides"]) svg.append((layers[name] = make("g", { class: name })));
  stage.style.aspectRatio = `${state.info.width} / ${state.info.height}`;
  stage.style.setProperty("--aspect", state.info.width / state.info.height);
  new ResizeObserver(measure).observe(stage);
  svg.addEventListener("pointerdown", down);
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerup", () => release(true));
  svg.addEventListener("pointercancel", () => release(false));
  svg.addEventListener("keydown", keydown);
  subscribe(draw);
  measure();
}

function measure() {
  const { width, height } = stage.getBoundingClientRect();
  if (!width || !height) return;
  size = { width, height };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  draw();
}

// ---- pointer ----

const point = (event) => {
  const area = stage.getBoundingClientRect();
  return { x: (event.clientX - area.left) / area.width, y: (event.clientY - area.top) / area.height };
};

function down(event) {
  if (!event.isPrimary || event.button > 0 || held) return;
  const at = point(event), handle = event.target.closest("[data-handle]"), node = event.target.closest("[data-key]");
  svg.setPointerCapture(event.pointerId);
  if (handle && selected()) {
    held = { kind: "resize", id: state.selected, edges: HANDLES[handle.dataset.handle], box: boxAt(selected(), now()), at };
  } else if (node?.closest(".boxes") && !state.view.draw) {
    const item = state.document.objects[indexOf(node.dataset.key)];
    if (state.selected !== item.id) select(item.id);
    node.focus({ preventScroll: true });
    held = { kind: "move", id: item.id, box: boxAt(item, now()), at, whole: event.altKey || state.view.whole };
  } else {
    const { x, y } = { x: clamp(at.x, 0, 1), y: clamp(at.y, 0, 1) };
    held = { kind: "draw", at: { x, y }, box: { x0: x, y0: y, x1: x, y1: y }, edges: ["x1", "y1"] };
  }
  event.preventDefault();
}

function move(event) {
  if (!held) return;
  const at = point(event), dx = at.x - held.at.x, dy = at.y - held.at.y;
  // A finger or an unsteady hand that only selects must not make a key frame.
  if (!held.moved && Math.hypot(dx * size.width, dy * size.height) < 3) return;
  held.moved = true;
  const free = !state.view.snap || event.ctrlKey || event.metaKey;
  if (held.kind === "move") return moveHeld(dx, dy, free);
  let box = { ...held.box };
  for (const edge of held.edges) box[edge] = clamp(held.box[edge] + (edge.startsWith("x") ? dx : dy), 0, 1);
  if (!free) ({ box, guides } = snapEdges(box, held.edges, snapLines(held.id), reach()));
  else guides = [];
  held.now = tidy(box);
  if (held.kind === "draw") return draw();
  drag((draft) => setBox(draft.objects[indexOf(held.id)], state.frame, frames(), held.now));
}

function moveHeld(dx, dy, free) {
  let box = moved(held.box, dx, dy);
  if (!free) ({ box, guides } = snapMove(box, snapLines(held.id), reach()));
  else guides = [];
  drag((draft) => {
    const item = draft.objects[indexOf(held.id)];
    if (held.whole) moveAll(item, box.x0 - held.box.x0, box.y0 - held.box.y0);
    else setBox(item, state.frame, frames(), moved(box, 0, 0));
  });
}

export function release(keep) {
  if (!held) return;
  const { kind, moved: hasMoved, now: box } = held;
  held = null;
  guides = [];
  if (kind === "draw" && keep && hasMoved) {
    const { id } = add(box);
    requestAnimationFrame(() => layers.boxes.querySelector(`[data-key="${CSS.escape(id)}"]`)?.focus({ preventScroll: true }));
  }
  else if (kind === "draw") select(null);
  drop(keep);
  draw();
}

export const isHeld = () => held !== null;

const reach = () => [REACH / size.width, REACH / size.height];
const snapLines = (id) =>
  lines(state.info.grid, state.document.objects.filter((item) => item.id !== id && isVisible(item, now())).map((item) => boxAt(item, now())));

// A new box, for the words that were selected, or else for the next noun without a box.
export function add(box) {
  const { document, info } = state;
  const phrase = state.words || nextPhrase(document.prompt, document.objects, info.nouns);
  const item = edit((draft) =>
    addObject(draft, { phrase, noun: nounOf(phrase, info.nouns), box, frame: state.frame, frames: frames() }));
  state.view.draw = false;
  select(item.id);
  return item;
}

// ---- keyboard ----

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function keydown(event) {
  const id = event.target.closest(".boxes > [data-key]")?.dataset.key;
  if (!id || event.ctrlKey || event.metaKey) return;
  if (event.key === "Enter" || event.key === " ") select(id);
  else if (ARROWS[event.key]) {
    const step = event.altKey ? 0.002 : 0.02, [x, y] = ARROWS[event.key];
    if (state.selected !== id) select(id);
    nudge(id, x * step, y * step, event.shiftKey);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

function nudge(id, dx, dy, resize) {
  editObject(id, (item) => {
    const box = boxAt(item, now());
    if (resize) setBox(item, state.frame, frames(), { ...box, x1: box.x1 + dx, y1: box.y1 + dy });
    else if (state.view.whole) moveAll(item, dx, dy);
    else setBox(item, state.frame, frames(), moved(box, dx, dy));
  }, resize ? "resize" : "nudge");
}

// ---- drawing ----

const place = (box) => ({
  x: box.x0 * size.width, y: box.y0 * size.height,
  width: (box.x1 - box.x0) * size.width, height: (box.y1 - box.y0) * size.height,
});

export function draw() {
  if (!state.info) return;
  const time = now(), chosen = selected();
  const shown = state.document.objects
    .map((item, index) => ({ item, index, box: boxAt(item, time), hidden: !isVisible(item, time) }))
    .filter(({ item, hidden }) => !hidden || item === chosen)
    .sort((one, two) => area(two.box) - area(one.box)); // small boxes stay within reach
  keyed(layers.boxes, shown, ({ item }) => item.id, createBox, updateBox);
  drawHandles(chosen && !held?.now ? boxAt(chosen, time) : null, chosen);
  drawPaths(chosen);
  drawGuides();
  drawGrid();
  drawMasks(byId("masks"), time);
  svg.classList.toggle("drawing", state.view.draw);
  byId("canvas-empty").hidden = state.document.objects.length > 0 || held !== null;
}

const area = (box) => (box.x1 - box.x0) * (box.y1 - box.y0);

function createBox() {
  return make("g", { tabindex: "0", role: "button" }, make("rect", { class: "area" }), make("rect", { class: "label" }), make("text"));
}

function updateBox(node, { item, index, box, hidden }) {
  const color = objectColor(index), at = place(box), [outline, label, text] = node.children;
  const wrong = state.problems.some((problem) => problem.id === item.id);
  set(node, {
    class: ["box", item.id === state.selected && "selected", hidden && "hidden-now", wrong && "wrong"].filter(Boolean).join(" "),
    "--color": color, "aria-pressed": String(item.id === state.selected), "aria-label": described(item, box, hidden, wrong),
  });
  set(outline, at);
  const name = `${wrong ? "⚠ " : ""}${item.phrase || "unnamed"}`;
  if (text.textContent !== name) text.textContent = name;
  // The label sits above its box, or inside where there is no room above.
  const width = name.length * 7.2 + 10, left = clamp(at.x, 0, Math.max(0, size.width - width)), top = at.y < 19 ? at.y : at.y - 19;
  set(label, { x: left, y: top, width, height: 19, rx: 3 });
  set(text, { x: left + 5, y: top + 14, fill: inkOn(color), textLength: name.length > 1 ? width - 10 : null, lengthAdjust: "spacingAndGlyphs" });
}

function described(item, box, hidden, wrong) {
  const percent = (value) => `${Math.round(value * 100)} %`;
  return `${item.phrase || "unnamed box"}: left ${percent(box.x0)}, top ${percent(box.y0)}, width ${percent(box.x1 - box.x0)}, `
    + `height ${percent(box.y1 - box.y0)}${hidden ? ", not visible in this frame" : ""}${wrong ? ", has a problem" : ""}`;
}

function drawHandles(box, item) {
  const names = box ? Object.keys(HANDLES) : [];
  keyed(layers.handles, names, (name) => name, (name) =>
    make("g", { class: `handle ${name}`, "data-handle": name }, make("rect", { class: "hit", width: 26, height: 26 }), make("rect", { class: "knob", width: 9, height: 9, rx: 2 })),
  (node, name) => {
    const at = place(box), edges = HANDLES[name];
    const x = at.x + (edges.includes("x0") ? 0 : edges.includes("x1") ? at.width : at.width / 2);
    const y = at.y + (edges.includes("y0") ? 0 : edges.includes("y1") ? at.height : at.height / 2);
    // On a small box the handles would cover all of it: their reach lies outside then.
    const out = (low, high, extent) => (extent > 60 || (!low && !high) ? 0 : low ? -8 : 8);
    const hitX = x + out(edges.includes("x0"), edges.includes("x1"), at.width), hitY = y + out(edges.includes("y0"), edges.includes("y1"), at.height);
    set(node, { "--color": objectColor(indexOf(item.id)) });
    set(node.children[0], { x: hitX - 13, y: hitY - 13 });
    set(node.children[1], { x: x - 4.5, y: y - 4.5 });
  });
}

const middle = (box) => `${((box.x0 + box.x1) / 2) * size.width},${((box.y0 + box.y1) / 2) * size.height}`;

function drawPaths(chosen) {
  const moving = state.view.path ? state.document.objects.filter((item) => item.key_frames.length > 1) : [];
  keyed(layers.paths, moving, (item) => item.id, () => make("g"), (node, item) => {
    set(node, { class: item === chosen ? "path selected" : "path", "--color": objectColor(indexOf(item.id)) });
    const boxes = item === chosen ? item.key_frames.map((key) => make("rect", { class: "ghost", ...place(key.box) })) : [];
    const dots = []; // one for each picture frame: where they are close, the object is slow
    for (let frame = 0; frame < frames() && frames() <= 200; frame += 1) {
      if (!isVisible(item, timeOf(frame, frames()))) continue;
      const [cx, cy] = middle(boxAt(item, timeOf(frame, frames()))).split(",");
      dots.push(make("circle", { cx, cy, r: keyAt(item, frame, frames()) >= 0 ? 4 : 1.8 }));
    }
    node.replaceChildren(...boxes, make("polyline", { points: item.key_frames.map((key) => middle(key.box)).join(" ") }), ...dots);
  });
}

function drawGuides() {
  const drawn = guides.map(({ x, y }) =>
    x !== undefined
      ? make("line", { x1: x * size.width, x2: x * size.width, y1: 0, y2: size.height })
      : make("line", { y1: y * size.height, y2: y * size.height, x1: 0, x2: size.width }));
  if (held?.kind === "draw" && held.now) drawn.push(make("rect", { class: "rubber", ...place(held.now) }));
  layers.guides.replaceChildren(...drawn);
}

function drawGrid() {
  const [, rows, columns] = state.info.grid, wanted = state.view.grid ? `${rows} ${columns} ${size.width} ${size.height}` : "";
  if (layers.grid.dataset.drawn === wanted) return;
  layers.grid.dataset.drawn = wanted;
  const drawn = [];
  for (let at = 1; wanted && at < columns; at += 1) drawn.push(make("line", { x1: (at / columns) * size.width, x2: (at / columns) * size.width, y1: 0, y2: size.height }));
  for (let at = 1; wanted && at < rows; at += 1) drawn.push(make("line", { y1: (at / rows) * size.height, y2: (at / rows) * size.height, x1: 0, x2: size.width }));
  layers.grid.replaceChildren(...drawn);
}

// The path's key frames can be visited one by one.
export function goToKey(step) {
  const item = selected();
  if (!item) return;
  const keys = item.key_frames.map((key) => Math.round(key.time * (frames() - 1)));
  const found = step > 0 ? keys.find((frame) => frame > state.frame) : keys.findLast((frame) => frame < state.frame);
  if (found !== undefined) go(found);
}
