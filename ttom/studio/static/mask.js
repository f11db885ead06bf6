// The soft masks that steer the model: one cell for each token, as ttom/layout/raster.py draws its gaussians.
import { objectColor } from "./dom.js";
import { boxAt, isVisible } from "./layout.js";
import { state } from "./store.js";

// A causal video VAE: latent frame 0 is picture frame 0, latent frame k the frames c(k-1)+1 to ck.
export function latentFrame(frame, frames, latents) {
  if (latents < 2 || frame === 0) return { index: 0, time: 0 };
  const compression = (frames - 1) / (latents - 1),
    index = Math.ceil(frame / compression);
  return { index, time: (compression * (index - 1) + (compression + 1) / 2) / (frames - 1) };
}

// The picture frame nearest to the middle of a latent frame.
export function pictureFrame(latent) {
  const {
      frames,
      grid: [latents],
    } = state.info,
    compression = latents > 1 ? (frames - 1) / (latents - 1) : 1;
  return latent ? Math.floor(compression * (latent - 1) + (compression + 1) / 2) : 0;
}

const bell = (position, center, deviation) => Math.exp(-0.5 * ((position - center) / deviation) ** 2);

export function maskOf(box, rows, columns, sigma = 0.25) {
  const x = (box.x0 + box.x1) / 2,
    y = (box.y0 + box.y1) / 2;
  const wide = Math.max(sigma * (box.x1 - box.x0), 0.5 / columns),
    high = Math.max(sigma * (box.y1 - box.y0), 0.5 / rows);
  return Array.from(
    { length: rows * columns },
    (_, cell) =>
      bell((Math.floor(cell / columns) + 0.5) / rows, y, high) * bell(((cell % columns) + 0.5) / columns, x, wide),
  );
}

export function drawMasks(canvas, time) {
  canvas.hidden = !state.view.mask;
  if (canvas.hidden) return;
  const [latents, rows, columns] = state.info.grid;
  Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d"),
    seen = latentFrame(Math.round(time * (state.info.frames - 1)), state.info.frames, latents).time;
  for (const [index, item] of state.document.objects.entries()) {
    if (!isVisible(item, seen)) continue;
    context.fillStyle = objectColor(index);
    for (const [cell, weight] of maskOf(boxAt(item, seen), rows, columns).entries()) {
      context.globalAlpha = 0.85 * weight;
      context.fillRect(cell % columns, Math.floor(cell / columns), 1, 1);
    }
  }
}
