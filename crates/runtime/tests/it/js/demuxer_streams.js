// Reelcore.Demuxer on streams that come slowly, or stop coming.
import { assert, equal, finish, rejects, test } from "./harness.js";

const url = new URL("../../../../../examples/media/h264-fragmented.mp4", import.meta.url);
const file = await Deno.readFile(url);
/** Where a stream stops for a while: some packets come before it, not all of a batch. */
const STOP = 20_000;

/** `promise`; an error where it is not settled in time, so that a hang is told. */
async function settled(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: still waiting`)), 60_000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A stream of the first `size` bytes, which then stalls until `go()`, and what became of it. */
function stalling(size) {
  const state = { at: 0, cancelled: false };
  const going = new Promise((resolve) => state.go = resolve);
  state.stalled = new Promise((resolve) => state.reached = resolve);
  state.stream = new ReadableStream({
    async pull(controller) {
      if (state.at === size) {
        state.reached();
        await going;
      }
      if (state.at >= file.length) return controller.close();
      const end = Math.min(state.at + 1000, state.at < size ? size : file.length);
      controller.enqueue(file.slice(state.at, end));
      state.at = end;
    },
    cancel() {
      state.cancelled = true;
    },
  }, { highWaterMark: 0 });
  return state;
}

async function times(demuxer, track, options) {
  const list = [];
  for await (const chunk of demuxer.chunks(track, options)) list.push(chunk.timestamp);
  return list;
}

await test("fragments that are streamed end as those of a file, from every start", async () => {
  for (const start of [0, 1_000_000, 7_000_000]) {
    for (const track of [0, 1]) {
      const wanted = await times(new Reelcore.Demuxer(url), track, { start });
      const state = stalling(STOP);
      const demuxer = new Reelcore.Demuxer(state.stream);
      // It is open before its length is known.
      await demuxer.tracks;
      state.go();
      equal(await times(demuxer, track, { start }), wanted);
    }
  }
});

await test("packets that have arrived do not wait for those that have not", async () => {
  const wanted = await times(new Reelcore.Demuxer(url), 0);
  const state = stalling(STOP);
  using demuxer = new Reelcore.Demuxer(state.stream);
  const got = [];
  const chunks = demuxer.chunks(0);
  await state.stalled;
  const { value } = await settled(chunks.next(), "the first chunk");
  got.push(value.timestamp);
  state.go();
  for await (const chunk of chunks) got.push(chunk.timestamp);
  equal(got, wanted);
});

await test("closing ends what waits for a stream that stalls, and cancels it", async () => {
  // Nothing has come; a signature and no more.
  for (const size of [0, 200]) {
    const state = stalling(size);
    const demuxer = new Reelcore.Demuxer(state.stream);
    const waiting = [demuxer.tracks, demuxer.info, demuxer.chunks(0).next(), demuxer.seek(0)];
    const ends = Promise.all(waiting.map((promise) => rejects(promise, "AbortError")));
    await state.stalled;
    equal(state.cancelled, false);
    demuxer.close();
    equal(state.cancelled, true);
    await settled(ends, `closing after ${size} bytes`);
  }
  const state = stalling(STOP);
  const demuxer = new Reelcore.Demuxer(state.stream);
  const packets = demuxer.packets(0);
  const asked = Array.from({ length: 100 }, () => packets.next());
  const left = packets.return();
  const all = Promise.allSettled(asked);
  await asked[0];
  await state.stalled;
  demuxer.close();
  equal(state.cancelled, true);
  const ends = await settled(all, "next()");
  const rejected = ends.filter((end) => end.status === "rejected");
  equal(rejected.map((end) => end.reason.name), ["AbortError"]);
  equal(ends.at(-1).value.done, true);
  equal((await settled(left, "return()")).done, true);
});

await test("a stream whose iteration was left is cancelled when its demuxer is closed", async () => {
  for (const leave of ["break", "return", "seek"]) {
    const state = stalling(STOP);
    const demuxer = new Reelcore.Demuxer(state.stream);
    const chunks = demuxer.chunks(0);
    if (leave === "seek") await demuxer.seek(0);
    else if (leave === "break") for await (const _ of chunks) break;
    else await chunks.next();
    if (leave === "return") await chunks.return();
    equal(state.cancelled, false);
    demuxer.close();
    equal(state.cancelled, true, leave);
  }
});

await test("streams that stall keep no file from being read, and too many of them are refused", async () => {
  const most = 1024;
  const errors = [];
  const demuxers = [];
  await settled(
    new Promise((resolve) => {
      for (let index = 0; index < most + 10; index++) {
        const demuxer = new Reelcore.Demuxer(stalling(200).stream);
        demuxers.push(demuxer);
        demuxer.tracks.catch((error) => {
          if (errors.push(error) === 10) resolve();
        });
      }
    }),
    "the streams that are too many",
  );
  const refused = errors.length;
  for (const error of errors) {
    equal(error.name, "OperationError");
    assert(error.message.includes(`more than ${most} readers`), error.message);
  }
  const [video] = await settled(new Reelcore.Demuxer(url).tracks, "a file");
  equal(video.type, "video");
  for (const demuxer of demuxers) demuxer.close();
  const ends = await settled(Promise.allSettled(demuxers.map((demuxer) => demuxer.tracks)), "closing");
  const names = ends.map((end) => end.reason.name).sort();
  equal(names.filter((name) => name === "AbortError").length, demuxers.length - refused);
});

await test("a stream that fails while nobody reads it says so later", async () => {
  const state = stalling(STOP);
  const broken = new ReadableStream({
    pull(controller) {
      if (state.at > 0) return controller.error(new Error("the cable is cut"));
      controller.enqueue(file.slice(0, state.at = STOP));
    },
  });
  using demuxer = new Reelcore.Demuxer(broken);
  let count = 0;
  const reading = (async () => {
    for await (const _ of demuxer.chunks(0)) count++;
  })();
  await rejects(settled(reading, "the error"), "NotReadableError", "the cable is cut");
  assert(count > 0, "packets before it are given");
});

finish();
