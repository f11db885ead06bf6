// The prompt: planned by the server, and selected word by word to name boxes.
import * as api from "./api.js";
import { byId, keyed, make, objectColor, options, reason, set, tell } from "./dom.js";
import { fromLayout } from "./layout.js";
import { changed, edit, editObject, select, selected, state, subscribe } from "./store.js";
import { indices, nounOf, occurrences, wordsOf } from "./words.js";

let anchor = null,
  range = null,
  planning = false,
  unreachable = false;

export function start() {
  const field = byId("prompt");
  const planners = { rules: "Rules", llm: "Language model" };
  options(
    byId("planner"),
    state.info.planners.map((name) => [name, planners[name] ?? name]),
    state.form.planner,
  );
  byId("planner").addEventListener("change", (event) => {
    state.form.planner = event.target.value;
    changed();
  });
  field.addEventListener("input", () => {
    refuse(null);
    edit((draft) => {
      draft.prompt = field.value;
    }, "prompt");
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) plan();
  });
  byId("plan").addEventListener("click", plan);
  const strip = byId("words");
  strip.addEventListener("pointerdown", down);
  strip.addEventListener("pointermove", move);
  strip.addEventListener("pointerup", () => name(range));
  strip.addEventListener("pointercancel", () => {
    range = anchor = null;
    draw();
  });
  // Only keys: the pointer has named the box already.
  strip.addEventListener("click", (event) => {
    const at = wordOf(event.target);
    if (event.detail || at === null) return;
    const from = event.shiftKey && anchor !== null ? anchor : at;
    if (!event.shiftKey) anchor = at;
    name([Math.min(from, at), Math.max(from, at)], anchor);
  });
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
    const next = step && event.target[step];
    if (next) next.focus();
    if (event.shiftKey && event.key === "Enter") {
      event.preventDefault();
      event.target.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true }));
    }
  });
  api.onReturn(() => unreachable && refuse(null));
  subscribe(draw);
}

async function plan() {
  const prompt = byId("prompt").value.trim();
  if (planning) return;
  planning = true;
  draw();
  try {
    const { layout, left_out, notes } = await api.plan(prompt, state.form.planner);
    edit((draft) => Object.assign(draft, fromLayout({ ...layout, left_out, notes })));
    select(state.document.objects[0]?.id ?? null);
    state.frame = 0;
    refuse(null);
  } catch (error) {
    refuse(error);
  }
  planning = false;
  draw();
}

// Why the planner refused stays beside the prompt until it is changed.
function refuse(error) {
  const area = byId("refused");
  unreachable = error?.status === 0;
  area.hidden = !error;
  if (!error) return area.replaceChildren();
  area.replaceChildren(...reason(error));
}

// ---- words ----

const wordOf = (target) => {
  const word = target.closest?.("[data-word]");
  return word ? Number(word.dataset.word) : null;
};

function down(event) {
  const at = wordOf(event.target);
  if (at === null || event.button > 0) return;
  anchor = event.shiftKey && anchor !== null ? anchor : at;
  range = [Math.min(anchor, at), Math.max(anchor, at)];
  if (event.target.hasPointerCapture?.(event.pointerId)) event.target.releasePointerCapture(event.pointerId);
  draw();
}

function move(event) {
  if (!range) return;
  const at = wordOf(document.elementFromPoint(event.clientX, event.clientY) ?? event.target);
  if (at === null) return;
  range = [Math.min(anchor, at), Math.max(anchor, at)];
  draw();
}

// The words become the phrase of the selected box, or of the next one.
function name(found) {
  range = null;
  if (!found) return;
  const { prompt } = state.document,
    words = wordsOf(prompt),
    [first, last] = found;
  if (!words[first] || !words[last]) return;
  const phrase = prompt.slice(words[first].start, words[last].end),
    item = selected();
  if (phrase.length > 200) return tell({ problem: "the phrase is too long", expected: "at most 200 characters" });
  if (item) editObject(item.id, (draft) => Object.assign(draft, { phrase, noun: nounOf(phrase, state.info.nouns) }));
  else state.words = phrase;
  changed();
}

function draw() {
  const { prompt, objects, left_out: leftOut, notes } = state.document,
    field = byId("prompt");
  if (field.value !== prompt) field.value = prompt;
  byId("plan").disabled = planning || !prompt.trim();
  byId("plan").textContent = planning ? "Planning …" : "Plan boxes";
  const words = wordsOf(prompt).slice(0, 400),
    item = selected();
  const colors = words.map(() => []);
  for (const [index, each] of objects.entries())
    for (const at of occurrences(words, each.phrase).flatMap(indices)) colors[at].push(objectColor(index));
  const chosen = new Set(occurrences(words, item ? item.phrase : state.words).flatMap(indices));
  keyed(
    byId("words"),
    words,
    (_, at) => at,
    (_, at) => make("button", { type: "button", "data-word": at }),
    (node, word, at) => {
      if (node.textContent !== word.text) node.textContent = word.text;
      const on = range ? at >= range[0] && at <= range[1] : chosen.has(at);
      set(node, {
        class: ["word", colors[at].length && "used", on && "on"].filter(Boolean).join(" "),
        "aria-pressed": String(on),
        "--color": colors[at][0] ?? "transparent",
      });
    },
  );
  byId("words-hint").textContent = item
    ? `Select the words of the ${item.phrase ? `box “${item.phrase}”` : "selected box"} here: click a word, or drag over several.`
    : state.words
      ? `The next box is for “${state.words}”: draw it below.`
      : "Select words here to name the next box.";
  byId("words-area").hidden = !words.length;
  notesOf(byId("left-out"), "Left out of the boxes", leftOut);
  notesOf(byId("notes"), "How the words were read", notes);
}

function notesOf(area, title, lines) {
  area.hidden = !lines.length;
  const wanted = JSON.stringify(lines);
  if (area.dataset.drawn === wanted) return;
  area.dataset.drawn = wanted;
  area.replaceChildren(
    make("summary", {}, `${title} (${lines.length})`),
    make(
      "ul",
      {},
      lines.slice(0, 100).map((line) => make("li", {}, line)),
    ),
  );
}
