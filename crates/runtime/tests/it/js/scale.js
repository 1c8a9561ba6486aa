// Many decoders in one process: what idle ones cost, and that busy ones are served alike.
import { assert, equal, finish, test } from "./harness.js";

const media = (name) => new URL(`../../../../../examples/media/${name}`, import.meta.url);

async function clip(name) {
  const demuxer = new Reelcore.Demuxer(media(name));
  const track = (await demuxer.tracks)[0];
  const chunks = [];
  for await (const chunk of demuxer.chunks(track)) chunks.push(chunk);
  return { config: track.decoderConfig, chunks };
}

/** A line of /proc/self/status: threads, or memory in KiB. */
async function status(name) {
  const text = await Deno.readTextFile("/proc/self/status");
  return Number(text.match(new RegExp(`^${name}:\\s+(\\d+)`, "m"))[1]);
}

const turn = () => new Promise((done) => setTimeout(done, 0));

const COUNT = 1000;
await test("a thousand configured and idle decoders cost no thread and at most 64 KiB each", async () => {
  const clips = [await clip("av1.mp4"), await clip("h264-aac.mp4")];
  const make = ({ config }) => {
    const decoder = new VideoDecoder({ output: (frame) => frame.close(), error: (error) => { throw error; } });
    decoder.configure(config);
    return decoder;
  };
  // The workers and the code are there before anything is measured.
  const first = clips.map(make);
  first.forEach((decoder, index) => decoder.decode(clips[index].chunks[0]));
  await Promise.all(first.map((decoder) => decoder.flush()));
  first.forEach((decoder) => decoder.close());
  await turn();
  const [threads, memory] = [await status("Threads"), await status("VmRSS")];
  const decoders = Array.from({ length: COUNT }, (_, index) => make(clips[index % 2]));
  // The configurations have been looked at by the workers.
  await Promise.all(decoders.map((decoder) => decoder.flush()));
  const [more, grown] = [await status("Threads") - threads, await status("VmRSS") - memory];
  // The pool may have grown to its size meanwhile, by no more than its own threads.
  assert(more <= 4, `${more} threads more for ${COUNT} idle decoders`);
  assert(grown <= 64 * COUNT, `${grown} KiB more for ${COUNT} idle decoders`);
  equal(decoders.every((decoder) => decoder.state === "configured"), true);
  // They work all the same.
  decoders[COUNT - 1].decode(clips[1].chunks[0]);
  await decoders[COUNT - 1].flush();
  decoders.forEach((decoder) => decoder.close());
});

const BUSY = 64;
const FRAMES = 1000 * BUSY;
await test("of 64 decoders that are all busy, the slowest gets half of what the mean gets", async () => {
  const { config, chunks } = await clip("h264-16x16.mp4");
  const counts = new Array(BUSY).fill(0);
  let total = 0;
  let stop;
  const stopped = new Promise((done) => stop = done);
  const decoders = counts.map((_, index) => {
    const decoder = new VideoDecoder({
      output(frame) {
        frame.close();
        counts[index]++;
        if (++total === FRAMES) stop();
      },
      error(error) { throw error; },
    });
    decoder.configure(config);
    // Always more to do than is done: the workers decide who is served.
    let at = 0;
    const feed = () => {
      while (total < FRAMES && decoder.decodeQueueSize < 64) decoder.decode(chunks[at++ % chunks.length]);
    };
    decoder.ondequeue = feed;
    feed();
    return decoder;
  });
  await stopped;
  const slowest = Math.min(...counts);
  assert(slowest >= FRAMES / BUSY / 2, `the slowest gave ${slowest} frames, the mean ${FRAMES / BUSY}: ${counts}`);
  decoders.forEach((decoder) => decoder.close());
});

finish();
