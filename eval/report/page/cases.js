// Filters, pages of cases, and the cards.
const filters = Object.fromEntries(["text", "category", "group", "metric", "winner", "status", "order", "size"].map((name) => [name, byId(`filter-${name}`)]));
let page = 0;
let shown = [];
const players = new Map(); // element -> Player, of the cards on this page
const visible = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const player = players.get(entry.target);
    if (!player || player.broken) continue;
    if (entry.isIntersecting) clock.add(player);
    else clock.remove(player);
  }
}, { rootMargin: "200px" });

// Indices of the runs with the best score; [] if no two runs have one.
function best(item, column) {
  const scores = item.runs.map((run) => run.scores[column] ?? null);
  const known = scores.filter((score) => score !== null);
  if (known.length < 2) return [];
  const top = report.columns[column].higher_is_better ? Math.max(...known) : Math.min(...known);
  return scores.flatMap((score, index) => (score === top ? [index] : []));
}

function matches(item) {
  const text = filters.text.value.trim().toLowerCase();
  if (text && !`${item.prompt} ${item.id}`.toLowerCase().includes(text)) return false;
  if (filters.category.value && item.category !== filters.category.value) return false;
  if (filters.group.value) {
    const [kind, name] = JSON.parse(filters.group.value);
    if (!(item.groups[kind] ?? []).includes(name)) return false;
  }
  if (filters.status.value && !item.runs.some((run) => run.status === filters.status.value)) return false;
  if (filters.winner.value && filters.metric.value) {
    const winners = best(item, filters.metric.value);
    const found = winners.length === 1 ? String(winners[0]) : winners.length ? "tie" : "none";
    if (found !== filters.winner.value) return false;
  }
  return true;
}

function ordered(items) {
  const column = filters.metric.value, base = runIndex.get(report.baseline);
  if (!column || filters.order.value === "suite") return items;
  const gap = (item) => {
    const ours = item.runs.flatMap((run, index) => (index === base || (run.scores[column] ?? null) === null ? [] : [run.scores[column]]));
    const theirs = item.runs[base].scores[column] ?? null;
    if (theirs === null || !ours.length) return null;
    return (Math.max(...ours) - theirs) * (report.columns[column].higher_is_better ? 1 : -1);
  };
  const sign = filters.order.value === "gains" ? -1 : 1;
  return items.map((item) => [item, gap(item)]).sort((a, b) => (a[1] === null) - (b[1] === null) || sign * (a[1] - b[1])).map(([item]) => item);
}

function refresh() {
  shown = ordered(data.cases.filter(matches));
  page = 0;
  drawPage();
}

function drawPage() {
  const size = Number(filters.size.value), pages = Math.max(1, Math.ceil(shown.length / size));
  page = Math.min(Math.max(page, 0), pages - 1);
  for (const player of players.values()) player.close();
  visible.disconnect();
  players.clear();
  for (const url of blobs.values()) URL.revokeObjectURL(url);
  blobs.clear();
  byId("cases").replaceChildren(...shown.slice(page * size, (page + 1) * size).map(card));
  byId("count").textContent = `${shown.length} of ${data.cases.length} cases`;
  for (const id of ["pager-top", "pager-bottom"]) {
    byId(id).replaceChildren(
      make("button", { type: "button", disabled: page === 0, onclick: () => turn(-1) }, "Previous"),
      make("span", { class: "muted number" }, `Page ${page + 1} of ${pages}`),
      make("button", { type: "button", disabled: page >= pages - 1, onclick: () => turn(1) }, "Next"));
  }
}

function turn(step) {
  page += step;
  drawPage();
  byId("videos").scrollIntoView();
}

function card(item) {
  const winners = filters.metric.value === "" ? [] : best(item, filters.metric.value);
  const tags = [item.category, `seed ${item.seed}`, ...Object.entries(item.groups).map(([kind, names]) => `${kind}: ${names.join(", ")}`)];
  return make("article", { class: "case", "data-case": item.id, "aria-label": item.prompt },
    make("div", { class: "case-head" }, make("h3", {}, item.prompt), make("span", { class: "muted" }, item.id)),
    make("div", { class: "tags" }, tags.map((tag) => make("span", { class: "tag" }, words(tag)))),
    make("div", { class: "players" }, item.runs.map((run, index) => playerOf(item, run, index, winners))),
    extras(item));
}

function playerOf(item, run, index, winners) {
  let screen;
  if (run.video) {
    const player = new Player(run, index, item.prompt);
    players.set(player.element, player);
    visible.observe(player.element);
    screen = player.element;
  } else {
    screen = make("div", { class: "novideo" }, run.status === "made" ? "The video is not there." : `${words(run.status)}${run.error ? `: ${run.error}` : ""}`);
  }
  const mark = winners.length === 1 && winners[0] === index ? make("span", { class: "best" }, "★ best") : null;
  const scores = report.columns.flatMap((column, at) => {
    const value = run.scores[at] ?? null;
    return value === null ? [] : [make("li", { class: String(at) === filters.metric.value ? "chosen" : null }, `${words(column.metric)} `, make("b", {}, number(value)))];
  });
  if (run.seconds) scores.push(make("li", {}, "time ", make("b", {}, `${run.seconds.toFixed(1)} s`)));
  return make("div", { class: "player", "data-run": report.runs[index].label },
    make("div", { class: "player-head" }, runName(index), mark), screen, make("ul", { class: "scores", "aria-label": `Scores of ${report.runs[index].label}` }, scores));
}

