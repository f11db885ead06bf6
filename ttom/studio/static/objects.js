// The boxes as a list, with a field for each number: all that the canvas and the timeline can do, without a pointer.
import { byId, clamp, fill, keyed, make, objectColor, set } from "./dom.js";
import { boxAt, duplicate, frameOf, setBox, setVisible } from "./layout.js";
import { edit, editObject, frames, go, indexOf, now, select, state, subscribe } from "./store.js";

export function start() {
  if (state.info.nouns)
    byId("nouns").replaceChildren(...state.info.nouns.map((noun) => make("option", { value: noun })));
  subscribe(draw);
}

export function remove(id) {
  const at = indexOf(id);
  if (at < 0) return;
  edit((draft) => draft.objects.splice(at, 1));
  select(state.document.objects[Math.min(at, state.document.objects.length - 1)]?.id ?? null);
}

export function copy(id) {
  const at = indexOf(id);
  if (at >= 0) select(edit((draft) => duplicate(draft, draft.objects[at])).id);
}

function draw() {
  keyed(byId("objects"), state.document.objects, (item) => item.id, create, update);
  byId("objects-none").hidden = state.document.objects.length > 0;
}

const button = (label, name, onclick) =>
  make("button", { type: "button", class: "small", "aria-label": name, title: name, onclick }, label);

function create(item) {
  const { id } = item;
  const number = (name, label, change, attributes = {}) =>
    make(
      "label",
      {},
      label,
      make("input", {
        type: "number",
        inputmode: "decimal",
        "data-field": name,
        ...attributes,
        onchange: (event) => {
          const value = event.target.valueAsNumber;
          if (Number.isFinite(value)) change(value);
          event.target.blur(); // so that it shows the value as taken
          event.target.focus();
        },
      }),
    );
  const percent = (name, label) =>
    number(name, label, (value) => editObject(id, (draft) => setSide(draft, name, clamp(value, 0, 100) / 100)), {
      min: 0,
      max: 100,
      step: 1,
    });
  const visible = (end, label) =>
    number(
      `visible-${end}`,
      label,
      (value) => editObject(id, (draft) => setVisible(draft, end, Math.round(value), frames())),
      { min: 0, max: frames() - 1, step: 1 },
    );
  const noun = make(
    "label",
    { class: "wide" },
    "Noun, in the singular",
    make("input", {
      "data-field": "noun",
      list: state.info.nouns ? "nouns" : null,
      maxlength: 200,
      autocomplete: "off",
      onchange: (event) =>
        event.target.value.trim() &&
        editObject(id, (draft) => {
          draft.noun = event.target.value.trim();
        }),
    }),
  );
  return make(
    "li",
    { class: "object" },
    make(
      "div",
      { class: "object-head" },
      make(
        "button",
        { type: "button", class: "object-name", onclick: () => select(state.selected === id ? null : id) },
        make("span", { class: "dot" }),
        make("span", { class: "text" }),
        make("span", { class: "muted summary" }),
      ),
      button("Copy", "Duplicate", () => copy(id)),
      button("✕", "Delete", () => remove(id)),
    ),
    make("ul", { class: "problems" }),
    make(
      "div",
      { class: "fields" },
      percent("x", "Left %"),
      percent("y", "Top %"),
      percent("width", "Width %"),
      percent("height", "Height %"),
      visible(0, "Visible from"),
      visible(1, "to frame"),
      noun,
      make("div", { class: "wide keys-of" }),
    ),
  );
}

// Left and top move the box, width and height resize it; both in the present frame.
function setSide(item, name, value) {
  const box = boxAt(item, now()),
    width = box.x1 - box.x0,
    height = box.y1 - box.y0;
  if (name === "x") ((box.x0 = Math.min(value, 1 - width)), (box.x1 = box.x0 + width));
  if (name === "y") ((box.y0 = Math.min(value, 1 - height)), (box.y1 = box.y0 + height));
  if (name === "width") box.x1 = box.x0 + value;
  if (name === "height") box.y1 = box.y0 + value;
  setBox(item, state.frame, frames(), box);
}

function update(node, item, index) {
  const open = item.id === state.selected,
    name = item.phrase || "unnamed";
  set(node, { class: open ? "object open" : "object", "--color": objectColor(index) });
  set(node.querySelector(".object-name"), { "aria-expanded": String(open) });
  node.querySelector(".text").textContent = name;
  const keys = item.key_frames.length;
  node.querySelector(".summary").textContent = keys > 1 ? `${keys} key frames` : "stays";
  set(node.querySelectorAll(".small")[0], { "aria-label": `Duplicate ${name}` });
  set(node.querySelectorAll(".small")[1], { "aria-label": `Delete ${name}` });
  const problems = state.problems.filter((problem) => problem.id === item.id);
  keyed(
    node.querySelector(".problems"),
    problems,
    (problem) => problem.message,
    (problem) =>
      make(
        "li",
        {},
        make("button", {
          type: "button",
          class: "problem",
          onclick: () => {
            select(item.id);
            if (problem.frame !== null) go(problem.frame);
          },
        }),
      ),
    (line, problem) => {
      line.firstChild.textContent = problem.message;
    },
  );
  node.querySelector(".fields").hidden = !open;
  if (!open) return;
  const box = boxAt(item, now()),
    shown = (value) => String(Math.round(value * 1000) / 10);
  const values = {
    x: shown(box.x0),
    y: shown(box.y0),
    width: shown(box.x1 - box.x0),
    height: shown(box.y1 - box.y0),
    noun: item.noun,
    "visible-0": frameOf(item.visible[0], frames()),
    "visible-1": frameOf(item.visible[1], frames()),
  };
  for (const [field, value] of Object.entries(values)) fill(node.querySelector(`[data-field="${field}"]`), value);
  node.querySelector(".keys-of").textContent =
    `Key frames at ${item.key_frames.map((key) => frameOf(key.time, frames())).join(", ")}`;
}
