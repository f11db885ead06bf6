// Summary, breakdown, published numbers and what was left out.
const cellsOf = (column, by) =>
  report.cells.filter((cell) => cell.metric === column.metric && cell.proxy === column.proxy && cell.by === by);
const runIndex = new Map(report.runs.map((run, index) => [run.label, index]));

function excludedText(cell) {
  const reasons = Object.entries(cell.excluded).map(([reason, count]) => `${count} ${reason}`);
  return reasons.length ? `n = ${cell.n}; ${reasons.join(", ")}` : `n = ${cell.n}`;
}

function meanCell(cell, column) {
  if (!cell || cell.mean === null)
    return { content: [make("span", { class: "missing" }, "missing"), cell ? make("span", { class: "sub" }, excludedText(cell)) : null] };
  const found = [number(cell.mean), " ", make("span", { class: "muted" }, spread(cell.low, cell.high)), make("span", { class: "sub" }, excludedText(cell))];
  if (cell.difference) found.push(differenceLine(cell.difference, column));
  return { content: found };
}

function differenceLine(difference, column) {
  const sure = difference.low !== null && (difference.low > 0 || difference.high < 0);
  const better = difference.mean > 0 === column.higher_is_better;
  const sign = sure ? (better ? "▲ " : "▼ ") : "";
  const p = difference.p === null ? "" : `, p = ${difference.p < 0.001 ? "< .001" : difference.p.toFixed(3)}`.replace("= <", "<");
  const within = spread(difference.low, difference.high, true);
  const text = `${sign}${number(difference.mean, true)}${within && ` ${within}`}, ${difference.n} pairs${p}`;
  return make("span", { class: `sub ${sure ? (better ? "good" : "bad") : ""}` }, text);
}

function plot(column) {
  const cells = cellsOf(column, "all").filter((cell) => cell.mean !== null);
  const ends = cells.flatMap((cell) => [cell.low ?? cell.mean, cell.high ?? cell.mean]);
  const unit = ends.every((end) => end >= 0 && end <= 1);
  const low = unit ? 0 : Math.min(0, ...ends);
  const high = unit ? 1 : Math.max(...ends) || 1;
  const at = (value) => `${(100 * (value - low)) / (high - low || 1)}%`;
  const rows = report.runs.map((run, index) => {
    const cell = cells.find((each) => each.run === run.label);
    const parts = [make("line", { x1: "0%", x2: "100%", y1: "50%", y2: "50%", stroke: "var(--line)" })];
    if (cell) {
      if (cell.low !== null) parts.push(make("line", { x1: at(cell.low), x2: at(cell.high), y1: "50%", y2: "50%", stroke: color(index), "stroke-width": 4, "stroke-linecap": "round", opacity: ".55" }));
      parts.push(make("circle", { cx: at(cell.mean), cy: "50%", r: 5.5, fill: color(index), stroke: "var(--card)", "stroke-width": 1.5 }));
    }
    const label = cell ? `${run.label}: ${number(cell.mean)} ${spread(cell.low, cell.high)}` : `${run.label}: missing`;
    return make("div", { class: "plot-row" }, runName(index), make("svg", { role: "img", "aria-label": label }, parts),
      cell ? make("span", { class: "number" }, number(cell.mean)) : make("span", { class: "missing" }, "missing"));
  });
  const hint = `${column.higher_is_better ? "Higher" : "Lower"} is better${column.binary ? "; yes or no" : ""}`;
  const axis = make("div", { class: "axis", "aria-hidden": "true" }, make("span"), make("span", {}, make("span", {}, number(low)), make("span", {}, number(high))), make("span"));
  return make("div", { class: "plot" }, make("h3", {}, words(column.metric), make("span", { class: "tag" }, judge(column))),
    make("p", { class: "hint" }, hint), rows, axis);
}

function summaryTable(proxy) {
  const columns = report.columns.filter((column) => column.proxy === proxy);
  if (!columns.length) return null;
  const rows = columns.map((column) => [
    `${words(column.metric)} ${column.higher_is_better ? "↑" : "↓"}`,
    ...report.runs.map((run) => {
      const cell = meanCell(cellsOf(column, "all").find((each) => each.run === run.label), column);
      const average = report.averages.find((each) => each.run === run.label && each.metric === column.metric && each.proxy === proxy);
      if (average) cell.content.push(make("span", { class: "sub" }, `mean of the ${average.categories} categories: ${average.mean === null ? "missing" : number(average.mean)}`));
      return cell;
    }),
  ]);
  const title = proxy ? "Proxy scores" : "Official scores";
  return make("div", {}, make("h3", {}, title), table(title, ["Metric", ...report.runs.map((run) => run.label)], rows));
}

