// Time from left to right: a ruler to scrub on, and one lane for each object with its key frames and visible interval.
import { byId, clamp, keyed, make, objectColor, set } from "./dom.js";
import { addKey, frameOf, keyAt, moveKey, removeKey, setVisible } from "./layout.js";
import { drag, drop, editObject, frames, go, indexOf, select, selected, state, subscribe } from "./store.js";

let held = null,
  playing = null;

export function start() {
  const ruler = byId("ruler");
  ruler.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    ruler.setPointerCapture(event.pointerId);
    held = { kind: "scrub" };
    pause();
    scrub(event);
  });
  byId("lanes").addEventListener("pointerdown", down);
  byId("lanes").addEventListener("keydown", keydown);
  byId("lanes").addEventListener("dblclick", double);
  for (const area of [ruler, byId("lanes")]) {
    area.addEventListener("pointermove", move);
    area.addEventListener("pointerup", () => release(true));
    area.addEventListener("pointercancel", () => release(false));
  }
  byId("seek").addEventListener("input", (event) => go(Number(event.target.value)));
  byId("play").addEventListener("click", toggle);
  drawRuler();
  subscribe(draw);
}

const share = (frame) => `${(100 * frame) / Math.max(frames() - 1, 1)}%`;

function frameAt(event, track) {
  const area = track.getBoundingClientRect();
  return Math.round(clamp((event.clientX - area.left) / area.width, 0, 1) * (frames() - 1));
}

const scrub = (event) => go(frameAt(event, byId("ruler-track")));

// ---- pointer ----

function down(event) {
  const lane = event.target.closest(".lane");
  if (!lane || event.button > 0 || held) return;
  const id = lane.dataset.key,
    key = event.target.closest(".key"),
    end = event.target.closest(".end");
  if (state.selected !== id) select(id);
  if (!key && !end) {
    if (event.target.closest(".track")) go(frameAt(event, lane.querySelector(".track")));
    return;
  }
  event.target.setPointerCapture(event.pointerId);
  const index = key ? Number(key.dataset.key) : null;
  held = {
    kind: key ? "key" : "end",
    id,
    index,
    end: end ? Number(end.dataset.end) : null,
    track: lane.querySelector(".track"),
    x: event.clientX,
  };
}

function move(event) {
  if (!held) return;
  if (held.kind === "scrub") return scrub(event);
  if (!held.moved && Math.abs(event.clientX - held.x) < 3) return;
  held.moved = true;
  const frame = frameAt(event, held.track);
  drag((draft) => {
    const item = draft.objects[indexOf(held.id)];
    if (held.kind === "key") moveKey(item, held.index, frame, frames());
    else setVisible(item, held.end, frame, frames());
  });
  if (held.kind === "key") go(frameOf(selected().key_frames[held.index].time, frames()));
}

export function release(keep) {
  if (!held) return;
  const { kind, moved, id, index } = held;
  held = null;
  if (kind === "key" && !moved) go(frameOf(state.document.objects[indexOf(id)].key_frames[index].time, frames()));
  drop(keep);
}

function double(event) {
  const lane = event.target.closest(".lane"),
    key = event.target.closest(".key");
  if (!lane || event.target.closest(".end")) return;
  const id = lane.dataset.key;
  if (key) editObject(id, (item) => removeKey(item, Number(key.dataset.key)));
  else if (event.target.closest(".track")) {
    const frame = frameAt(event, lane.querySelector(".track"));
    editObject(id, (item) => addKey(item, frame, frames()));
    go(frame);
  }
}

// ---- keyboard ----

