// Layouts in and out: files by button or drop, and downloads by format.
import * as api from "./api.js";
import { byId, options, tell } from "./dom.js";
import { fromLayout, toLayout } from "./layout.js";
import { edit, select, state } from "./store.js";

const PIXELS = new Set(["tracks", "boxes", "answer", "cache"]); // formats whose boxes are in pixels

export function start() {
  const { formats } = state.info,
    pairs = (known) => known.map(({ name, label }) => [name, label]);
  options(byId("import-format"), pairs(formats.import));
  options(byId("export-format"), pairs(formats.export));
  byId("import-file").accept = formats.import[0].accept;
  const drawn = () => {
    byId("import-canvas-area").hidden = !PIXELS.has(byId("import-format").value);
  };
  byId("import-format").addEventListener("change", drawn);
  drawn();
  byId("import").addEventListener("click", () => byId("import-file").click());
  byId("import-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // the same file may be chosen again
    if (file) read(file);
  });
  byId("export").addEventListener("click", write);
  let inside = 0;
  const over = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (over(event)) document.body.classList.toggle("dropping", (inside += 1) > 0);
  });
  addEventListener("dragleave", (event) => {
    if (over(event)) document.body.classList.toggle("dropping", (inside = Math.max(0, inside - 1)) > 0);
  });
  addEventListener("dragover", (event) => {
    if (over(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    inside = 0;
    document.body.classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    read(file);
  });
}

async function read(file) {
  const most = state.info.limits.upload_bytes;
  if (file.size > most) return tell({ problem: `“${file.name}” is ${file.size} bytes`, expected: `at most ${most}` });
  try {
    const { layout, notes = [] } = await api.importFile(
      file,
      byId("import-format").value,
      state.document.prompt.trim(),
      byId("import-canvas").value.trim(),
    );
    edit((draft) => Object.assign(draft, fromLayout(layout)));
    select(state.document.objects[0]?.id ?? null);
    tell(`“${file.name}” is imported. ${notes.join(" ")}`.trim());
  } catch (error) {
    tell({ ...error, problem: `“${file.name}”: ${error.problem ?? error.message}` });
  }
}

async function write() {
  const layout = toLayout(state.document);
  if (!layout)
    return tell({ problem: "there is nothing to export", remedy: "type a prompt and draw a box with a name" });
  try {
    await api.exportLayout(layout, byId("export-format").value);
  } catch (error) {
    tell(error);
  }
}
