// Draws the picture: boxes, the handles of the selected one, paths, the token grid, and the lines that a box snaps to.
import { byId, clamp, inkOn, keyed, make, objectColor, set } from "./dom.js";
import { boxAt, isVisible, keyAt, timeOf } from "./layout.js";
import { drawMasks } from "./mask.js";
import { frames, indexOf, now, selected, state, subscribe } from "./store.js";

// The edges that a handle holds.
export const HANDLES = {
  nw: ["x0", "y0"],
  n: ["y0"],
  ne: ["x1", "y0"],
  e: ["x1"],
  se: ["x1", "y1"],
  s: ["y1"],
  sw: ["x0", "y1"],
  w: ["x0"],
};

// Of the picture on the screen, in pixels.
export const size = { width: 1, height: 1 };

// While a pointer drags: lines that the box has snapped to, and the box that is being drawn.
export const live = { busy: false, guides: [], rubber: null };

const layers = {};

export function start() {
  const stage = byId("stage"),
    svg = byId("canvas"),
    aspect = state.info.width / state.info.height;
  for (const name of ["grid", "paths", "boxes", "handles", "guides"])
    svg.append((layers[name] = make("g", { class: name })));
  stage.style.aspectRatio = String(aspect);
  stage.style.setProperty("--aspect", aspect);
  const measure = () => {
    const { width, height } = stage.getBoundingClientRect();
    if (!width || !height) return;
    Object.assign(size, { width, height });
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    draw();
  };
  new ResizeObserver(measure).observe(stage);
  subscribe(draw);
  measure();
}

