// Lines that edges of a box are drawn to: the token grid, the other boxes, and the edges and middle of the picture.

export function lines(grid, boxes) {
  const across = [0, 0.5, 1],
    down = [0, 0.5, 1];
  const [, height, width] = grid;
  for (let at = 1; at < width; at += 1) across.push(at / width);
  for (let at = 1; at < height; at += 1) down.push(at / height);
  for (const box of boxes) {
    across.push(box.x0, box.x1, (box.x0 + box.x1) / 2);
    down.push(box.y0, box.y1, (box.y0 + box.y1) / 2);
  }
  return { across, down };
}

// The smallest shift that brings one of the positions onto a line, within reach; 0 and no line if none is near.
function shift(positions, all, reach) {
  let best = { by: 0, line: null, distance: reach };
  for (const position of positions) {
    for (const line of all) {
      const distance = Math.abs(line - position);
      if (distance < best.distance) best = { by: line - position, line, distance };
    }
  }
  return best;
}

// A moved box keeps its size: its edges or its middle snap.
export function snapMove(box, { across, down }, [reachX, reachY]) {
  const x = shift([box.x0, box.x1, (box.x0 + box.x1) / 2], across, reachX);
  const y = shift([box.y0, box.y1, (box.y0 + box.y1) / 2], down, reachY);
  return {
    box: { x0: box.x0 + x.by, x1: box.x1 + x.by, y0: box.y0 + y.by, y1: box.y1 + y.by },
    guides: guides(x.line, y.line),
  };
}

// Of a resized box only the edges that are held snap.
export function snapEdges(box, edges, { across, down }, [reachX, reachY]) {
  const found = { ...box };
  let x = null,
    y = null;
  for (const edge of edges) {
    const best = edge.startsWith("x") ? shift([box[edge]], across, reachX) : shift([box[edge]], down, reachY);
    found[edge] = box[edge] + best.by;
    if (edge.startsWith("x")) x = best.line;
    else y = best.line;
  }
  return { box: found, guides: guides(x, y) };
}

const guides = (x, y) => [x === null ? null : { x }, y === null ? null : { y }].filter(Boolean);
