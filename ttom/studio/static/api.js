// The server's routes. Every refusal becomes an ApiError with the fields of a UserError.
export class ApiError extends Error {
  constructor(status, { problem, expected = null, remedy = null }) {
    super(problem);
    Object.assign(this, { status, problem, expected, remedy });
  }
}

const WAIT = 2000; // milliseconds between tries to reach a server that does not answer
const returned = [];
let away = null;

// `act` is called each time the server answers again.
export const onReturn = (act) => returned.push(act);

function awaitReturn() {
  away ??= setInterval(async () => {
    try {
      await fetch("/static/icon.svg", { method: "HEAD", cache: "no-store" });
    } catch {
      return;
    }
    clearInterval(away);
    away = null;
    for (const act of returned) act();
  }, WAIT);
}

async function send(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { headers: { Accept: "application/json", ...options.headers }, ...options });
  } catch {
    awaitReturn();
    throw new ApiError(0, {
      problem: "the server does not answer",
      remedy: "check that `ttom studio` is still running",
    });
  }
  if (answer.ok) return answer;
  let told = {};
  try {
    told = await answer.json();
  } catch {
    // not JSON: a proxy's page
  }
  throw new ApiError(answer.status, { problem: `the server answered ${answer.status}`, ...told });
}

const json = async (path, options) => (await send(path, options)).json();
const post = (path, body, signal) =>
  send(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });

export const info = () => json("/api/info");
export const plan = async (prompt, planner) => (await post("/api/plan", { prompt, planner })).json();
export const check = async (layout) => (await post("/api/check", { layout })).json();

export const startRun = async (request) => (await post("/api/runs", request)).json();
export const listRuns = async () => (await json("/api/runs")).runs;
export const deleteRun = (id) => send(`/api/runs/${encodeURIComponent(id)}`, { method: "DELETE" });
export const cancelRun = (id) => json(`/api/runs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
export const attention = (id) => json(`/api/runs/${encodeURIComponent(id)}/attention`);
export const fileUrl = (id, name) =>
  `/api/runs/${encodeURIComponent(id)}/files/${name.split("/").map(encodeURIComponent).join("/")}`;
export const runFile = (id, name) => json(fileUrl(id, name));
export const loraUrl = (id) => `/api/runs/${encodeURIComponent(id)}/lora.zip`;

export const FINAL = new Set(["done", "cancelled", "failed"]);

// Calls `each` with every state of the run until a final one. Returns a function that stops listening.
export function follow(id, each) {
  const source = new EventSource(`/api/runs/${encodeURIComponent(id)}/events`);
  source.onmessage = (event) => {
    const run = JSON.parse(event.data);
    if (FINAL.has(run.state)) source.close(); // else the browser would connect again
    each(run);
  };
  return () => source.close();
}

// `canvas` is the size in pixels that the boxes were drawn on, such as 832x480; found out if empty.
export async function importFile(file, format, prompt, canvas = "") {
  const form = new FormData();
  form.append("file", file);
  form.append("format", format);
  form.append("prompt", prompt);
  form.append("canvas", canvas);
  return json("/api/import", { method: "POST", body: form });
}

export const exportLayout = async (layout, format) => save(await post("/api/export", { layout, format }));
export const download = async (url) => save(await send(url));

async function save(answer) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))[1];
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export const memory = () => json("/api/memory");
export const lookup = async (prompt, layout) => (await post("/api/memory/lookup", { prompt, layout })).json();
// The id again says that somebody was asked.
export const deleteEntry = (id) =>
  send(`/api/memory/${encodeURIComponent(id)}?confirm=${encodeURIComponent(id)}`, { method: "DELETE" });
