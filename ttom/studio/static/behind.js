// The video of the chosen run behind the boxes, at the editor's frame: for a second, better layout.
import * as api from "./api.js";
import { byId } from "./dom.js";
import { chosenRun } from "./runs.js";
import { state, subscribe } from "./store.js";

export function start() {
  byId("behind").addEventListener("loadeddata", seek);
  subscribe(draw);
}

const middle = () => (state.frame + 0.5) / state.info.fps; // a frame's very start may show the one before

function seek() {
  const video = byId("behind");
  if (video.readyState >= 1 && Math.abs(video.currentTime - middle()) > 0.01) video.currentTime = middle();
}

function draw() {
  const video = byId("behind"),
    run = chosenRun(),
    can = Boolean(run?.files.includes("video.mp4"));
  byId("video").disabled = !can;
  video.hidden = !(can && state.view.video);
  if (video.hidden) return;
  const url = api.fileUrl(run.id, "video.mp4");
  if (video.getAttribute("src") !== url) video.src = url;
  seek();
}