export const focusBox = (id) =>
  layers.boxes.querySelector(`[data-key="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });

const place = (box) => ({
  x: box.x0 * size.width,
  y: box.y0 * size.height,
  width: (box.x1 - box.x0) * size.width,
  height: (box.y1 - box.y0) * size.height,
});

export function draw() {
  if (!state.info) return;
  const time = now(),
    chosen = selected();
  const shown = state.document.objects
    .map((item, index) => ({ item, index, box: boxAt(item, time), hidden: !isVisible(item, time) }))
    .filter(({ item, hidden }) => !hidden || item === chosen)
    .sort((one, two) => area(two.box) - area(one.box)); // small boxes stay within reach
  keyed(layers.boxes, shown, ({ item }) => item.id, createBox, updateBox);
  drawHandles(chosen && !live.busy ? boxAt(chosen, time) : null, chosen);
  drawPaths(chosen);
  drawGuides();
  drawGrid();
  drawMasks(byId("masks"), time);
  byId("canvas").classList.toggle("drawing", state.view.draw);
  byId("canvas-empty").hidden = state.document.objects.length > 0 || live.busy;
}

const area = (box) => (box.x1 - box.x0) * (box.y1 - box.y0);

function createBox() {
  return make(
    "g",
    { tabindex: "0", role: "button" },
    make("rect", { class: "area" }),
    make("rect", { class: "label" }),
    make("text"),
  );
}

function updateBox(node, { item, index, box, hidden }) {
  const color = objectColor(index),
    at = place(box),
    [outline, label, text] = node.children;
  const wrong = state.problems.some((problem) => problem.id === item.id);
  set(node, {
    class: ["box", item.id === state.selected && "selected", hidden && "hidden-now", wrong && "wrong"]
      .filter(Boolean)
      .join(" "),
    "--color": color,
    "aria-pressed": String(item.id === state.selected),
    "aria-label": described(item, box, hidden, wrong),
  });
  set(outline, at);
  // Long names would cover other boxes: only the selected one shows all of its own.
  const room = item.id === state.selected ? 60 : Math.max(6, Math.floor((at.width - 10) / 7.2));
  const name = shortened(`${wrong ? "⚠ " : ""}${item.phrase || "unnamed"}`, room);
  if (text.textContent !== name) text.textContent = name;
  // The label sits above its box, or inside where there is no room above.
  const width = name.length * 7.2 + 10,
    left = clamp(at.x, 0, Math.max(0, size.width - width)),
    top = at.y < 19 ? at.y : at.y - 19;
  set(label, { x: left, y: top, width, height: 19, rx: 3 });
  set(text, {
    x: left + 5,
    y: top + 14,
    fill: inkOn(color),
    textLength: name.length > 1 ? width - 10 : null,
    lengthAdjust: "spacingAndGlyphs",
  });
}

const shortened = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

function described(item, box, hidden, wrong) {
  const percent = (value) => `${Math.round(value * 100)} %`;
  return (
    `${item.phrase || "unnamed box"}: left ${percent(box.x0)}, top ${percent(box.y0)}, width ${percent(box.x1 - box.x0)}, ` +
    `height ${percent(box.y1 - box.y0)}${hidden ? ", not visible in this frame" : ""}${wrong ? ", has a problem" : ""}`
  );
}

function drawHandles(box, item) {
  const names = box ? Object.keys(HANDLES) : [];
  keyed(
    layers.handles,
    names,
    (name) => name,
    (name) =>
      make(
        "g",
        { class: `handle ${name}`, "data-handle": name },
        make("rect", { class: "hit", width: 26, height: 26 }),
        make("rect", { class: "knob", width: 9, height: 9, rx: 2 }),
      ),
    (node, name) => {
      const at = place(box),
        edges = HANDLES[name];
      const x = at.x + (edges.includes("x0") ? 0 : edges.includes("x1") ? at.width : at.width / 2);
      const y = at.y + (edges.includes("y0") ? 0 : edges.includes("y1") ? at.height : at.height / 2);
      // On a small box the handles would cover all of it: their reach lies outside then.
      const out = (low, high, extent) => (extent > 60 || (!low && !high) ? 0 : low ? -8 : 8);
      const hitX = x + out(edges.includes("x0"), edges.includes("x1"), at.width),
        hitY = y + out(edges.includes("y0"), edges.includes("y1"), at.height);
      set(node, { "--color": objectColor(indexOf(item.id)) });
      set(node.children[0], { x: hitX - 13, y: hitY - 13 });
      set(node.children[1], { x: x - 4.5, y: y - 4.5 });
    },
  );
}

const middle = (box) => `${((box.x0 + box.x1) / 2) * size.width},${((box.y0 + box.y1) / 2) * size.height}`;

function drawPaths(chosen) {
  const moving = state.view.path ? state.document.objects.filter((item) => item.key_frames.length > 1) : [];
  keyed(
    layers.paths,
    moving,
    (item) => item.id,
    () => make("g"),
    (node, item) => {
      set(node, { class: item === chosen ? "path selected" : "path", "--color": objectColor(indexOf(item.id)) });
      const boxes =
        item === chosen ? item.key_frames.map((key) => make("rect", { class: "ghost", ...place(key.box) })) : [];
      const dots = []; // one for each picture frame: where they are close, the object is slow
      for (let frame = 0; frame < frames() && frames() <= 200; frame += 1) {
        if (!isVisible(item, timeOf(frame, frames()))) continue;
        const [cx, cy] = middle(boxAt(item, timeOf(frame, frames()))).split(",");
        dots.push(make("circle", { cx, cy, r: keyAt(item, frame, frames()) >= 0 ? 4 : 1.8 }));
      }
      node.replaceChildren(
        ...boxes,
        make("polyline", { points: item.key_frames.map((key) => middle(key.box)).join(" ") }),
        ...dots,
      );
    },
  );
}

function drawGuides() {
  const drawn = live.guides.map(({ x, y }) =>
    x !== undefined
      ? make("line", { x1: x * size.width, x2: x * size.width, y1: 0, y2: size.height })
      : make("line", { y1: y * size.height, y2: y * size.height, x1: 0, x2: size.width }),
  );
  if (live.rubber) drawn.push(make("rect", { class: "rubber", ...place(live.rubber) }));
  layers.guides.replaceChildren(...drawn);
}

function drawGrid() {
  const [, rows, columns] = state.info.grid,
    wanted = state.view.grid ? `${rows} ${columns} ${size.width} ${size.height}` : "";
  if (layers.grid.dataset.drawn === wanted) return;
  layers.grid.dataset.drawn = wanted;
  const drawn = [];
  for (let at = 1; wanted && at < columns; at += 1)
    drawn.push(
      make("line", { x1: (at / columns) * size.width, x2: (at / columns) * size.width, y1: 0, y2: size.height }),
    );
  for (let at = 1; wanted && at < rows; at += 1)
    drawn.push(make("line", { y1: (at / rows) * size.height, y2: (at / rows) * size.height, x1: 0, x2: size.width }));
  layers.grid.replaceChildren(...drawn);
}
