// Small helpers for the document. Text from outside reaches the page only as text nodes and attributes, never as HTML.
const SVG = new Set("svg g rect line circle text polyline path title".split(" "));

export const byId = (id) => document.getElementById(id);

export function make(name, attributes = {}, ...children) {
  const node = SVG.has(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  set(node, attributes);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// "onclick" adds a listener, "--color" a custom property; null and false remove the attribute.
export function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) node.style.setProperty(key, value);
    else if (value === null || value === undefined || value === false) node.removeAttribute(key);
    else if (node.getAttribute(key) !== String(value === true ? "" : value))
      node.setAttribute(key, value === true ? "" : value);
  }
  return node;
}

// One child for each key, in this order. Children are kept, since a replaced one would lose focus and pointer capture.
export function keyed(parent, items, keyOf, create, update) {
  const old = new Map(
    [...parent.children].filter((node) => node.dataset.key !== undefined).map((node) => [node.dataset.key, node]),
  );
  const focused = document.activeElement;
  let at = null;
  for (const [index, item] of items.entries()) {
    const key = String(keyOf(item, index));
    let node = old.get(key);
    if (node) old.delete(key);
    else {
      node = create(item, index);
      node.dataset.key = key;
    }
    const next = at ? at.nextElementSibling : parent.firstElementChild;
    if (node !== next) parent.insertBefore(node, next);
    update(node, item, index);
    at = node;
  }
  for (const node of old.values()) node.remove();
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}

export function options(select, pairs, value) {
  select.replaceChildren(...pairs.map(([key, label]) => make("option", { value: key }, label)));
  if (value !== undefined && pairs.some(([key]) => key === value)) select.value = value;
}

// Writes a field unless somebody is typing in it.
export function fill(field, value) {
  if (document.activeElement !== field && field.value !== String(value)) field.value = value;
}

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export function seconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "";
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 90) return `${Math.round(value)} s`;
  return `${Math.floor(value / 60)} min ${String(Math.round(value % 60)).padStart(2, "0")} s`;
}

// As in ttom/layout/draw.py, so that boxes have the colors of overlay.mp4.
export function objectColor(index) {
  const hue = ((index * 0.381966) % 1) * 6,
    value = 255,
    low = 0.15 * value;
  const between = (distance) => Math.round(value - (value - low) * clamp(Math.min(distance, 4 - distance), 0, 1));
  const channel = (shift) => between((((shift + hue) % 6) + 6) % 6);
  return `rgb(${channel(5)}, ${channel(3)}, ${channel(1)})`;
}

// Black or white, whichever is easier to read on the color.
export function inkOn(color) {
  const [red, green, blue] = color.match(/\d+/g).map((part) => (part / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#111111" : "#ffffff";
}

const message = byId("message");
let unreachable = false;

// What an error says: the problem, what was expected and what to try.
export function reason({ problem, message: text, expected, remedy }) {
  return [
    make("strong", {}, sentence(problem ?? text ?? "Something went wrong").replace(/[^.!?:…]$/, "$&.")),
    expected && make("span", {}, ` Expected: ${expected}.`),
    remedy && make("span", {}, ` Try: ${remedy}.`),
  ].filter(Boolean);
}

// Shows an error, or one line of news, above the page until it is closed.
export function tell(error) {
  const told = typeof error === "string" ? { problem: error, note: true } : error;
  unreachable = told.status === 0;
  byId("message-text").replaceChildren(...reason(told));
  message.classList.toggle("note", Boolean(told.note));
  message.hidden = false;
}

export function hush() {
  message.hidden = true;
}

// The server answers again: a message that it does not is out of date.
export function hushUnreachable() {
  if (unreachable) hush();
}

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