function drawSummary() {
  const models = [...new Set(report.runs.map((run) => run.model))];
  byId("title").textContent = `${report.suite}: ${report.runs.map((run) => run.label).join(" · ")}`;
  byId("subtitle").textContent = `${report.cases} cases in ${report.categories.length} categories, suite revision ${report.suite_revision}, ${models.join(", ")}. ` +
    `Means with 95% intervals, clustered by prompt; differences are paired with “${report.baseline}”; p is McNemar’s exact test, given where each prompt occurs once.`;
  if (report.columns.some((column) => column.proxy)) {
    byId("proxy-note").textContent = data.proxy_note;
    byId("proxy-note").hidden = false;
  }
  byId("legend").append(...report.runs.map((run, index) =>
    make("span", { class: "run-name" }, dot(index), run.label, run.label === report.baseline ? make("span", { class: "tag" }, "baseline") : null)));
  byId("plots").append(...report.columns.map(plot));
  byId("summary-tables").append(...[false, true].map(summaryTable).filter(Boolean));
  if (!report.columns.length) byId("plots").append(make("p", { class: "callout" }, "No run has scores yet."));
}

function drawBreakdown() {
  const metric = byId("breakdown-metric"), by = byId("breakdown-by");
  options(metric, report.columns.map((column, index) => [index, words(columnName(column))]));
  const draw = () => {
    const column = report.columns[metric.value];
    if (!column) return;
    const present = ["category", "direction", "relation", "count"].filter((each) => cellsOf(column, each).length);
    const chosen = present.includes(by.value) ? by.value : present[0];
    options(by, present.map((each) => [each, each]));
    by.value = chosen;
    const groups = new Map();
    for (const cell of cellsOf(column, chosen)) groups.set(cell.group, [...(groups.get(cell.group) ?? []), cell]);
    const rows = [...groups].map(([group, cells]) => [words(group), ...report.runs.map((run) => meanCell(cells.find((cell) => cell.run === run.label), column))]);
    byId("breakdown-table").replaceChildren(table(`${columnName(column)} by ${chosen}`, [chosen, ...report.runs.map((run) => run.label)], rows));
  };
  metric.addEventListener("change", draw);
  by.addEventListener("change", draw);
  draw();
}

function drawPublished() {
  const published = report.published;
  byId("published").hidden = byId("published-link").hidden = !published.tables.length;
  byId("published-note").textContent = `From “${published.paper}” (${published.version}). ${published.note} Proxy scores of this report cannot be compared with them.`;
  byId("published-tables").append(...published.tables.map((each) => {
    const value = (number) => (number === null ? { content: "–", class: "number muted" } : number.toFixed(4));
    const own = each.own.map((row) => [{ content: runName(runIndex.get(row.label)) }, ...row.values.map(value), "this report, official judges"]);
    const rows = [...own, ...each.rows.map((row) => [row.label, ...row.values.map(value), { content: row.origin, class: "muted" }])];
    return make("div", {}, make("h3", {}, `${each.title} `, make("span", { class: "tag" }, each.source)),
      each.note ? make("p", { class: "muted" }, each.note) : null,
      table(each.title, ["Method", ...each.columns.map((column) => column.name), "Origin"], rows));
  }));
}

function drawDetails() {
  const rows = report.runs.map((run, index) => [
    { content: runName(index) }, run.model, run.made, run.refused, run.failed, run.missing ? { content: run.missing, class: "number missing" } : 0,
    run.seconds === null ? "–" : run.seconds.toFixed(2), run.peak_bytes === null ? "–" : (run.peak_bytes / 2 ** 30).toFixed(2),
    run.devices.join(", ") || "–", run.memory_digest ?? "none",
  ]);
  const head = ["Run", "Model", "Made", "Refused", "Failed", "Missing", "Seconds a video", "Peak memory (GiB)", "Device", "Memory"];
  byId("runs-table").append(table("Runs", head, rows));
  const dropped = Object.entries(report.dropped);
  if (dropped.length) byId("problems").append(make("h3", {}, "Prompts that are not in the suite (run.json says why)"), table("Prompts that are not in the suite", ["Category", "Prompts"], dropped));
  const problems = report.runs.flatMap((run, index) => run.problems.map((each) => [{ content: runName(index) }, each.what, each.count, each.example]));
  if (problems.length) byId("problems").append(make("h3", {}, "Left out"), table("Left out", ["Run", "What", "Count", "First"], problems));
  for (const run of report.runs)
    byId("provenance").append(make("details", {}, make("summary", {}, `Settings and provenance of ${run.label}`),
      make("pre", { tabindex: "0" }, JSON.stringify({ identity: run.identity, settings_hash: run.settings_hash, model_digest: run.model_digest, settings: run.settings, provenance: run.provenance }, null, 2))));
}
