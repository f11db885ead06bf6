// Videos of one run, played in step, with the planned boxes over them.
import { make, objectColor, set } from "./dom.js";
import { boxAt, isVisible } from "./layout.js";
import { latentFrame } from "./mask.js";

const DRIFT = 0.03; // seconds by which a video may lag before its speed is changed; ten times as much before it is sought

export class Player {
  // `sources` are [label, url] pairs; the first video leads.
  constructor(sources, { fps, frames, width, height, layout }) {
    Object.assign(this, { fps, frames, layout, boxes: true, playing: false, request: null, maps: null });
    this.screens = sources.map(([label, url]) => {
      const video = make("video", {
        src: url,
        muted: true,
        playsinline: true,
        preload: "auto",
        tabindex: "-1",
        "aria-label": label,
      });
      video.muted = true;
      const layer = make("svg", {
        viewBox: `0 0 ${width} ${height}`,
        "aria-hidden": "true",
        preserveAspectRatio: "none",
      });
      const heat = make("canvas", { class: "heat", "aria-hidden": "true", hidden: true });
      const screen = make("div", { class: "screen" }, video, heat, layer);
      screen.style.aspectRatio = `${width} / ${height}`;
      video.addEventListener("error", () =>
        screen.replaceChildren(make("p", { class: "novideo" }, "This video cannot be played here.")),
      );
      video.addEventListener("loadeddata", () => this.draw());
      video.addEventListener("seeked", () => this.draw());
      return { label, video, layer, heat, screen, width, height };
    });
    this.play = make("button", { type: "button", onclick: () => this.toggle() }, "Play");
    this.slider = make("input", {
      type: "range",
      min: 0,
      max: frames - 1,
      step: 1,
      value: 0,
      "aria-label": "Frame of the result",
      oninput: () => this.seek(Number(this.slider.value)),
    });
    this.toggleBoxes = make(
      "button",
      { type: "button", "aria-pressed": "true", onclick: () => this.showBoxes(!this.boxes) },
      "Boxes",
    );
    this.time = make("span", { class: "muted number" });
    this.element = make(
      "div",
      { class: "player" },
      make(
        "div",
        { class: "screens" },
        this.screens.map(({ label, screen }) => make("figure", {}, screen, make("figcaption", {}, label))),
      ),
      make("div", { class: "transport" }, this.play, this.slider, this.time, layout ? this.toggleBoxes : null),
    );
    this.draw();
  }

  get lead() {
    return this.screens[0].video;
  }
  get frame() {
    return Math.min(this.frames - 1, Math.floor(this.lead.currentTime * this.fps + 1e-3));
  }

  seek(frame) {
    this.pause();
    // The middle of the frame: its very start may show the one before.
    for (const { video } of this.screens) video.currentTime = (frame + 0.5) / this.fps;
    this.draw();
  }

  toggle() {
    if (this.playing) return this.pause();
    this.playing = true;
    this.play.textContent = "Pause";
    if (this.frame >= this.frames - 1) for (const { video } of this.screens) video.currentTime = 0;
    this.request = requestAnimationFrame(() => this.tick());
  }

  pause() {
    this.playing = false;
    this.play.textContent = "Play";
    cancelAnimationFrame(this.request);
    for (const { video } of this.screens) video.pause();
    this.draw();
  }

  tick() {
    if (!this.playing) return;
    if (!this.element.isConnected) return this.pause();
    const time = this.lead.currentTime,
      over = this.lead.ended || time >= this.lead.duration - 1e-3;
    for (const { video } of this.screens) {
      const drift = video.currentTime - time;
      if (over) video.currentTime = 0;
      else if (Math.abs(drift) > 10 * DRIFT) video.currentTime = time;
      video.playbackRate = Math.abs(drift) > DRIFT ? (drift > 0 ? 0.9 : 1.1) : 1;
      if (video.paused && !video.seeking && (video === this.lead || !this.lead.paused)) video.play().catch(() => {});
    }
    this.draw();
    this.request = requestAnimationFrame(() => this.tick());
  }

  showBoxes(on) {
    this.boxes = on;
    this.toggleBoxes.setAttribute("aria-pressed", String(on));
    this.draw();
  }

  // Attention maps over the first video: {pixels, row, grid, color}, or null for none. `pixels` are those of a picture with
  // a row for each object and a column for each latent frame, in cells of the token grid; white is the most.
  showMaps(maps) {
    this.maps = maps;
    this.draw();
  }

  drawMaps() {
    const { heat } = this.screens[0];
    heat.hidden = !this.maps;
    if (!this.maps) return;
    const {
      pixels,
      row,
      grid: [latents, height, width],
      color,
    } = this.maps;
    const { index } = latentFrame(this.frame, this.frames, latents),
      channels = color.match(/\d+/g).map(Number);
    Object.assign(heat, { width, height });
    const context = heat.getContext("2d"),
      cells = context.createImageData(width, height);
    for (let cell = 0; cell < width * height; cell += 1) {
      const x = index * width + (cell % width),
        y = row * height + Math.floor(cell / width);
      cells.data.set([...channels, 0.9 * pixels.data[4 * (y * pixels.width + x)]], 4 * cell);
    }
    context.putImageData(cells, 0, 0);
  }

  draw() {
    const frame = this.frame;
    this.drawMaps();
    this.slider.value = frame;
    this.slider.setAttribute("aria-valuetext", `frame ${frame} of ${this.frames - 1}`);
    this.time.textContent = `${frame} / ${this.frames - 1}`;
    const time = this.frames > 1 ? frame / (this.frames - 1) : 0;
    for (const { layer, width, height } of this.screens) {
      const shown =
        this.boxes && this.layout
          ? this.layout.objects.map((item, index) => ({ item, index })).filter(({ item }) => isVisible(item, time))
          : [];
      layer.replaceChildren(
        ...shown.map(({ item, index }) => {
          const box = boxAt(item, time);
          return set(
            make("rect", {
              x: box.x0 * width,
              y: box.y0 * height,
              width: (box.x1 - box.x0) * width,
              height: (box.y1 - box.y0) * height,
            }),
            { "--color": objectColor(index) },
          );
        }),
      );
    }
  }
}
