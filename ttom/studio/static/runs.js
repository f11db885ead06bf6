// Runs: the one that is shown, with progress or result, and the history.
import * as api from "./api.js";
import { byId, keyed, make, reason, seconds, sentence, set, tell } from "./dom.js";
import { fromLayout } from "./layout.js";
import { remember } from "./generate.js";
import { ask, refresh as refreshMemory } from "./memory.js";
import { drawResult } from "./result.js";
import { changed, edit, select, state } from "./store.js";

const POLL = 3000; // milliseconds between looks at runs that wait
const PAGE = 12;
let runs = [],
  stop = () => {},
  followed = null,
  limit = PAGE,
  polling = null;

export async function start() {
  byId("runs-more").addEventListener("click", () => {
    limit += PAGE;
    drawHistory();
  });
  byId("run-cancel").addEventListener("click", () => cancel(state.run));
  api.onReturn(refresh);
  await refresh();
  if (!chosenRun() && runs.length) state.run = runs[0].id;
  show(state.run);
}

export async function begun(id) {
  state.run = id;
  await refresh();
  show(id);
  byId("runs").scrollIntoView({
    behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
    block: "start",
  });
}

export const chosenRun = () => runs.find((run) => run.id === state.run);

async function refresh() {
  clearTimeout(polling);
  try {
    runs = await api.listRuns();
  } catch (error) {
    tell(error);
  }
  remember(runs);
  drawHistory();
  drawCurrent();
  if (runs.some((run) => !api.FINAL.has(run.state))) polling = setTimeout(refresh, POLL);
}

function show(id) {
  state.run = id;
  changed();
  drawHistory();
  drawCurrent();
  const run = chosenRun();
  if (!run || api.FINAL.has(run.state) || followed === id) return;
  stop();
  followed = id;
  stop = api.follow(id, (news) => {
    const at = runs.findIndex((each) => each.id === news.id);
    if (at >= 0) runs[at] = news;
    else runs.unshift(news);
    if (api.FINAL.has(news.state)) {
      followed = null;
      byId("announce").textContent = `Run ${stateOf(news).toLowerCase()}.`;
      refresh();
      refreshMemory();
    }
    if (news.id === state.run) drawCurrent();
    drawHistory();
    changed();
  });
}

async function cancel(id) {
  try {
    const run = await api.cancelRun(id);
    runs = runs.map((each) => (each.id === id ? run : each));
    if (id === state.run) drawCurrent();
    drawHistory();
  } catch (error) {
    tell(error);
  }
}

// ---- the run that is shown ----

function stateOf(run) {
  if (run.state === "queued") return run.position ? `Waiting, number ${run.position} in the queue` : "Waiting";
  if (run.state === "running") return sentence(run.phase || "running");
  return sentence(run.state);
}

function drawCurrent() {
  const run = chosenRun(),
    final = run && api.FINAL.has(run.state);
  byId("run").hidden = !run;
  if (!run) return;
  byId("run-prompt").textContent = run.prompt;
  byId("run-about").textContent = [run.method, run.preset, `seed ${run.seed}`, run.seconds ? seconds(run.seconds) : ""]
    .filter(Boolean)
    .join(" · ");
  byId("progress").hidden = final;
  byId("run-state").textContent = stateOf(run);
  byId("run-state").className = `badge ${run.state}`;
  const failed = byId("run-error");
  failed.hidden = !run.error;
  if (run.error) failed.replaceChildren(...reason(run.error));
  byId("run-check").hidden = !run.check;
  byId("run-check").textContent = run.check ? sentence(run.check) : "";
  drawProgress(run);
  drawLosses(run.losses ?? [], final);
  drawResult(byId("result"), run, final, useLayout);
}

