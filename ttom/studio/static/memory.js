// The memory: its entries, what the present prompt would find in it and why, and deleting.
import * as api from "./api.js";
import { byId, make, tell } from "./dom.js";
import { toLayout } from "./layout.js";
import { state } from "./store.js";

export function start() {
  byId("memory").hidden = !state.info.memory;
  byId("memory-link").hidden = !state.info.memory;
  if (!state.info.memory) return;
  byId("memory-refresh").addEventListener("click", refresh);
  byId("memory-lookup").addEventListener("click", lookup);
  refresh();
}

export async function refresh() {
  if (!state.info.memory) return;
  try {
    const { entries } = await api.memory();
    byId("memory-entries").replaceChildren(
      entries.length
        ? tableOf(entries)
        : make("p", { class: "muted" }, "The memory is empty. Runs with test-time optimization fill it."),
    );
  } catch (error) {
    tell(error);
  }
}

const date = (created) =>
  new Date(created * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

function table(caption, head, rows) {
  return make(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make(
      "table",
      {},
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          head.map((text) => make("th", { scope: "col" }, text)),
        ),
      ),
      make("tbody", {}, rows),
    ),
  );
}

function tableOf(entries) {
  const rows = entries.map((entry) =>
    make(
      "tr",
      {},
      make("td", { class: "number" }, String(entry.id)),
      make("td", {}, entry.prompt ?? ""),
      make("td", {}, entry.key ?? ""),
      make("td", { class: "number" }, String(entry.uses ?? "")),
      make("td", {}, date(entry.created)),
      make(
        "td",
        {},
        make(
          "button",
          {
            type: "button",
            class: "small",
            "aria-label": `Delete entry ${entry.id}`,
            onclick: () => confirmDelete(entry),
          },
          "Delete",
        ),
      ),
    ),
  );
  return table("Entries of the memory", ["Entry", "Prompt", "Key", "Uses", "Created", ""], rows);
}

async function lookup() {
  const layout = toLayout(state.document),
    area = byId("memory-hits");
  if (!layout)
    return tell({ problem: "there is nothing to look up", remedy: "type a prompt and plan or draw its boxes" });
  try {
    const { hits, key } = await api.lookup(layout.prompt, layout);
    const rows = hits.map((hit) =>
      make(
        "tr",
        { class: hit.accepted ? "accepted" : null },
        make("td", { class: "number" }, String(hit.id)),
        make("td", {}, hit.prompt ?? hit.key ?? ""),
        make(
          "td",
          { class: "number" },
          hit.similarity === null || hit.similarity === undefined ? "" : hit.similarity.toFixed(3),
        ),
        make("td", {}, hit.accepted ? "yes" : "no"),
        make("td", {}, hit.why ?? ""),
      ),
    );
    area.replaceChildren(
      make("h3", {}, `For “${layout.prompt}”`),
      key ? make("p", { class: "help" }, `Key: ${key}`) : "",
      hits.length
        ? table("What this prompt finds", ["Entry", "Prompt", "Similarity", "Used", "Why"], rows)
        : make("p", { class: "muted" }, "No entry is similar to this prompt: optimization starts from scratch."),
    );
  } catch (error) {
    tell(error);
  }
}

function confirmDelete(entry) {
  ask(`Delete entry ${entry.id} (“${entry.prompt || entry.key}”) from the memory? This cannot be undone.`, async () => {
    await api.deleteEntry(entry.id);
    byId("memory-hits").replaceChildren();
    await refresh();
  });
}

// A question before what cannot be undone.
export function ask(question, act) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = question;
  dialog.returnValue = "";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "yes") return;
    try {
      await act();
    } catch (error) {
      tell(error);
    }
  };
  dialog.showModal();
}
