// Reelcore.Muxer: what encoders give goes into files, memory and streams, and comes back out of Reelcore.Demuxer.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const media = (name) => new URL(`../../../../../examples/media/${name}`, import.meta.url);
const range = (count) => Array.from({ length: count }, (_, index) => index);

/** Writes a second of moving picture and of sound through encoders, as a page would. */
async function record(muxer, video, audio) {
  const picture = muxer.addVideoTrack(undefined, { framerate: 30 });
  const sound = audio && muxer.addAudioTrack();
  const writes = [];
  const fail = (error) => writes.push(Promise.reject(error));
  const videoEncoder = new VideoEncoder({
    output: (chunk, metadata) => writes.push(picture.write(chunk, metadata)),
    error: fail,
  });
  videoEncoder.configure({ width: 160, height: 96, bitrate: 500_000, framerate: 30, ...video });
  for (const n of range(30)) {
    const data = new Uint8Array((160 * 96 * 3) / 2);
    data.forEach((_, i) => (data[i] = 128 + 60 * Math.sin((i + n * 5) / 40)));
    const timestamp = Math.round((n * 1e6) / 30);
    const frame = new VideoFrame(data, { format: "I420", codedWidth: 160, codedHeight: 96, timestamp, duration: 33333 });
    videoEncoder.encode(frame);
    frame.close();
  }
  if (audio) {
    const audioEncoder = new AudioEncoder({
      output: (chunk, metadata) => writes.push(sound.write(chunk, metadata)),
      error: fail,
    });
    audioEncoder.configure({ sampleRate: 48000, numberOfChannels: 2, bitrate: 96_000, ...audio });
    for (const n of range(10)) {
      const data = new Float32Array(4800 * 2);
      data.forEach((_, i) => (data[i] = 0.3 * Math.sin((i + n * 4800) / 20)));
      const init = { format: "f32-planar", sampleRate: 48000, numberOfChannels: 2, numberOfFrames: 4800 };
      const run = new AudioData({ ...init, timestamp: n * 100_000, data });
      audioEncoder.encode(run);
      run.close();
    }
    await audioEncoder.flush();
    audioEncoder.close();
  }
  await videoEncoder.flush();
  videoEncoder.close();
  await Promise.all(writes);
  return await muxer.finish();
}

/** Reads everything back, and decodes it. */
async function replay(source) {
  const demuxer = new Reelcore.Demuxer(source);
  const { container } = await demuxer.info;
  const found = { container };
  for (const track of await demuxer.tracks) {
    const video = track.type === "video";
    const outputs = [];
    const init = {
      output(data) {
        outputs.push([data.timestamp, video ? 1 : data.numberOfFrames]);
        data.close();
      },
      error(error) {
        throw error;
      },
    };
    const decoder = video ? new VideoDecoder(init) : new AudioDecoder(init);
    decoder.configure(track.decoderConfig);
    for await (const chunk of demuxer.chunks(track)) decoder.decode(chunk);
    await decoder.flush();
    decoder.close();
    found[track.type] = { codec: track.decoderConfig.codec, outputs };
  }
  demuxer.close();
  return found;
}

const FILES = [
  ["mp4", { codec: "avc1.42001E" }, { codec: "mp4a.40.2" }],
  ["mp4", { codec: "vp09.00.10.08" }, { codec: "opus" }],
  ["webm", { codec: "vp09.00.10.08" }, { codec: "opus" }],
  ["webm", { codec: "vp8" }, { codec: "vorbis" }],
  ["matroska", { codec: "avc1.42001E" }, { codec: "flac" }],
];

function check(found, container, video, audio) {
  equal(found.container, container);
  equal(found.video.codec.split(".")[0], video.codec.split(".")[0]);
  equal(found.video.outputs.length, 30);
  found.video.outputs.forEach(([timestamp], n) => {
    assert(Math.abs(timestamp - (n * 1e6) / 30) < 1000, `frame ${n} at ${timestamp}`);
  });
  const [[start]] = found.audio.outputs;
  assert(Math.abs(start) < 1500, `sound begins at ${start}`);
  const frames = found.audio.outputs.reduce((sum, [, count]) => sum + count, 0);
  // The end is cut to the sample where the container has a place for it.
  assert(frames >= 48_000 && frames <= 48_000 + 1024, `${audio.codec}: ${frames} frames of sound`);
}

for (const [format, video, audio] of FILES) {
  const name = `${format} with ${video.codec} and ${audio.codec}`;
  await test(`${name}: from memory`, async () => {
    const bytes = await record(new Reelcore.Muxer(format), video, audio);
    assert(bytes instanceof Uint8Array);
    check(await replay(bytes), format, video, audio);
  });

  await test(`${name}: through a stream that takes its time`, async () => {
    for (const highWaterMark of [1, 0]) {
      const pieces = [];
      let waiting = 0;
      const stream = new WritableStream({
        async write(piece) {
          waiting++;
          assert(waiting === 1, "a piece before the last one was taken");
          await new Promise((resolve) => setTimeout(resolve, 0));
          pieces.push(piece);
          waiting--;
        },
      }, { highWaterMark });
      const options = format === "mp4" ? { fragmented: true } : {};
      equal(await record(new Reelcore.Muxer(format, stream, options), video, audio), undefined);
      check(await replay(new Blob(pieces)), format, video, audio);
    }
  });
}

