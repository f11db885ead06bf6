// The form of a run: method, settings with their meaning, seed, and the plain model beside it.
import * as api from "./api.js";
import { byId, make, options, seconds, sentence, tell } from "./dom.js";
import { expectedSeconds } from "./expected.js";
import { toLayout } from "./layout.js";
import { changed, state, subscribe } from "./store.js";

let sending = false,
  past = [],
  started = () => {};

export function start(onStarted) {
  started = onStarted;
  const { methods } = state.info,
    names = methods.map((method) => method.name);
  if (!names.includes(state.form.method)) state.form.method = names.includes("bias") ? "bias" : names[0];
  forgetUnknown();
  byId("methods").append(
    ...methods.map((method) =>
      make(
        "label",
        { class: "method" },
        make("input", {
          type: "radio",
          name: "method",
          value: method.name,
          checked: method.name === state.form.method,
          onchange: () => choose(method.name),
        }),
        make("span", { class: "method-name" }, method.name),
        make("span", { class: "muted", "data-seconds": method.name }),
        make("span", { class: "help" }, method.help),
      ),
    ),
  );
  byId("seed").value = state.form.seed;
  byId("seed").addEventListener("input", (event) => {
    const value = event.target.valueAsNumber;
    if (Number.isSafeInteger(value) && value >= 0) state.form.seed = value;
    changed();
  });
  byId("dice").addEventListener("click", () => {
    state.form.seed = Math.floor(Math.random() * 1e6);
    byId("seed").value = state.form.seed;
    changed();
  });
  byId("compare").checked = state.form.compare;
  byId("compare").addEventListener("change", (event) => {
    state.form.compare = event.target.checked;
    changed();
  });
  byId("preset").addEventListener("change", (event) => {
    state.form.preset[state.form.method] = event.target.value;
    changed();
  });
  byId("generate").addEventListener("click", generate);
  byId("settings-reset").addEventListener("click", () => {
    state.form.settings[state.form.method] = {};
    drawSettings();
    changed();
  });
  drawSettings();
  subscribe(draw);
}

const method = () => state.info.methods.find((each) => each.name === state.form.method);
const given = () => (state.form.settings[state.form.method] ??= {});

// What the page remembers may be of another model or version.
function forgetUnknown() {
  for (const { name, settings } of state.info.methods) {
    const known = new Set(settings.map((about) => about.name)),
      kept = state.form.settings[name] ?? {};
    state.form.settings[name] = Object.fromEntries(Object.entries(kept).filter(([setting]) => known.has(setting)));
  }
}

// The runs so far, from which the times of new ones are estimated.
export function remember(runs) {
  past = runs;
  draw();
}

function expected({ name, settings, presets }) {
  const values = state.form.settings[name] ?? {},
    chosen = state.form.preset[name],
    preset = presets.includes(chosen) ? chosen : null;
  const usual = preset ? null : settings.find((about) => about.name === "sampler.steps")?.default; // the model's own
  const order = { method: name, preset, settings: values, compare: state.form.compare && name !== "base" };
  return expectedSeconds(past, order, values["sampler.steps"] ?? usual);
}

function choose(name) {
  state.form.method = name;
  drawSettings();
  changed();
}

function drawSettings() {
  const { presets, settings } = method();
  options(
    byId("preset"),
    [["", "the model's own"], ...presets.map((name) => [name, name])],
    state.form.preset[state.form.method] ?? "",
  );
  const groups = Map.groupBy(settings, ({ name }) => name.split(".")[0]);
  byId("settings").replaceChildren(
    ...[...groups].flatMap(([group, each]) => [make("h3", {}, GROUPS[group] ?? group), ...each.map(settingOf)]),
  );
}

const GROUPS = {
  tto: "Optimization",
  bias: "Attention bias",
  lvd: "Latent guidance",
  sampler: "Sampling",
  memory: "Memory",
};
const TITLES = { lr: "Learning rate", use: "After a match" };

const titleOf = (name) => {
  const last = name.split(".").at(-1);
  return TITLES[last] ?? sentence(last.replaceAll("_", " "));
};

function settingOf(about) {
  const { name, type, help } = about,
    id = `setting-${name.replaceAll(".", "-")}`,
    value = given()[name] ?? about.default;
  const take = (found) => {
    if (found === undefined || found === about.default) delete given()[name];
    else given()[name] = found;
    changed();
  };
  const common = { id, "aria-describedby": help ? `${id}-help` : null };
  let field;
  if (type === "choice") {
    field = make(
      "select",
      { ...common, onchange: () => take(field.value) },
      about.choices.map((choice) => make("option", { value: choice, selected: choice === value }, choice)),
    );
  } else if (type === "bool") {
    field = make("input", {
      ...common,
      type: "checkbox",
      checked: value === true,
      onchange: () => take(field.checked),
    });
  } else if (type === "text") {
    field = make("input", {
      ...common,
      type: "text",
      value: value ?? "",
      maxlength: 2000,
      onchange: () => take(field.value),
    });
  } else {
    const number = () => (field.value === "" ? undefined : field.validity.valid ? field.valueAsNumber : undefined);
    field = make("input", {
      ...common,
      type: "number",
      inputmode: "decimal",
      value: value ?? "",
      placeholder: about.default ?? "not set",
      min: about.min ?? null,
      max: about.max ?? null,
      step: type === "int" ? 1 : "any",
      onchange: () => take(number()),
    });
  }
  return make(
    "div",
    { class: type === "bool" ? "setting check" : "setting" },
    make("label", { for: id, title: name }, titleOf(name)),
    field,
    help ? make("p", { id: `${id}-help`, class: "help" }, help) : null,
  );
}

async function generate() {
  const { document, form } = state,
    chosen = method(),
    layout = toLayout(document);
  if (sending) return;
  const unnamed = document.objects.some((item) => !item.phrase);
  if (!document.prompt.trim()) return tell({ problem: "there is no prompt yet", remedy: "type what the video shows" });
  if (unnamed)
    return tell({ problem: "a box has no name yet", remedy: "select the box, then its words in the prompt" });
  if (!layout && chosen.needs_layout !== false && chosen.name !== "base")
    return tell({ problem: "there are no boxes yet", remedy: "plan them from the prompt, or draw them" });
  sending = true;
  draw();
  try {
    const { id } = await api.startRun({
      layout,
      prompt: document.prompt.trim(),
      method: chosen.name,
      preset: byId("preset").value || null,
      settings: given(),
      seed: form.seed,
      compare: form.compare && chosen.name !== "base",
    });
    started(id);
  } catch (error) {
    tell(error);
  }
  sending = false;
  draw();
}

function draw() {
  byId("generate").disabled = sending;
  const chosen = method(),
    changedNames = Object.keys(given());
  byId("settings-title").textContent = changedNames.length ? `Settings (${changedNames.length} changed)` : "Settings";
  byId("settings-reset").hidden = !changedNames.length;
  for (const each of state.info.methods) {
    const taken = expected(each);
    byId("methods").querySelector(`[data-seconds="${each.name}"]`).textContent = taken ? `about ${seconds(taken)}` : "";
  }
  const total = expected(chosen);
  byId("expected").textContent = total
    ? `About ${seconds(total)}, judging by earlier runs`
    : "The time is estimated after the first run with this method.";
  byId("compare").disabled = chosen.name === "base";
}
