// Small helpers. Text from the data reaches the page only as text nodes and attributes, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const report = data.report;
const byId = (id) => document.getElementById(id);

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "rect", "line", "circle", "text", "polyline"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) node.style.setProperty(key, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const color = (index) => `var(--run-${index % 8})`;
const dot = (index) => make("span", { class: "dot", "--color": color(index), "aria-hidden": "true" });
const runName = (index) =>
  make("span", { class: "run-name" }, dot(index), make("span", { class: "run-label", title: report.runs[index].label }, report.runs[index].label));
const judge = (column) => (column.proxy ? "proxy" : "official");
const columnName = (column) => `${column.metric} (${judge(column)})`;
const words = (text) => text.replaceAll("_", " ");

function number(value, signed = false) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(Math.abs(value) < 10 ? 3 : 1);
  return (value < 0 ? "−" : signed ? "+" : "") + text;
}
const spread = (low, high, signed = false) =>
  low === null || high === null || low === undefined ? "" : `[${number(low, signed)}, ${number(high, signed)}]`;

function table(caption, head, rows) {
  const body = rows.map((row) =>
    make("tr", {}, row.map((cell, at) => {
      const content = cell instanceof Object && "content" in cell ? cell : { content: cell };
      const attributes = { class: content.class ?? (at ? "number" : null), scope: at ? null : "row" };
      return make(at ? "td" : "th", attributes, content.content);
    })));
  const heading = make("tr", {}, head.map((text, at) => make("th", { scope: "col", class: at ? "number" : null }, text)));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", {}, make("thead", {}, heading), make("tbody", {}, body)));
}

function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, label]) => make("option", { value }, label)));
}

// A file of a case: embedded ("#3") as a blob, which can be sought in, or a path beside the page.
const blobs = new Map();
function fileUrl(reference, type) {
  if (!reference.startsWith("#")) return reference;
  if (!blobs.has(reference)) blobs.set(reference, URL.createObjectURL(new Blob([fileBytes(reference)], { type })));
  return blobs.get(reference);
}
function fileBytes(reference) {
  const text = atob(byId(`file-${reference.slice(1)}`).textContent);
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
