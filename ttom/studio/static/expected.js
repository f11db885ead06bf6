// How long a run will take, from the runs before it.

// Seconds of a run with this order, or null if no finished run tells: the newest with the same order took as long; other
// settings of the same method take about as long per step. `steps` is the order's, null where it is not known.
export function expectedSeconds(runs, order, steps) {
  const same = (run) =>
    run.state === "done" && run.seconds > 0 && run.method === order.method && run.compare === order.compare;
  const known = runs.filter(same);
  const exact = known.find((run) => run.preset === order.preset && sameSettings(run.settings, order.settings));
  if (exact) return exact.seconds;
  const near = known.find((run) => run.preset === order.preset && run.steps > 0) ?? known.find((run) => run.steps > 0);
  if (near) return steps ? (near.seconds * steps * (order.compare ? 2 : 1)) / near.steps : null;
  if (!order.compare) return null;
  const own = expectedSeconds(runs, { ...order, compare: false }, steps);
  const plain = expectedSeconds(runs, { method: "base", preset: null, settings: {}, compare: false }, steps);
  return own !== null && plain !== null ? own + plain : null;
}

const sameSettings = (one, other) => {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
};
