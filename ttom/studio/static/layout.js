// What a layout is: named objects with key-framed boxes, as in ttom/layout/model.py.
// Coordinates are shares of the picture, times are shares of the video. Functions that edit change their argument.
import { clamp } from "./dom.js";

export const SMALLEST = 0.02; // side of a box that can still be grabbed
const SIDES = ["x0", "y0", "x1", "y1"];
const EXACT = 1e-9;

export const emptyDocument = () => ({ prompt: "", objects: [], source: "file", notes: [], left_out: [] });

// Linear between key frames, held before the first and after the last; visibility is another question.
export function boxAt(item, time) {
  const frames = item.key_frames;
  if (time <= frames[0].time) return { ...frames[0].box };
  for (let at = 1; at < frames.length; at += 1) {
    const before = frames[at - 1],
      after = frames[at];
    if (time > after.time) continue;
    const share = (time - before.time) / (after.time - before.time);
    return Object.fromEntries(SIDES.map((side) => [side, (1 - share) * before.box[side] + share * after.box[side]]));
  }
  return { ...frames[frames.length - 1].box };
}

export const isVisible = (item, time) => item.visible[0] <= time && time <= item.visible[1];

export const timeOf = (frame, frames) => (frames > 1 ? frame / (frames - 1) : 0);
export const frameOf = (time, frames) => Math.round(time * (frames - 1));

// The key frame that belongs to this picture frame: the nearest one less than half a frame away, or -1.
export function keyAt(item, frame, frames) {
  const distances = item.key_frames.map((key) => Math.abs(key.time * (frames - 1) - frame));
  const nearest = distances.indexOf(Math.min(...distances));
  return distances[nearest] < 0.5 ? nearest : -1;
}

const rounded = (value) => Math.round(value * 1e4) / 1e4;

// The box with its corners in order, inside the picture and large enough to grab.
export function tidy(box) {
  const [left, right] = span(box.x0, box.x1),
    [top, bottom] = span(box.y0, box.y1);
  return { x0: left, y0: top, x1: right, y1: bottom };
}

function span(one, two) {
  let low = clamp(Math.min(one, two), 0, 1),
    high = clamp(Math.max(one, two), 0, 1);
  if (high - low < SMALLEST) {
    low = clamp(low, 0, 1 - SMALLEST);
    high = low + SMALLEST;
  }
  return [rounded(low), rounded(high)];
}

// The box moved, stopped by the edges of the picture.
export function moved(box, dx, dy) {
  const x = clamp(dx, -box.x0, 1 - box.x1),
    y = clamp(dy, -box.y0, 1 - box.y1);
  return { x0: rounded(box.x0 + x), y0: rounded(box.y0 + y), x1: rounded(box.x1 + x), y1: rounded(box.y1 + y) };
}

// Changes the key frame of this picture frame, or makes one.
export function setBox(item, frame, frames, box) {
  const at = keyAt(item, frame, frames),
    key = { time: timeOf(frame, frames), box: tidy(box) };
  if (at >= 0) item.key_frames[at] = key;
  else item.key_frames.splice(item.key_frames.filter((each) => each.time < key.time).length, 0, key);
}

export function addKey(item, frame, frames) {
  if (keyAt(item, frame, frames) < 0) setBox(item, frame, frames, boxAt(item, timeOf(frame, frames)));
}

export function removeKey(item, index) {
  if (item.key_frames.length > 1) item.key_frames.splice(index, 1);
}

// Moves a key frame in time. It stops one frame before its neighbors, so that times stay in order.
export function moveKey(item, index, frame, frames) {
  const step = timeOf(1, frames),
    keys = item.key_frames;
  const low = index > 0 ? keys[index - 1].time + step : 0;
  const high = index < keys.length - 1 ? keys[index + 1].time - step : 1;
  if (low > high + EXACT) return;
  keys[index] = { ...keys[index], time: clamp(timeOf(frame, frames), Math.max(low, 0), Math.min(high, 1)) };
}

// Moves the whole path; no key frame leaves the picture.
export function moveAll(item, dx, dy) {
  const boxes = item.key_frames.map((key) => key.box);
  const x = clamp(dx, -Math.min(...boxes.map((box) => box.x0)), 1 - Math.max(...boxes.map((box) => box.x1)));
  const y = clamp(dy, -Math.min(...boxes.map((box) => box.y0)), 1 - Math.max(...boxes.map((box) => box.y1)));
  for (const key of item.key_frames) key.box = moved(key.box, x, y);
}

// One end (0 or 1) of the visible interval; at least one frame stays between the ends.
export function setVisible(item, end, frame, frames) {
  if (frames < 2) return;
  const first = frameOf(item.visible[0], frames),
    last = frameOf(item.visible[1], frames);
  const at = end ? clamp(frame, first + 1, frames - 1) : clamp(frame, 0, last - 1);
  item.visible[end] = timeOf(at, frames);
}

function freeId(objects, name) {
  const ids = new Set(objects.map((item) => item.id)),
    stem = name.slice(0, 180) || "box";
  let number = 1;
  while (ids.has(`${stem}-${number}`)) number += 1;
  return `${stem}-${number}`;
}

export function addObject(document, { phrase, noun, box, frame, frames }) {
  const item = {
    id: freeId(document.objects, noun || phrase),
    phrase,
    noun,
    key_frames: [{ time: timeOf(frame, frames), box: tidy(box) }],
    visible: [0, 1],
  };
  document.objects.push(item);
  return item;
}

// A copy beside the original, or at its place if there is no room.
export function duplicate(document, item) {
  const copy = structuredClone(item);
  copy.id = freeId(document.objects, item.noun || item.phrase);
  moveAll(copy, 0.06, 0.06);
  document.objects.splice(document.objects.indexOf(item) + 1, 0, copy);
  return copy;
}

// The layout file of the named objects; null if there are none, for a layout without objects is none.
export function toLayout(document) {
  const objects = document.objects.filter((item) => item.phrase && item.noun);
  if (!objects.length || !document.prompt.trim()) return null;
  return { version: 1, ...structuredClone({ ...document, objects }), prompt: document.prompt.trim() };
}

export function fromLayout(layout) {
  const { prompt, objects, source = "file", notes = [], left_out = [] } = structuredClone(layout);
  return { prompt, source, notes, left_out, objects: objects.map((item) => ({ visible: [0, 1], ...item })) };
}

// Snapshots for undo and redo. Edits of one kind in quick succession count as one.
export class History {
  constructor(limit = 200, patience = 800) {
    Object.assign(this, { limit, patience, past: [], future: [], last: null, when: 0 });
  }
  record(before, kind = null, now = Date.now()) {
    const same = kind !== null && kind === this.last && now - this.when < this.patience;
    Object.assign(this, { last: kind, when: now });
    if (same) return;
    this.past.push(before);
    if (this.past.length > this.limit) this.past.shift();
    this.future = [];
  }
  undo(present) {
    return this.step(this.past, this.future, present);
  }
  redo(present) {
    return this.step(this.future, this.past, present);
  }
  step(from, to, present) {
    if (!from.length) return null;
    this.last = null;
    to.push(present);
    return from.pop();
  }
}
