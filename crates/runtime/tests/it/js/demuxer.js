// Reelcore.Demuxer: sources, tracks, iteration, seeking, errors.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const url = new URL("../../../../../examples/media/h264-aac.mp4", import.meta.url);
const file = await Deno.readFile(url);

async function times(demuxer, track, options) {
  const list = [];
  for await (const chunk of demuxer.chunks(track, options)) list.push(chunk.timestamp);
  return list;
}

await test("a path, a URL, its text, a Blob, a buffer and a view give the same packets", async () => {
  const blob = new Blob([file.subarray(0, 1000), file.subarray(1000)]);
  const shared = new Uint8Array(new SharedArrayBuffer(file.length));
  shared.set(file);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const wanted = await times(new Reelcore.Demuxer(url), 0);
  assert(wanted.length > 100);
  for (const source of [url.pathname, url.href, blob, file.slice().buffer, file, view, shared]) {
    equal(await times(new Reelcore.Demuxer(source), 0), wanted);
  }
});

await test("a file: URL is the file of this machine that it names, and that of another is refused", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/100% a%20é.mp4`;
    await Deno.writeFile(path, file);
    const named = new URL(`file://${folder}/x`);
    for (const name of ["100%25%20a%2520%C3%A9.mp4", "100% a%2520é.mp4"]) {
      named.pathname = `${folder}/${name}`;
      equal((await new Reelcore.Demuxer(named).tracks).length, 2, name);
      equal((await new Reelcore.Demuxer(named.href).tracks).length, 2, name);
    }
    for (const bad of [`file://other.test${folder}/x.mp4`, `file://${folder}/%FF.mp4`]) {
      throws(() => new Reelcore.Demuxer(bad), "TypeError", "names no file of this machine");
      throws(() => new Reelcore.Demuxer(new URL(bad)), "TypeError", "names no file of this machine");
      throws(() => new Reelcore.Muxer("mp4", bad), "TypeError", "names no file of this machine");
    }
    equal((await new Reelcore.Demuxer(url.href.replace("file://", "file://localhost")).tracks).length, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

await test("tracks come with a config that a decoder takes as it is", async () => {
  const demuxer = new Reelcore.Demuxer(file);
  const [video, audio] = await demuxer.tracks;
  equal([video.type, audio.type], ["video", "audio"]);
  equal((await VideoDecoder.isConfigSupported(video.decoderConfig)).supported, true);
  equal([audio.decoderConfig.codec, audio.decoderConfig.sampleRate], ["mp4a.40.2", 44100]);
  equal((await demuxer.info).container, "mp4");
  for await (const chunk of demuxer.chunks(audio)) {
    assert(chunk instanceof EncodedAudioChunk);
    break;
  }
});

await test("start and seek begin at the last key packet at or before a time", async () => {
  const demuxer = new Reelcore.Demuxer(file);
  const [video] = await demuxer.tracks;
  const keys = [];
  for await (const chunk of demuxer.chunks(video)) if (chunk.type === "key") keys.push(chunk.timestamp);
  assert(keys.length > 1, "the clip has several key frames");
  for (const time of [0, keys[1] - 1, keys[1], keys[1] + 1, 1e9]) {
    const wanted = keys.filter((key) => key <= time).at(-1);
    equal((await times(demuxer, video, { start: time }))[0], wanted);
    equal(await demuxer.seek(time), wanted);
    equal((await times(demuxer, video))[0], wanted);
  }
});

/** An IVF file of VP8 at 25 frames a second. */
function ivf(frames) {
  const bytes = new Uint8Array(frames.reduce((size, frame) => size + 12 + frame.length, 32));
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("DKIF\0\0\x20\0VP80\x40\0\x30\0"));
  [25, 1, frames.length].forEach((value, i) => view.setUint32(16 + 4 * i, value, true));
  let at = 32;
  frames.forEach((frame, time) => {
    view.setUint32(at, frame.length, true);
    view.setUint32(at + 4, time, true);
    bytes.set(frame, at + 12);
    at += 12 + frame.length;
  });
  return bytes;
}

await test("a start of 0 begins at a key packet as any other, and sound from 0 with its priming", async () => {
  const frames = [];
  const encoder = new VideoEncoder({
    output(chunk) {
      chunk.copyTo(frames[frames.push(new Uint8Array(chunk.byteLength)) - 1]);
    },
    error: (error) => { throw error; },
  });
  encoder.configure({ codec: "vp8", width: 64, height: 48, framerate: 25, latencyMode: "realtime" });
  for (let i = 0; i < 6; i++) {
    const size = { codedWidth: 64, codedHeight: 48, timestamp: 40_000 * i };
    const frame = new VideoFrame(new Uint8Array(64 * 48 * 3 / 2), { format: "I420", ...size });
    encoder.encode(frame, { keyFrame: i % 3 === 0 });
    frame.close();
  }
  await encoder.flush();
  // A recording that was joined late: its first key picture is the third.
  const late = new Reelcore.Demuxer(ivf(frames.slice(1)));
  equal(await times(late, 0), [0, 40_000, 80_000, 120_000, 160_000]);
  equal(await times(late, 0, { start: 0 }), [80_000, 120_000, 160_000]);
  equal(await late.seek(0), 80_000);
  equal(await times(late, 0), [80_000, 120_000, 160_000]);

  const demuxer = new Reelcore.Demuxer(file);
  const [, audio] = await demuxer.tracks;
  const whole = await times(demuxer, audio);
  assert(whole[0] < 0, "the clip has priming");
  equal(await times(demuxer, audio, { start: 0 }), whole);
  equal(await demuxer.seek(0, audio), 0);
  equal(await times(demuxer, audio), whole);
});

await test("a time is sought in sound where a track that has no chunks comes first", async () => {
  /** The clip with tracks of text in the place of those of `types`. */
  const withText = (...types) => {
    const bytes = file.slice();
    const ascii = new TextDecoder("latin1").decode(bytes);
    for (const { index } of ascii.matchAll(/hdlr.{8}(vide|soun)/gs)) {
      const type = ascii.slice(index + 12, index + 16);
      if (types.includes(type)) bytes.set(new TextEncoder().encode("text"), index + 12);
    }
    return new Reelcore.Demuxer(bytes);
  };
  const demuxer = withText("vide");
  const [text, audio] = await demuxer.tracks;
  equal([text.type, audio.type], ["other", "audio"]);
  const wanted = await new Reelcore.Demuxer(file).seek(1_000_000, 1);
  equal(await demuxer.seek(1_000_000), wanted);
  const moved = await times(demuxer, audio);
  // What fails moves nothing.
  await rejects(demuxer.seek(3_000_000, text), "TypeError", "have chunks");
  await rejects(demuxer.seek(3_000_000, 7), "TypeError");
  equal(await times(demuxer, audio), moved);
  assert(moved[0] <= wanted && moved[0] > 0, `sound begins at ${moved[0]}`);
  // And where no track has chunks there is nothing to find.
  const silent = withText("vide", "soun");
  equal((await silent.tracks).map((track) => track.type), ["other", "other"]);
  equal(await silent.seek(1_000_000), null);
});

await test("two iterations do not disturb each other, and one can be left", async () => {
  const demuxer = new Reelcore.Demuxer(file);
  const [a, b] = [demuxer.chunks(0), demuxer.chunks(0)];
  const first = (await a.next()).value.timestamp;
  await a.next();
  equal((await b.next()).value.timestamp, first);
  await a.return();
  equal((await a.next()).done, true);
});

await test("a transferred buffer is taken", async () => {
  const own = file.slice();
  const demuxer = new Reelcore.Demuxer(own, { transfer: [own.buffer] });
  await demuxer.tracks;
  equal(own.byteLength, 0);
});

/** A stream of `bytes` in pieces of `size`, and what became of it. */
function streamOf(bytes, size) {
  const state = { at: 0, cancelled: false };
  state.stream = new ReadableStream({
    pull(controller) {
      if (state.at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(state.at, state.at += size));
    },
    cancel() {
      state.cancelled = true;
    },
  }, { highWaterMark: 0 });
  return state;
}

await test("a stream is demuxed as it arrives, track by track or side by side", async () => {
  const wanted = await times(new Reelcore.Demuxer(file), 0);
  equal(await times(new Reelcore.Demuxer(streamOf(file, 997).stream), 0), wanted);
  equal(await times(new Reelcore.Demuxer((await fetch(url)).body), 0), wanted);
  const demuxer = new Reelcore.Demuxer(streamOf(file, 64 << 10).stream);
  equal((await demuxer.info).container, "mp4");
  const both = await Promise.all([times(demuxer, 0), times(demuxer, 1)]);
  equal(both, [wanted, await times(new Reelcore.Demuxer(file), 1)]);
});

await test("a stream is read no further than needed, and cancelled when the demuxer is closed", async () => {
  const long = new Uint8Array(file.length + (8 << 20));
  long.set(file);
  const state = streamOf(long, 64 << 10);
  const demuxer = new Reelcore.Demuxer(state.stream);
  await demuxer.tracks;
  await new Promise((done) => setTimeout(done, 50));
  assert(state.at < 3 << 20, `${state.at} bytes were taken in`);
  equal(state.cancelled, false);
  demuxer.close();
  await new Promise((done) => setTimeout(done, 50));
  equal(state.cancelled, true);
});

await test("a stream that fails, or gives no bytes, says so to whoever reads", async () => {
  let pulls = 0;
  const broken = new ReadableStream({
    pull(controller) {
      if (pulls++ === 0) controller.enqueue(file.slice(0, 30));
      else controller.error(new Error("the cable is cut"));
    },
  });
  const error = await new Reelcore.Demuxer(broken).tracks.catch((error) => error);
  assert(error.message.includes("the cable is cut"), error.message);
  const words = new ReadableStream({ start: (controller) => controller.enqueue("words") });
  const wrong = await new Reelcore.Demuxer(words).tracks.catch((error) => error);
  assert(wrong.message.includes("Uint8Array"), wrong.message);
  const locked = streamOf(file, 1000).stream;
  locked.getReader();
  throws(() => new Reelcore.Demuxer(locked), "TypeError");
});

await test("what cannot be opened says why", async () => {
  await rejects(new Reelcore.Demuxer("/no/such/file.mp4").tracks, "NotFoundError");
  const noise = new Reelcore.Demuxer(new Uint8Array(1000).fill(7));
  await rejects(noise.tracks, "NotSupportedError");
  await rejects(new Reelcore.Demuxer(file.subarray(0, file.length >> 1)).tracks, "EncodingError");
  throws(() => new Reelcore.Demuxer(5), "TypeError");
  throws(() => new Reelcore.Demuxer(new URL("https://example.com/a.mp4")), "TypeError");
  await rejects(new Reelcore.Demuxer("file:///no/such%20file.mp4").tracks, "NotFoundError", "/no/such file.mp4");
  // Also where no script catches it: it is the same error, with the script's line.
  const module = "data:text/javascript,await new Reelcore.Demuxer('/no/such/file.mp4').tracks";
  const uncaught = await rejects(import(module), "NotFoundError", "/no/such/file.mp4");
  equal([uncaught instanceof DOMException, uncaught.code], [true, 8]);
  assert(uncaught.stack.includes("data:text/javascript"), uncaught.stack);
  const demuxer = new Reelcore.Demuxer(file);
  await rejects(demuxer.chunks(9).next(), "TypeError");
  await rejects(demuxer.chunks(0, { start: NaN }).next(), "TypeError");
});

await test("a closed demuxer lets go of its file", async () => {
  const open = async () => {
    let count = 0;
    for await (const _ of Deno.readDir("/proc/self/fd")) count++;
    return count;
  };
  const before = await open();
  const demuxers = Array.from({ length: 20 }, () => new Reelcore.Demuxer(url));
  for (const demuxer of demuxers) await demuxer.tracks;
  assert((await open()) >= before + 20);
  for (const demuxer of demuxers) demuxer.close();
  await rejects(demuxers[0].info, "InvalidStateError");
  await rejects(demuxers[0].chunks(0).next(), "InvalidStateError");
  equal(await open(), before);
  // Whatever was read of it, and however an iteration was left.
  for (const leave of ["break", "return", "begun", "seek"]) {
    const demuxer = new Reelcore.Demuxer(url);
    const [video] = await demuxer.tracks;
    const packets = demuxer.packets(video, { start: 1 });
    if (leave === "seek") await demuxer.seek(0);
    else if (leave === "break") for await (const _ of demuxer.chunks(video)) break;
    else await packets.next();
    if (leave === "return") await packets.return();
    demuxer.close();
    equal(await open(), before, leave);
    // An iteration that has begun ends.
    if (leave === "begun") await rejects(packets.next(), "AbortError");
  }
});

await test("a demuxer that is closed while it opens says so to whoever waits", async () => {
  for (const source of [url, file, new Blob([file])]) {
    const demuxer = new Reelcore.Demuxer(source);
    const waiting = [demuxer.tracks, demuxer.info, demuxer.chunks(0).next(), demuxer.seek(0)];
    const ends = Promise.all(waiting.map((promise) => rejects(promise, "AbortError")));
    demuxer.close();
    await ends;
    await rejects(demuxer.tracks, "AbortError");
    // What is asked afterwards is asked of a closed demuxer.
    await rejects(demuxer.info, "InvalidStateError");
    await rejects(demuxer.chunks(0).next(), "InvalidStateError");
    await rejects(demuxer.packets(0, { start: 0 }).next(), "InvalidStateError");
    await rejects(demuxer.seek(0), "InvalidStateError");
  }
});

/** Five pictures of each size, 40 ms apart, in one track. */
async function twoSizes(format, config, options) {
  const muxer = new Reelcore.Muxer(format, undefined, options);
  const track = muxer.addVideoTrack();
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => void track.write(chunk, metadata),
    error: (error) => { throw error; },
  });
  let count = 0;
  for (const [width, height] of [[128, 96], [64, 48], [128, 96]]) {
    encoder.configure({ width, height, framerate: 25, bitrate: 300_000, latencyMode: "realtime", ...config });
    for (let index = 0; index < 5; index++) {
      const pixels = new Uint8Array(width * height * 3 / 2).fill(100 + 10 * count);
      const frame = new VideoFrame(pixels, {
        format: "I420",
        codedWidth: width,
        codedHeight: height,
        timestamp: 40_000 * count++,
        duration: 40_000,
      });
      encoder.encode(frame);
      frame.close();
    }
    await encoder.flush();
  }
  return await muxer.finish();
}