function keydown(event) {
  const lane = event.target.closest(".lane"),
    key = event.target.closest(".key"),
    end = event.target.closest(".end");
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!lane || (!key && !end) || event.ctrlKey || event.metaKey) return;
  const item = state.document.objects[indexOf(lane.dataset.key)];
  if (step && key) {
    const index = Number(key.dataset.key),
      frame = frameOf(item.key_frames[index].time, frames()) + step;
    editObject(item.id, (draft) => moveKey(draft, index, frame, frames()), `key ${index}`);
    go(frame);
  } else if (step) {
    const at = Number(end.dataset.end);
    editObject(
      item.id,
      (draft) => setVisible(draft, at, frameOf(item.visible[at], frames()) + step, frames()),
      `end ${at}`,
    );
  } else if (key && (event.key === "Delete" || event.key === "Backspace")) {
    editObject(item.id, (draft) => removeKey(draft, Number(key.dataset.key)));
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

// ---- playing ----

export function toggle() {
  if (playing) return pause();
  const began = performance.now(),
    from = state.frame >= frames() - 1 ? 0 : state.frame;
  const tick = (time) => {
    if (!playing) return;
    const frame = (from + Math.floor(((time - began) / 1000) * state.info.fps)) % frames();
    if (frame !== state.frame && time >= began) go(frame);
    playing = requestAnimationFrame(tick);
  };
  playing = requestAnimationFrame(tick);
  showPlaying();
}

export function pause() {
  cancelAnimationFrame(playing);
  playing = null;
  showPlaying();
}

function showPlaying() {
  byId("play").textContent = playing ? "Pause" : "Play";
}

// The path's key frames can be visited one by one.
export function goToKey(step) {
  const item = selected();
  if (!item) return;
  const keys = item.key_frames.map((key) => Math.round(key.time * (frames() - 1)));
  const found = step > 0 ? keys.find((frame) => frame > state.frame) : keys.findLast((frame) => frame < state.frame);
  if (found !== undefined) go(found);
}

// ---- drawing ----

function drawRuler() {
  const every = [1, 2, 4, 5, 8, 10, 16, 20, 40, 80].find((step) => frames() / step <= 9) ?? 160;
  const marks = [];
  for (let frame = 0; frame < frames(); frame += 1) {
    if (frames() > 200 && frame % every) continue;
    const numbered = frame % every === 0;
    marks.push(
      make("span", { class: numbered ? "tick numbered" : "tick", "--at": share(frame) }, numbered ? String(frame) : ""),
    );
  }
  byId("ruler-marks").replaceChildren(...marks);
  set(byId("seek"), { max: frames() - 1 });
}

function draw() {
  for (const line of document.querySelectorAll(".playhead")) line.style.setProperty("--at", share(state.frame));
  byId("seek").value = state.frame;
  byId("seek").setAttribute("aria-valuetext", `frame ${state.frame} of ${frames() - 1}`);
  byId("time").textContent = `${state.frame} / ${frames() - 1} · ${(state.frame / state.info.fps).toFixed(2)} s`;
  keyed(byId("lanes"), state.document.objects, (item) => item.id, createLane, updateLane);
  const item = selected(),
    at = item ? keyAt(item, state.frame, frames()) : -1;
  byId("key-add").disabled = !item || at >= 0;
  byId("key-remove").disabled = !item || at < 0 || item.key_frames.length < 2;
}

function createLane(item) {
  const name = make(
    "button",
    { type: "button", class: "lane-name", onclick: () => select(item.id) },
    make("span", { class: "dot" }),
    make("span", { class: "text" }),
  );
  const ends = [0, 1].map((end) => make("span", { class: "end", "data-end": end, role: "slider", tabindex: "0" }));
  const track = make(
    "div",
    { class: "track" },
    make("div", { class: "visible" }),
    ...ends,
    make("div", { class: "keys" }),
    make("div", { class: "playhead" }),
  );
  return make("div", { class: "lane", role: "group" }, name, track);
}

function updateLane(lane, item, index) {
  const name = item.phrase || "unnamed",
    chosen = item.id === state.selected;
  set(lane, {
    "--color": objectColor(index),
    "aria-label": `Timeline of ${name}`,
    class: chosen ? "lane selected" : "lane",
  });
  set(lane.querySelector(".lane-name"), { "aria-pressed": String(chosen) });
  lane.querySelector(".text").textContent = name;
  const [first, last] = item.visible.map((time) => frameOf(time, frames()));
  set(lane.querySelector(".visible"), { "--from": share(first), "--to": share(last) });
  for (const [at, node] of [...lane.querySelectorAll(".end")].entries()) {
    set(node, {
      "--at": share(at ? last : first),
      "aria-label": `${at ? "Last" : "First"} visible frame of ${name}`,
      "aria-valuemin": 0,
      "aria-valuemax": frames() - 1,
      "aria-valuenow": at ? last : first,
    });
  }
  keyed(
    lane.querySelector(".keys"),
    item.key_frames,
    (_, at) => at,
    () => make("button", { type: "button" }),
    (node, key) => {
      const frame = frameOf(key.time, frames());
      set(node, {
        "--at": share(frame),
        "aria-label": `Key frame of ${name} at frame ${frame}`,
        title: `Key frame at ${frame}: drag, or double-click to delete`,
        class: frame === state.frame ? "key now" : "key",
      });
    },
  );
}