// Layout, attention pictures and reports, drawn when they are opened.
function extras(item) {
  const runs = item.runs.map((run, index) => ({ ...run, index })).filter((run) => run.layout !== undefined || run.attention || run.told);
  if (!runs.length) return null;
  const body = make("div", { class: "extras" });
  const details = make("details", {}, make("summary", {}, "Layout, attention and report"), body);
  details.addEventListener("toggle", () => {
    if (!details.open || body.childElementCount) return;
    const layouts = new Map();
    for (const run of runs) if (run.layout !== undefined) layouts.set(run.layout, [...(layouts.get(run.layout) ?? []), run]);
    for (const [number, sharing] of layouts)
      body.append(figure(`Layout of ${sharing.map((run) => report.runs[run.index].label).join(", ")}: start solid, end dashed`, planPicture(data.layouts[number], sharing[0].size)));
    for (const run of runs) if (run.told) body.append(reportFigure(run));
    for (const run of runs) if (run.attention) body.append(attentionFigure(run, item));
  });
  return details;
}

const figure = (caption, ...content) => make("figure", {}, make("figcaption", {}, caption), content);

function attentionFigure(run, item) {
  const url = fileUrl(run.attention, "image/png");
  const alt = `Attention maps of ${report.runs[run.index].label} for: ${item.prompt}`;
  const found = figure(`Attention, ${report.runs[run.index].label}`, make("a", { href: url, target: "_blank", rel: "noopener" }, make("img", { src: url, alt, loading: "lazy" })));
  found.classList.add("wide");
  return found;
}

function reportFigure(run) {
  const caption = `Report, ${report.runs[run.index].label}`;
  if (!run.told.startsWith("#")) return figure(caption, make("a", { href: run.told, target: "_blank", rel: "noopener" }, "Open report.json"));
  const text = new TextDecoder().decode(fileBytes(run.told));
  return figure(caption, make("pre", { tabindex: "0" }, text));
}

function fillFilters() {
  options(filters.category, [["", "all"], ...report.categories.map((name) => [name, words(name)])]);
  const groups = new Map();
  for (const item of data.cases) for (const [kind, names] of Object.entries(item.groups)) for (const name of names) groups.set(JSON.stringify([kind, name]), `${kind}: ${words(name)}`);
  options(filters.group, [["", "all"], ...[...groups].sort((a, b) => a[1].localeCompare(b[1], "en", { numeric: true }))]);
  options(filters.metric, report.columns.map((column, index) => [index, words(columnName(column))]));
  options(filters.winner, [["", "any"], ...report.runs.map((run, index) => [index, `${run.label} alone`]), ["tie", "tie"], ["none", "not comparable"]]);
  const statuses = [...new Set(data.cases.flatMap((item) => item.runs.map((run) => run.status)))].sort();
  options(filters.status, [["", "any"], ...statuses.map((status) => [status, `${words(status)} in some run`])]);
  options(filters.order, [["suite", "as in the suite"], ["gains", "largest gains first"], ["losses", "largest losses first"]]);
  for (const [name, control] of Object.entries(filters)) control.addEventListener(name === "text" ? "input" : "change", refresh);
}

function toggleBoxes() {
  const hidden = document.body.classList.toggle("hide-boxes");
  byId("boxes").setAttribute("aria-pressed", !hidden);
  byId("boxes").textContent = hidden ? "Boxes off" : "Boxes on";
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

const step = (frames) => {
  clock.play(false);
  const frame = clock.frame();
  clock.seek((Math.round(clock.time / frame) + frames + 0.5) * frame - 0.5 * frame + 1e-3);
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === " " && event.target.closest("button, summary, a")) return;
  const actions = { " ": () => clock.play(!clock.playing), ArrowLeft: () => step(-1), ArrowRight: () => step(1), b: toggleBoxes, B: toggleBoxes, "[": () => turn(-1), "]": () => turn(1) };
  if (!(event.key in actions)) return;
  if (event.key.startsWith("Arrow") && event.target.closest(".scroll, pre")) return;
  event.preventDefault();
  actions[event.key]();
});
byId("play").addEventListener("click", () => clock.play(!clock.playing));
byId("back").addEventListener("click", () => step(-1));
byId("forward").addEventListener("click", () => step(1));
byId("boxes").addEventListener("click", toggleBoxes);
byId("theme").addEventListener("click", toggleTheme);
byId("seek").addEventListener("input", (event) => clock.seek((event.target.value / 1000) * clock.duration));
byId("speed").addEventListener("change", (event) => { clock.rate = Number(event.target.value); clock.hold(); });
drawSummary();
drawBreakdown();
drawPublished();
drawDetails();
fillFilters();
refresh();
requestAnimationFrame(tick);