/** Decodes as a script does that looks at the metadata: timestamps, sizes, and how often it configured. */
async function decodePackets(demuxer, options) {
  const [track] = await demuxer.tracks;
  const frames = [];
  let configs = 0;
  const decoder = new VideoDecoder({
    output: (frame) => {
      frames.push([frame.timestamp, frame.displayWidth, frame.displayHeight]);
      frame.close();
    },
    error: (error) => { throw error; },
  });
  for await (const { chunk, metadata } of demuxer.packets(track, options)) {
    if (metadata.decoderConfig) {
      if (configs++ > 0) await decoder.flush();
      decoder.configure(metadata.decoderConfig);
    }
    decoder.decode(chunk);
  }
  await decoder.flush();
  return { frames, configs };
}

await test("packets come with the decoder config that holds from each on", async () => {
  const sizes = Array.from({ length: 15 }, (_, at) => at < 5 || at > 9 ? [at * 40_000, 128, 96] : [at * 40_000, 64, 48]);
  const h264 = { codec: "avc1.42e01e", avc: { format: "avc" } };
  for (const format of ["mp4", "fmp4"]) {
    const bytes = await twoSizes(format, h264);
    const { frames, configs } = await decodePackets(new Reelcore.Demuxer(bytes));
    equal(frames, sizes, format);
    equal(configs, 3);
    // From the middle on: the first packet says what holds there, whatever the track says.
    const late = await decodePackets(new Reelcore.Demuxer(bytes), { start: 240_000 });
    equal(late.frames, sizes.slice(5));
    equal(late.configs, 2);
    // Chunks alone cannot tell it.
    const demuxer = new Reelcore.Demuxer(bytes);
    const seen = [];
    await rejects((async () => {
      for await (const chunk of demuxer.chunks(0)) seen.push(chunk.timestamp);
    })(), "NotSupportedError", "packets()");
    equal(seen.length, 5);
    await rejects(demuxer.chunks(0, { start: 200_000 }).next(), "NotSupportedError");
    equal((await demuxer.chunks(0, { start: 100_000 }).next()).value.timestamp, 0);
  }
  // Where fragments were written before it, and with codecs that have no description, the stream tells it.
  for (const [config, options] of [
    [h264, { fragmentDuration: 40_000 }],
    [{ codec: "av01.0.04M.08" }, {}],
    [{ codec: "vp09.00.10.08" }, {}],
    [{ codec: "vp8" }, {}],
  ]) {
    const bytes = await twoSizes("fmp4", config, options);
    equal((await decodePackets(new Reelcore.Demuxer(bytes))).frames, sizes, config.codec);
  }
});

