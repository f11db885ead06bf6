// What a run left behind: videos in step, attention over the video, and files to take away.
import * as api from "./api.js";
import { make, objectColor, tell } from "./dom.js";
import { Player } from "./player.js";
import { state } from "./store.js";

let drawn = "",
  player = null;

export async function drawResult(area, run, final, useLayout) {
  const wanted = final ? `${run.id} ${run.state} ${run.files.join(" ")}` : "";
  area.hidden = !final;
  if (wanted === drawn) return;
  drawn = wanted;
  player?.pause();
  player = null;
  area.replaceChildren();
  if (!final) return;
  const has = (name) => run.files.includes(name);
  // The videos are worth showing without the other files.
  const read = (name) => (name ? api.runFile(run.id, name).catch(() => null) : null);
  const layout = await read(["layout.json", "plan.json"].find(has)),
    report = await read(has("report.json") && "report.json");
  if (drawn !== wanted) return; // another run was chosen meanwhile
  if (has("video.mp4")) area.append(playerOf(run, layout, report, has));
  if (report?.unknown_words?.length)
    area.append(
      make("p", { class: "help" }, `Words that the model does not know: ${report.unknown_words.join(", ")}.`),
    );
  if (report?.cut_off)
    area.append(make("p", { class: "help" }, `The prompt was too long; cut off: “${report.cut_off}”.`));
  area.append(await attentionOf(run, layout, has), filesOf(run, layout, has, useLayout));
}

function playerOf(run, layout, report, has) {
  const { fps, frames, width, height } = report?.sampler ?? state.info; // an old run may be another model's
  const sources = [
    [run.method === "base" ? "The plain model" : `With ${run.method}`, api.fileUrl(run.id, "video.mp4")],
  ];
  if (has("base.mp4")) sources.push(["The plain model, same seed", api.fileUrl(run.id, "base.mp4")]);
  player = new Player(sources, { fps, frames, width, height, layout });
  return player.element;
}

// ---- attention ----

async function attentionOf(run, layout, has) {
  if (!has("attention.json") && !has("attention.png")) return "";
  const body = make("div", { class: "attention" }),
    details = make("details", { class: "part" }, make("summary", {}, "Where the model looks for each object"), body);
  const maps = has("attention.json") ? await api.attention(run.id).catch(() => null) : null;
  if (maps?.objects?.length && player) body.append(pickerOf(run, maps, layout, details));
  if (has("attention.png")) body.append(pictureOf(run));
  return details;
}

function pictureOf(run) {
  const url = api.fileUrl(run.id, "attention.png");
  return make(
    "a",
    { href: url, target: "_blank", rel: "noopener" },
    make("img", { src: url, loading: "lazy", alt: `Attention maps of the run “${run.prompt}”` }),
  );
}

// While this part is open, the attention of one object in one block lies over the first video.
function pickerOf(run, maps, layout, details) {
  const over = player,
    objects = make(
      "select",
      {},
      maps.objects.map((name, at) => make("option", { value: at }, name)),
    );
  const blocks = make(
    "select",
    {},
    Object.keys(maps.files).map((block) => make("option", { value: block }, titleOf(block))),
  );
  const colorOf = (phrase) =>
    objectColor(Math.max(0, layout?.objects.findIndex((item) => item.phrase === phrase) ?? 0));
  let asked = 0;
  async function show() {
    const turn = (asked += 1),
      name = maps.files[blocks.value];
    try {
      const pixels = details.open ? await pixelsOf(api.fileUrl(run.id, name)) : null;
      if (turn === asked)
        over.showMaps(
          pixels && {
            pixels,
            row: Number(objects.value),
            grid: maps.grid,
            color: colorOf(maps.objects[objects.value]),
          },
        );
    } catch (error) {
      tell(error);
    }
  }
  for (const control of [objects, blocks]) control.addEventListener("change", show);
  details.addEventListener("toggle", show);
  return make(
    "div",
    {},
    make("div", { class: "row" }, make("label", {}, "Object ", objects), make("label", {}, "Block ", blocks)),
    make("p", { class: "help" }, "Over the video: the more color, the more attention this object’s words get there."),
  );
}

const titleOf = (block) =>
  ({ before: "mean, before the method acts", after: "mean, after it" })[block] ?? `block ${block}`;

async function pixelsOf(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight }),
    context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// ---- files ----

function filesOf(run, layout, has, useLayout) {
  const link = (name, label) =>
    has(name) && make("a", { class: "button", href: api.fileUrl(run.id, name), download: name }, label);
  const method = state.info.methods.find((each) => each.name === run.method);
  const learns = method?.lora ?? run.method.split("+").includes("ttom");
  return make(
    "div",
    { class: "part files" },
    make(
      "div",
      { class: "row" },
      layout && make("button", { type: "button", onclick: () => useLayout(layout) }, "Edit this layout"),
      link("video.mp4", "Video"),
      link("overlay.mp4", "Video with boxes"),
      link("base.mp4", "Plain model’s video"),
      link("layout.json", "Layout"),
      link("report.json", "Report"),
      learns &&
        run.state === "done" &&
        make(
          "button",
          { type: "button", onclick: () => api.download(api.loraUrl(run.id)).catch(tell) },
          "LoRA",
        ),
    ),
    learns &&
      run.state === "done" &&
      make(
        "p",
        { class: "help" },
        "A stock loader applies a LoRA at every step, which destroys the picture: this one was optimized for the first steps alone. The zip has a README and an example that gates it in diffusers. In ComfyUI, load its ttom-comfyui.safetensors (Wan alone) and use two KSampler (Advanced) nodes: the first with the LoRA, up to the last guided step, the second without.",
      ),
  );
}
