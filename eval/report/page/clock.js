// One clock for all videos on the page. It waits for the slowest video, and videos that drift are pulled back.
const clock = { time: 0, duration: 0, rate: 1, playing: false, players: new Set(), anchor: 0, from: 0, waited: 0 };
const DRIFT = 0.03; // seconds that are corrected by speed
const JUMP = 0.15; // seconds that are corrected by seeking
const PATIENCE = 2000; // milliseconds to wait for a video that does not get ready

clock.add = (player) => {
  clock.players.add(player);
  clock.measure();
  player.seek(clock.time);
  byId("transport").hidden = false;
};
clock.remove = (player) => {
  clock.players.delete(player);
  player.video.pause();
  byId("transport").hidden = !clock.players.size;
};
clock.measure = () => {
  clock.duration = Math.max(0, ...[...clock.players].map((player) => player.duration()));
};
clock.frame = () => Math.min(0.125, ...[...clock.players].map((player) => player.frameSeconds()));
clock.hold = () => {
  clock.anchor = performance.now();
  clock.from = clock.time;
};
clock.seek = (time) => {
  clock.time = Math.min(Math.max(time, 0), Math.max(0, clock.duration - 1e-3));
  clock.hold();
  for (const player of clock.players) player.seek(clock.time);
  showTime();
};
clock.play = (playing) => {
  clock.playing = playing;
  clock.waited = 0;
  if (!playing) for (const player of clock.players) player.video.pause();
  clock.seek(clock.time);
  byId("play").textContent = playing ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", playing);
};

function showTime() {
  byId("time").textContent = `${clock.time.toFixed(2)} s`;
  byId("seek").value = clock.duration ? (1000 * clock.time) / clock.duration : 0;
}

function tick(now) {
  requestAnimationFrame(tick);
  for (const player of clock.players) player.drawBoxes();
  if (!clock.playing || !clock.players.size) return;
  const playing = [...clock.players].filter((player) => player.usable());
  if (playing.some((player) => !player.ready(clock.time)) && clock.waited < PATIENCE) {
    clock.waited += now - (clock.last ?? now);
    clock.last = now;
    for (const player of playing) player.video.pause();
    clock.hold();
    return;
  }
  clock.last = now;
  clock.waited = 0;
  clock.time = clock.from + ((performance.now() - clock.anchor) / 1000) * clock.rate;
  if (clock.time >= clock.duration) {
    clock.seek(0);
    return;
  }
  for (const player of playing) player.follow(clock.time, clock.rate);
  showTime();
}