/** A transport stream of one track of sound. */
async function transportStream(write) {
  const muxer = new Reelcore.Muxer("mpegts");
  await write(muxer.addAudioTrack());
  return await muxer.finish();
}

await test("a transport stream whose sound goes over to another codec is decoded on", async () => {
  let frames = 0;
  const aac = await transportStream(async (track) => {
    for await (const { chunk, metadata } of new Reelcore.Demuxer(file).packets(1)) {
      await track.write(chunk, metadata);
      if (++frames === 40) break;
    }
  });
  const opus = await transportStream(async (track) => {
    const encoder = new AudioEncoder({
      output: (chunk, metadata) => void track.write(chunk, metadata),
      error: (error) => { throw error; },
    });
    encoder.configure({ codec: "opus", sampleRate: 48000, numberOfChannels: 1 });
    const data = Float32Array.from({ length: 48000 }, (_, at) => Math.sin(at / 20) / 2);
    encoder.encode(new AudioData({
      format: "f32", sampleRate: 48000, numberOfFrames: 48000, numberOfChannels: 1, timestamp: 0, data,
    }));
    await encoder.flush();
  });
  const demuxer = new Reelcore.Demuxer(new Blob([aac, opus, aac]));
  const heard = {};
  const codecs = [];
  const decoder = new AudioDecoder({
    output: (data) => {
      const form = `${data.sampleRate} Hz, ${data.numberOfChannels} channels`;
      heard[form] = (heard[form] ?? 0) + data.numberOfFrames;
      data.close();
    },
    error: (error) => { throw error; },
  });
  for await (const { chunk, metadata } of demuxer.packets(0)) {
    if (metadata.decoderConfig) {
      if (codecs.length > 0) await decoder.flush();
      codecs.push(metadata.decoderConfig.codec);
      decoder.configure(metadata.decoderConfig);
    }
    decoder.decode(chunk);
  }
  await decoder.flush();
  equal(codecs, ["mp4a.40.2", "opus", "mp4a.40.2"]);
  equal(Object.keys(heard), ["44100 Hz, 2 channels", "48000 Hz, 1 channels"]);
  equal(heard["44100 Hz, 2 channels"], 2 * 40 * 1024);
  const rest = heard["48000 Hz, 1 channels"] - 48000;
  assert(rest >= 0 && rest <= 960, `${rest} samples too many`);
  // Chunks alone cannot tell it.
  await rejects((async () => {
    for await (const chunk of new Reelcore.Demuxer(new Blob([aac, opus])).chunks(0)) void chunk;
  })(), "NotSupportedError", "packets()");
});

await test("packets of one configuration have it with the first alone", async () => {
  const demuxer = new Reelcore.Demuxer(file);
  const tracks = await demuxer.tracks;
  for (const track of tracks) {
    const given = [];
    let count = 0;
    for await (const { chunk, metadata } of demuxer.packets(track)) {
      assert(chunk instanceof (track.type === "video" ? EncodedVideoChunk : EncodedAudioChunk));
      if (count++ === 0) equal(metadata.decoderConfig, track.decoderConfig);
      else given.push(...Object.keys(metadata));
    }
    equal([count > 100, given], [true, []]);
  }
});

await test("a track of another demuxer is refused", async () => {
  const [track] = await new Reelcore.Demuxer(url).tracks;
  await rejects(new Reelcore.Demuxer(url).chunks(track).next(), "TypeError");
});

await test("Reelcore is one namespace and no global of WebCodecs", () => {
  equal(Object.keys(Reelcore).sort(), ["Demuxer", "Muxer", "counters", "gpuMemory", "scale"]);
  equal(Object.getOwnPropertyDescriptor(globalThis, "Reelcore").enumerable, false);
  equal(typeof globalThis.Demuxer, "undefined");
});

finish();
