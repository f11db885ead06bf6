// What a run left behind: videos in step, attention over the video, and files to take away.
import * as api from "./api.js";
import { make, tell } from "./dom.js";
import { Player } from "./player.js";
import { state } from "./store.js";

let drawn = "", player = null;

export const currentPlayer = () => player;

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
  const name = ["layout.json", "plan.json"].find(has);
  let layout = null;
  try {
    layout = name ? await api.runFile(run.id, name) : null;
  } catch {
    // the videos are worth showing without it
  }
  if (drawn !== wanted) return; // another run was chosen meanwhile
  if (has("video.mp4")) area.append(playerOf(run, layout, has));
  area.append(await attentionOf(run, has), filesOf(run, layout, has, useLayout));
}

function playerOf(run, layout, has) {
  const { fps, frames, width, height } = state.info;
  const sources = [[run.method === "base" ? "The plain model" : `With ${run.method}`, api.fileUrl(run.id, "video.mp4")]];
  if (has("base.mp4")) sources.push(["The plain model, same seed", api.fileUrl(run.id, "base.mp4")]);
  player = new Player(sources, { fps, frames, width, height, layout });
  return player.element;
}

// ---- attention ----

async function attentionOf(run, has) {
  if (!has("attention.png") && !run.files.some((name) => name.startsWith("map-"))) return "";
  let maps = null;
  try {
    maps = await api.attention(run.id);
  } catch {
    // only the picture then
  }
  const body = make("div", { class: "attention" });
  if (maps?.objects?.length && maps.blocks?.length && maps.files) body.append(...pickerOf(run, maps));
  else if (has("attention.png")) body.append(pictureOf(run));
  return make("details", { class: "part" }, make("summary", {}, "Where the model looks for each object"), body);
}

function pictureOf(run) {
  const url = api.fileUrl(run.id, "attention.png");
  return make("a", { href: url, target: "_blank", rel: "noopener" }, make("img", { src: url, loading: "lazy", alt: `Attention maps of the run “${run.prompt}”` }));
}

// `files` maps a block to the names of its pictures, one for each object: one row of all latent frames each.
function pickerOf(run, maps) {
  const image = make("img", { alt: "" }), found = make("p", { class: "muted" });
  const objects = make("select", { onchange: show }, maps.objects.map((name, at) => make("option", { value: at }, String(name))));
  const blocks = make("select", { onchange: show }, maps.blocks.map((block) => make("option", { value: block }, titleOf(block))));
  function show() {
    const name = maps.files[blocks.value]?.[objects.value];
    image.hidden = !name;
    found.textContent = name ? `${maps.frames} latent frames from left to right; bright is where the words “${maps.objects[objects.value]}” are looked up.` : "There is no such map.";
    if (!name) return;
    image.src = api.fileUrl(run.id, name);
    image.alt = `Attention of “${maps.objects[objects.value]}”, ${titleOf(blocks.value)}, in ${maps.frames} latent frames`;
  }
  show();
  return [make("div", { class: "row" }, make("label", {}, "Object ", objects), make("label", {}, "Block ", blocks)), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attention maps" }, image), found,
    run.files.includes("attention.png") ? pictureOf(run) : ""];
}

const titleOf = (block) => (/^\d+$/.test(String(block)) ? `block ${block}` : String(block));

// ---- files ----

function filesOf(run, layout, has, useLayout) {
  const link = (name, label) => has(name) && make("a", { class: "button", href: api.fileUrl(run.id, name), download: name }, label);
  const method = state.info.methods.find((each) => each.name === run.method);
  const learns = method?.lora ?? run.method.split("+").includes("ttom");
  return make("div", { class: "part files" },
    make("div", { class: "row" },
      layout && make("button", { type: "button", onclick: () => useLayout(layout) }, "Edit this layout"),
      link("video.mp4", "Video"), link("overlay.mp4", "Video with boxes"), link("base.mp4", "Plain model’s video"), link("layout.json", "Layout"), link("report.json", "Report"),
      learns && run.state === "done" && make("button", { type: "button", onclick: () => api.download(api.loraUrl(run.id), "lora.zip").catch(tell) }, "LoRA")),
    learns && run.state === "done" && make("p", { class: "help" },
      "A stock loader applies a LoRA at every step, which destroys the picture: this one was optimized for the first steps alone. The zip has a README and an example that gates it in diffusers; in ComfyUI, use two KSampler (Advanced) nodes."));
}
