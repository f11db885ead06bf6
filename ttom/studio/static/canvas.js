// What pointers and keys do on the picture: boxes are drawn, moved and resized.
import { byId, clamp } from "./dom.js";
import { addObject, boxAt, isVisible, moveAll, moved, setBox, tidy } from "./layout.js";
import { HANDLES, draw, focusBox, live, size, start as startScene } from "./scene.js";
import { lines, snapEdges, snapMove } from "./snap.js";
import { drag, drop, edit, editObject, frames, indexOf, now, select, selected, state } from "./store.js";
import { nextPhrase, nounOf } from "./words.js";

const REACH = 7; // pixels within which an edge snaps
let held = null;

export function start() {
  startScene();
  const svg = byId("canvas");
  svg.addEventListener("pointerdown", down);
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerup", () => release(true));
  svg.addEventListener("pointercancel", () => release(false));
  svg.addEventListener("keydown", keydown);
}

// ---- pointer ----

const point = (event) => {
  const area = byId("stage").getBoundingClientRect();
  return { x: (event.clientX - area.left) / area.width, y: (event.clientY - area.top) / area.height };
};

function down(event) {
  if (!event.isPrimary || event.button > 0 || held) return;
  const at = point(event),
    handle = event.target.closest("[data-handle]"),
    node = event.target.closest("[data-key]");
  byId("canvas").setPointerCapture(event.pointerId);
  if (handle && selected()) {
    held = {
      kind: "resize",
      id: state.selected,
      edges: HANDLES[handle.dataset.handle],
      box: boxAt(selected(), now()),
      at,
    };
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
  const at = point(event),
    dx = at.x - held.at.x,
    dy = at.y - held.at.y;
  // A finger or an unsteady hand that only selects must not make a key frame.
  if (!held.moved && Math.hypot(dx * size.width, dy * size.height) < 3) return;
  held.moved = live.busy = true;
  const free = !state.view.snap || event.ctrlKey || event.metaKey;
  if (held.kind === "move") return moveHeld(dx, dy, free);
  let box = { ...held.box };
  for (const edge of held.edges) box[edge] = clamp(held.box[edge] + (edge.startsWith("x") ? dx : dy), 0, 1);
  live.guides = [];
  if (!free) ({ box, guides: live.guides } = snapEdges(box, held.edges, snapLines(held.id), reach()));
  held.now = tidy(box);
  if (held.kind === "draw") live.rubber = held.now;
  else drag((draft) => setBox(draft.objects[indexOf(held.id)], state.frame, frames(), held.now));
  draw();
}

function moveHeld(dx, dy, free) {
  let box = moved(held.box, dx, dy);
  live.guides = [];
  if (!free) ({ box, guides: live.guides } = snapMove(box, snapLines(held.id), reach()));
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
  Object.assign(live, { busy: false, guides: [], rubber: null });
  if (kind === "draw" && keep && hasMoved) {
    const { id } = add(box);
    requestAnimationFrame(() => focusBox(id)); // for the arrow keys
  } else if (kind === "draw") select(null);
  drop(keep);
  draw();
}

const reach = () => [REACH / size.width, REACH / size.height];
const snapLines = (id) =>
  lines(
    state.info.grid,
    state.document.objects.filter((item) => item.id !== id && isVisible(item, now())).map((item) => boxAt(item, now())),
  );

// A new box, for the words that were selected, or else for the next noun without a box.
export function add(box) {
  const { document, info } = state;
  const phrase = state.words || nextPhrase(document.prompt, document.objects, info.nouns);
  const item = edit((draft) =>
    addObject(draft, { phrase, noun: nounOf(phrase, info.nouns), box, frame: state.frame, frames: frames() }),
  );
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
    const step = event.altKey ? 0.002 : 0.02,
      [x, y] = ARROWS[event.key];
    if (state.selected !== id) select(id);
    nudge(id, x * step, y * step, event.shiftKey);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

function nudge(id, dx, dy, resize) {
  editObject(
    id,
    (item) => {
      const box = boxAt(item, now());
      if (resize) setBox(item, state.frame, frames(), { ...box, x1: box.x1 + dx, y1: box.y1 + dy });
      else if (state.view.whole) moveAll(item, dx, dy);
      else setBox(item, state.frame, frames(), moved(box, dx, dy));
    },
    resize ? "resize" : "nudge",
  );
}