function drawProgress(run) {
  const bar = byId("bar");
  set(bar, { max: Math.max(run.steps, 1), value: run.state === "queued" ? 0 : run.step });
  byId("step").textContent = run.steps ? `Step ${run.step} of ${run.steps}` : "";
  byId("left").textContent =
    run.seconds_left !== null && run.seconds_left !== undefined ? `about ${seconds(run.seconds_left)} left` : "";
  byId("run-cancel").disabled = run.phase === "cancelling";
  byId("run-cancel").textContent = run.phase === "cancelling" ? "Cancelling …" : "Cancel";
  const image = byId("preview"),
    url = run.preview ? `${api.fileUrl(run.id, "preview.png")}?n=${run.preview}` : "";
  byId("preview-area").hidden = !url;
  if (url && image.getAttribute("src") !== url) image.src = url;
}

function drawLosses(losses, final) {
  const area = byId("losses");
  area.hidden = losses.length < 2;
  if (area.hidden) return;
  const width = 320,
    height = 96,
    low = Math.min(...losses),
    high = Math.max(...losses),
    range = high - low || 1;
  const points = losses.map(
    (loss, at) =>
      `${((at / (losses.length - 1)) * (width - 8) + 4).toFixed(1)},${(height - 6 - ((loss - low) / range) * (height - 12)).toFixed(1)}`,
  );
  set(byId("losses-line"), { points: points.join(" ") });
  const [x, y] = points.at(-1).split(",");
  set(byId("losses-now"), { cx: x, cy: y, r: final ? 0 : 3.5 });
  byId("losses-text").textContent =
    `Loss ${losses[0].toPrecision(3)} → ${losses.at(-1).toPrecision(3)} in ${losses.length} iterations`;
}

// The layout of a run goes back into the editor, with its prompt.
function useLayout(layout) {
  edit((draft) => Object.assign(draft, fromLayout(layout)));
  select(state.document.objects[0]?.id ?? null);
  tell("The run's layout is in the editor. Undo brings back yours.");
}

// ---- history ----

function drawHistory() {
  byId("runs-none").hidden = runs.length > 0;
  byId("history").hidden = !runs.length;
  byId("runs-more").hidden = runs.length <= limit;
  keyed(byId("history-list"), runs.slice(0, limit), (run) => run.id, createEntry, updateEntry);
}

function createEntry({ id }) {
  return make(
    "li",
    { class: "entry" },
    make(
      "button",
      { type: "button", class: "entry-open", onclick: () => show(id) },
      make("span", { class: "entry-prompt" }),
      make("span", { class: "muted entry-about" }),
    ),
    make("span", { class: "badge" }),
    make("button", { type: "button", class: "small entry-end" }, "✕"),
  );
}

function updateEntry(node, run) {
  const final = api.FINAL.has(run.state),
    chosen = run.id === state.run;
  set(node, { class: chosen ? "entry chosen" : "entry" });
  set(node.querySelector(".entry-open"), { "aria-pressed": String(chosen) });
  node.querySelector(".entry-prompt").textContent = run.prompt;
  const when = new Date(run.created * 1000);
  node.querySelector(".entry-about").textContent = [
    run.method,
    `seed ${run.seed}`,
    when.toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" }),
  ].join(" · ");
  set(node.querySelector(".badge"), { class: `badge ${run.state}` });
  node.querySelector(".badge").textContent =
    run.state === "running" && run.steps ? `${Math.round((100 * run.step) / run.steps)}%` : run.state;
  const end = node.querySelector(".entry-end"),
    label = `${final ? "Delete" : "Cancel"} the run “${run.prompt.slice(0, 80)}”`;
  set(end, { "aria-label": label, title: final ? "Delete" : "Cancel" });
  end.onclick = () =>
    final ? ask(`${label} and its files? This cannot be undone.`, () => remove(run.id)) : cancel(run.id);
}

async function remove(id) {
  await api.deleteRun(id);
  if (state.run === id) state.run = null;
  await refresh();
  show(state.run ?? runs[0]?.id ?? null);
}
