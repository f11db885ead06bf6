// A video with its boxes. The clock drives it; it never plays by itself.
const BOX_COLORS = ["#ffd23f", "#4cc9f0", "#ff6b6b", "#80ed99", "#c77dff", "#ff9f1c", "#e9ecef", "#f78fb3"];

class Player {
  constructor(found, index, prompt) {
    this.found = found;
    this.video = make("video", { muted: true, playsinline: true, preload: "auto", tabindex: "-1", "aria-label": `${report.runs[index].label}: ${prompt}` });
    this.video.muted = true;
    this.layer = make("svg", { "aria-hidden": "true" });
    this.layout = found.layout === undefined ? [] : data.layouts[found.layout];
    this.drawn = null;
    this.broken = false;
    this.element = make("div", { class: "frame", "--color": color(index) }, this.video, this.layer);
    this.video.addEventListener("loadedmetadata", () => {
      this.layer.setAttribute("viewBox", `0 0 ${this.video.videoWidth} ${this.video.videoHeight}`);
      this.drawn = null;
      this.drawBoxes();
      clock.measure();
      this.seek(clock.time);
    });
    this.video.addEventListener("error", () => {
      if (this.closed) return;
      this.broken = true;
      this.element.replaceWith(make("div", { class: "novideo" }, "This video cannot be played."));
      clock.remove(this);
    });
    this.video.src = fileUrl(found.video, "video/mp4");
  }
  // Stops loading, so that the file's address can be given up.
  close() {
    this.closed = true;
    clock.remove(this);
    this.video.removeAttribute("src");
    this.video.load();
  }
  duration() { return Number.isFinite(this.video.duration) ? this.video.duration : 0; }
  frameSeconds() { return this.found.fps ? 1 / this.found.fps : 0.125; }
  usable() { return !this.broken && this.duration() > 0; }
  // A video that has ended waits for the others.
  ready(time) { return time >= this.duration() - 1e-3 || (!this.video.seeking && this.video.readyState >= 3); }
  seek(time) {
    if (this.usable()) this.video.currentTime = Math.min(time, Math.max(0, this.duration() - 1e-3));
  }
  follow(time, rate) {
    if (time >= this.duration() - 1e-3) {
      this.video.pause();
      return;
    }
    const drift = this.video.currentTime - time;
    if (Math.abs(drift) > JUMP) this.video.currentTime = time;
    this.video.playbackRate = Math.abs(drift) > DRIFT ? rate * (drift > 0 ? 0.9 : 1.1) : rate;
    if (this.video.paused) this.video.play().catch(() => {});
  }
  // Where the layout is at the frame that is shown: 0 is the first frame, 1 the last.
  share() {
    const { frames, fps } = this.found;
    if (frames && fps) return frames > 1 ? Math.min(1, Math.floor(this.video.currentTime * fps + 1e-3) / (frames - 1)) : 0;
    return this.duration() ? Math.min(1, this.video.currentTime / this.duration()) : 0;
  }
  drawBoxes() {
    const share = this.share();
    if (share === this.drawn || !this.video.videoWidth) return;
    this.drawn = share;
    const width = this.video.videoWidth, height = this.video.videoHeight;
    const shown = this.video.clientWidth || width;
    const size = (Math.min(13, shown / 15) * width) / shown; // 13 pixels on the screen, fewer in a small player
    this.layer.replaceChildren(...this.layout.flatMap((item, at) => {
      const box = boxAt(item, share);
      return box ? boxMarks(box, item.phrase, BOX_COLORS[at % BOX_COLORS.length], width, height, size) : [];
    }));
  }
}

function boxMarks([x0, y0, x1, y1], phrase, stroke, width, height, size, extra = {}) {
  // Moved to the left where it would leave the picture; a letter is about .62 of the font's size wide.
  const left = Math.max(0, Math.min(x0 * width + size * 0.3, width - (phrase.length * 0.62 + 0.3) * size));
  const label = make("text", { x: left, y: y0 * height + size * 1.05, "font-size": size, "stroke-width": size * 0.14 }, phrase);
  const box = { x: x0 * width, y: y0 * height, width: (x1 - x0) * width, height: (y1 - y0) * height, stroke };
  return [make("rect", { ...box, ...extra }), label];
}

// Linear between key frames, held before the first and after the last; null while the object is not visible.
function boxAt(item, time) {
  if (time < item.visible[0] || time > item.visible[1]) return null;
  const frames = item.frames;
  const after = frames.findIndex((frame) => frame[0] >= time);
  if (after === 0) return frames[0].slice(1);
  if (after < 0) return frames[frames.length - 1].slice(1);
  const [first, second] = [frames[after - 1], frames[after]];
  const share = (time - first[0]) / (second[0] - first[0]);
  return first.slice(1).map((value, at) => value + share * (second[at + 1] - value));
}

// The whole layout in one picture: first box solid, last box dashed, the path of the center between them.
function planPicture(layout, size) {
  const [width, height] = size ?? [480, 320];
  const marks = layout.flatMap((item, at) => {
    const stroke = color(at);
    const middle = ([, x0, y0, x1, y1]) => `${((x0 + x1) / 2) * width},${((y0 + y1) / 2) * height}`;
    const first = item.frames[0], last = item.frames[item.frames.length - 1];
    const found = boxMarks(first.slice(1), item.phrase, stroke, width, height, height * 0.06);
    found[1].removeAttribute("stroke-width");
    if (item.frames.length > 1) {
      found.push(make("polyline", { points: item.frames.map(middle).join(" "), stroke }));
      found.push(boxMarks(last.slice(1), "", stroke, width, height, 0, { class: "end" })[0]);
      const [x, y] = middle(last).split(",");
      found.push(make("circle", { cx: x, cy: y, r: height * 0.018, fill: stroke }));
    }
    return found;
  });
  const told = layout.map((item) => item.phrase).join(", ");
  return make("svg", { class: "plan", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Layout of ${told}` }, marks);
}
