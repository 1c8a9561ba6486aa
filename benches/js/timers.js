// How late timers are while a decoder is fed in a tight loop. Prints JSON.
//   timers.js FILE SECONDS

const [file, seconds = "3"] = Deno.args;
const demuxer = new Reelcore.Demuxer(file);
const track = (await demuxer.tracks).find((track) => track.type === "video");
const chunks = [];
for await (const chunk of demuxer.chunks(track)) chunks.push(chunk);

let frames = 0;
let over = false;
const decoder = new VideoDecoder({
  output(frame) {
    frames++;
    frame.close();
  },
  error(error) {
    throw error;
  },
});
decoder.configure(track.decoderConfig);

// A timer of 5 ms that is set anew each time: what it comes late is what the loop was held up.
const late = [];
let due = performance.now() + 5;
function tick() {
  const now = performance.now();
  late.push(Math.max(0, now - due));
  due = performance.now() + 5;
  if (!over) setTimeout(tick, 5);
}
setTimeout(tick, 5);

const end = performance.now() + Number(seconds) * 1000;
while (performance.now() < end) {
  // Everything at once, then only the microtask of the event between one look at the clock and the next.
  for (const chunk of chunks) decoder.decode(chunk);
  while (decoder.decodeQueueSize > 16) {
    await new Promise((done) => decoder.addEventListener("dequeue", done, { once: true }));
  }
}
over = true;
decoder.close();
late.sort((a, b) => a - b);
console.log(JSON.stringify({ frames, ticks: late.length, median: late[late.length >> 1], worst: late.at(-1) }));