await test("a file is written where it is asked for, with its tags", async () => {
  const path = await Deno.makeTempFile({ suffix: ".mp4" });
  try {
    for (const [title, place] of [["A path", path], ["Text", `file://${path}`], ["A URL", new URL(`file://${path}`)]]) {
      const muxer = new Reelcore.Muxer("mp4", place, { tags: { title } });
      equal(await record(muxer, { codec: "avc1.42001E" }), undefined);
      const demuxer = new Reelcore.Demuxer(path);
      equal((await demuxer.info).tags.title, title);
      equal((await demuxer.tracks).map((track) => track.type), ["video"]);
      demuxer.close();
    }
  } finally {
    await Deno.remove(path);
  }
});

await test("packets of a file go into another one unchanged", async () => {
  const demuxer = new Reelcore.Demuxer(media("h264-aac.mp4"));
  const muxer = new Reelcore.Muxer("mp4");
  const tracks = await demuxer.tracks;
  const outputs = tracks.map((track) =>
    track.type === "video" ? muxer.addVideoTrack(track.decoderConfig) : muxer.addAudioTrack(track.decoderConfig)
  );
  const packets = async (demuxer, track) => {
    const found = [];
    for await (const chunk of demuxer.chunks(track)) {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      const sum = data.reduce((sum, byte) => (sum * 31 + byte) % 1_000_003, 7);
      found.push([chunk.type, chunk.timestamp, chunk.byteLength, sum]);
    }
    return found;
  };
  await Promise.all(tracks.map(async (track, n) => {
    for await (const chunk of demuxer.chunks(track)) await outputs[n].write(chunk);
    await outputs[n].end();
  }));
  const copy = new Reelcore.Demuxer(await muxer.finish());
  for (const [n, track] of tracks.entries()) {
    const wanted = await packets(demuxer, track);
    const found = await packets(copy, (await copy.tracks)[n]);
    equal(found.map((p) => [p[0], p[2], p[3]]), wanted.map((p) => [p[0], p[2], p[3]]));
    const late = found.findIndex((p, i) => Math.abs(p[1] - wanted[i][1]) > 50);
    equal(late, -1, `times of track ${n}: ${found[late]} for ${wanted[late]}`);
  }
});

await test("pictures that an edit list hides stay hidden in another file, or are refused", async () => {
  // The first edit of the clip is that of its pictures: from 0.51 s of them on, for 1.23 s.
  const bytes = await Deno.readFile(media("h264-aac.mp4"));
  const at = bytes.findIndex((_, i) => String.fromCharCode(...bytes.subarray(i, i + 4)) === "elst");
  const view = new DataView(bytes.buffer);
  const scale = 12_288;
  view.setUint32(at + 12, 1230);
  view.setUint32(at + 16, view.getUint32(at + 16) + 0.51 * scale);
  const shown = async (source) => {
    const times = (await replay(source)).video.outputs.map(([time]) => time);
    return times.map((time) => Math.round((time - times[0]) / 1000));
  };
  const wanted = await shown(bytes);
  const demuxer = new Reelcore.Demuxer(bytes);
  const copy = async (container) => {
    const [track] = await demuxer.tracks;
    const muxer = new Reelcore.Muxer(container);
    const output = muxer.addVideoTrack(track.decoderConfig);
    let packets = 0;
    for await (const { chunk, metadata } of demuxer.packets(track)) {
      await output.write(chunk, metadata);
      packets++;
    }
    assert(packets > wanted.length, "some are decoded only");
    return await muxer.finish();
  };
  for (const container of ["mp4", "matroska"]) equal(await shown(await copy(container)), wanted, container);
  await rejects(copy("mpegts"), "NotSupportedError");
});

await test("what cannot be written is refused with a reason", async () => {
  throws(() => new Reelcore.Muxer("mp4", 7), "TypeError");
  const unknown = new Reelcore.Muxer("bogus");
  await rejects(unknown.finish(), "NotSupportedError", "bogus");
  const nowhere = new Reelcore.Muxer("mp4", "/nowhere/at/all.mp4");
  await rejects(nowhere.finish(), "NotFoundError", "/nowhere/at/all.mp4");
  const muxer = new Reelcore.Muxer("mp4");
  const track = muxer.addVideoTrack();
  const chunk = new EncodedVideoChunk({ type: "key", timestamp: 0, data: new Uint8Array(4) });
  track.write(chunk).catch(() => {});
  await rejects(muxer.finish(), "EncodingError", "decoderConfig");
  const webm = new Reelcore.Muxer("webm");
  webm.addVideoTrack({ codec: "avc1.42001E", codedWidth: 16, codedHeight: 16 }).write(chunk).catch(() => {});
  await rejects(webm.finish(), "NotSupportedError");
});

await test("a stream is not locked by a muxer that there is not", async () => {
  const pieces = [];
  const stream = new WritableStream({ write: (piece) => void pieces.push(piece) });
  await rejects(new Reelcore.Muxer("foo", stream).finish(), "NotSupportedError");
  assert(!stream.locked, "it is still locked");
  equal(await record(new Reelcore.Muxer("webm", stream), { codec: "vp8" }), undefined);
  assert(pieces.length > 0, "nothing was written");
});

await test("a stream that fails says so to whoever writes", async () => {
  const stream = new WritableStream({
    write() {
      throw new RangeError("the disk is full");
    },
  });
  const muxer = new Reelcore.Muxer("mp4", stream, { fragmented: true });
  await rejects(record(muxer, { codec: "vp09.00.10.08" }), "RangeError", "the disk is full");
});

finish();
