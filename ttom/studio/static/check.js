// What the model cannot do with the layout, asked while editing: a moment after the last change.
import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { toLayout } from "./layout.js";
import { pictureFrame } from "./mask.js";
import { changed, go, select, state, subscribe } from "./store.js";

let asked = "",
  timer = null;

export function start() {
  subscribe(() => {
    const text = JSON.stringify([state.document.prompt, state.document.objects]);
    if (text !== asked) {
      asked = text;
      clearTimeout(timer);
      timer = setTimeout(ask, 300);
    }
    draw();
  });
  api.onReturn(ask);
}

async function ask() {
  const document = state.document,
    text = asked;
  const problems = document.objects
    .filter((item) => !item.phrase || !item.noun)
    .map((item) => ({
      id: item.id,
      frame: null,
      message: "This box has no name yet: select its words in the prompt.",
    }));
  const layout = toLayout(document);
  try {
    const found = layout ? (await api.check(layout)).problems : [];
    for (const { object, frame, message } of found)
      problems.push({
        id: layout.objects[object]?.id ?? null,
        frame: Number.isInteger(frame) ? pictureFrame(frame) : null,
        message,
      });
  } catch (error) {
    problems.push({ id: null, frame: null, message: error.problem ?? error.message });
  }
  if (text !== asked) return; // changed meanwhile: the next answer counts
  state.problems = problems;
  changed();
}

function draw() {
  const area = byId("problems"),
    { problems } = state;
  area.hidden = !problems.length;
  const wanted = JSON.stringify(problems);
  if (area.dataset.drawn === wanted) return;
  area.dataset.drawn = wanted;
  const name = (id) => state.document.objects.find((item) => item.id === id)?.phrase;
  area.replaceChildren(
    make("strong", {}, problems.length === 1 ? "One problem" : `${problems.length} problems`),
    make(
      "ul",
      {},
      problems.slice(0, 20).map(({ id, frame, message }) =>
        make(
          "li",
          {},
          make(
            "button",
            {
              type: "button",
              class: "problem",
              onclick: () => {
                if (id) select(id);
                if (frame !== null) go(frame);
              },
            },
            name(id) ? `${name(id)}: ${message}` : message,
          ),
        ),
      ),
    ),
  );
}
