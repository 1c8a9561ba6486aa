// Reelcore.Muxer: decoder configs that come late, change in the middle of a track, or are none; and who hears of an error.
import { assert, equal, finish, rejects, test } from "./harness.js";

const range = (count) => Array.from({ length: count }, (_, index) => index);

/** Pictures 40 ms apart from `start` (microseconds) on: chunks with their metadata. */
async function pictures(config, count = 5, start = 0) {
  const found = [];
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => void found.push([chunk, metadata]),
    error: (error) => { throw error; },
  });
  const { width, height } = { width: 160, height: 96, ...config };
  encoder.configure({ width, height, bitrate: 300_000, framerate: 25, latencyMode: "realtime", ...config });
  for (const n of range(count)) {
    const frame = new VideoFrame(new Uint8Array((width * height * 3) / 2).fill(100 + n), {
      format: "I420",
      codedWidth: width,
      codedHeight: height,
      timestamp: start + n * 40_000,
      duration: 40_000,
    });
    encoder.encode(frame);
    frame.close();
  }
  await encoder.flush();
  encoder.close();
  return found;
}

/** Sound in runs of 100 ms from `start` (microseconds) on; after each of `flushes` runs the encoder is flushed. */
async function sound(config, runs = 4, start = 0, flushes = []) {
  const found = [];
  const encoder = new AudioEncoder({
    output: (chunk, metadata) => void found.push([chunk, metadata]),
    error: (error) => { throw error; },
  });
  const { sampleRate, numberOfChannels } = { sampleRate: 48_000, numberOfChannels: 2, ...config };
  encoder.configure({ sampleRate, numberOfChannels, ...config });
  for (const n of range(runs)) {
    const numberOfFrames = sampleRate / 10;
    const data = new Float32Array(numberOfFrames * numberOfChannels).map((_, i) => 0.3 * Math.sin(i / 20));
    const init = { format: "f32-planar", sampleRate, numberOfChannels, numberOfFrames };
    const run = new AudioData({ ...init, timestamp: start + n * 100_000, data });
    encoder.encode(run);
    run.close();
    if (flushes.includes(n + 1)) await encoder.flush();
  }
  await encoder.flush();
  encoder.close();
  return found;
}

/** Writes one track; `given` is the config that it is added with. */
async function write(format, chunks, given = undefined, options = {}) {
  const muxer = new Reelcore.Muxer(format, undefined, options);
  const video = chunks[0][0] instanceof EncodedVideoChunk;
  const track = video ? muxer.addVideoTrack(given) : muxer.addAudioTrack(given);
  for (const [chunk, metadata] of chunks) await track.write(chunk, metadata);
  return await muxer.finish();
}

/** Reads a track back and decodes it, as a script does that looks at the metadata. */
async function replay(source, index = 0) {
  const demuxer = new Reelcore.Demuxer(source);
  const track = (await demuxer.tracks)[index];
  const video = track.type === "video";
  const packets = [];
  const outputs = [];
  const init = {
    output: (data) => {
      outputs.push(video ? `${data.codedWidth}x${data.codedHeight}` : [data.sampleRate, data.numberOfFrames]);
      data.close();
    },
    error: (error) => { throw error; },
  };
  const decoder = video ? new VideoDecoder(init) : new AudioDecoder(init);
  for await (const { chunk, metadata } of demuxer.packets(track)) {
    if (metadata.decoderConfig) {
      if (decoder.state === "configured") await decoder.flush();
      decoder.configure(metadata.decoderConfig);
    }
    packets.push(chunk);
    decoder.decode(chunk);
  }
  if (decoder.state === "configured") await decoder.flush();
  decoder.close();
  demuxer.close();
  return { track, packets, outputs };
}

const bytesOf = (chunk) => {
  const data = new Uint8Array(chunk.byteLength);
  chunk.copyTo(data);
  return data;
};

const frames = (outputs) => outputs.reduce((sum, [, count]) => sum + count, 0);

await test("H.264 that goes over between lengths and start codes is decoded whole", async () => {
  const h264 = { codec: "avc1.42001f" };
  const forms = {
    avc: { ...h264, avc: { format: "avc" } },
    annexb: { ...h264, avc: { format: "annexb" } },
    larger: { ...h264, avc: { format: "annexb" }, width: 320, height: 176 },
  };
  for (const order of [["avc", "annexb"], ["annexb", "avc"], ["avc", "annexb", "avc", "annexb"], ["avc", "larger"]]) {
    const chunks = [];
    for (const [n, form] of order.entries()) chunks.push(...await pictures(forms[form], 5, n * 200_000));
    for (const format of ["mp4", "fmp4", "matroska", "mpegts"]) {
      const { packets, outputs } = await replay(await write(format, chunks));
      const wanted = order.flatMap((form) => range(5).map(() => (form === "larger" ? "320x176" : "160x96")));
      equal(outputs, wanted, `${format}: ${order}`);
      equal(packets.length, chunks.length);
    }
  }
});

await test("AAC that goes over between raw frames and ADTS has no headers among its samples", async () => {
  const forms = {
    raw: { codec: "mp4a.40.2", aac: { format: "aac" } },
    adts: { codec: "mp4a.40.2", aac: { format: "adts" } },
  };
  for (const order of [["raw", "adts"], ["adts", "raw"], ["raw", "adts", "raw"]]) {
    const chunks = [];
    for (const [n, form] of order.entries()) chunks.push(...await sound(forms[form], 4, n * 500_000));
    for (const format of ["mp4", "fmp4", "matroska", "mpegts", "adts"]) {
      const { packets, outputs } = await replay(await write(format, chunks));
      equal(packets.length, chunks.length, `${format}: ${order}`);
      const heard = frames(outputs);
      assert(heard >= 19_200 * order.length && heard <= 1024 * chunks.length, `${format}: ${heard} frames`);
      if (format === "mpegts" || format === "adts") continue;
      const headed = packets.filter((chunk) => {
        const [first, second] = bytesOf(chunk);
        return first === 0xff && (second & 0xf6) === 0xf0;
      });
      equal(headed.length, 0, `${format}: ${order}`);
    }
  }
});

await test("ADTS of another rate after raw frames has its own set-up, or is refused", async () => {
  const chunks = [
    ...await sound({ codec: "mp4a.40.2" }),
    ...await sound({ codec: "mp4a.40.2", sampleRate: 44_100, numberOfChannels: 1, aac: { format: "adts" } }, 4, 500_000),
  ];
  const { outputs } = await replay(await write("mp4", chunks));
  equal([...new Set(outputs.map(([rate]) => rate))], [48_000, 44_100]);
  await rejects(write("matroska", chunks), "NotSupportedError", "another description");
});

await test("a sample rate or number of channels that the container says once cannot change", async () => {
  for (const [codec, formats] of [["pcm-s16", ["mp4", "fmp4", "matroska", "wav"]], ["ulaw", ["mp4", "matroska", "wav"]]]) {
    const first = await sound({ codec });
    const slower = await sound({ codec, sampleRate: 24_000 }, 4, 400_000);
    const mono = await sound({ codec, numberOfChannels: 1 }, 4, 400_000);
    for (const format of formats) {
      await rejects(write(format, [...first, ...slower]), "NotSupportedError", "sample rate");
      await rejects(write(format, [...first, ...mono]), "NotSupportedError", "number of channels");
      // The same again, of an encoder that was made anew, is no change.
      const { outputs } = await replay(await write(format, [...first, ...await sound({ codec }, 4, 400_000)]));
      equal(frames(outputs), 38_400, `${codec} in ${format}`);
    }
  }
});

await test("an orientation, a colour or a shape that the container says once cannot change", async () => {
  const first = await pictures({ codec: "vp8" });
  const config = first[0][1].decoderConfig;
  const [[chunk]] = await pictures({ codec: "vp8" }, 1, 200_000);
  const colorSpace = { primaries: "bt2020", transfer: "pq", matrix: "bt2020-ncl", fullRange: false };
  for (const [change, what] of [
    [{ rotation: 90 }, "rotation"],
    [{ flip: true }, "flip"],
    [{ colorSpace }, "colour space"],
    [{ displayAspectWidth: 4, displayAspectHeight: 3 }, "aspect ratio"],
  ]) {
    const chunks = [...first, [chunk, { decoderConfig: { ...config, ...change } }]];
    for (const format of ["mp4", "fmp4", "matroska", "webm"]) {
      await rejects(write(format, chunks), "NotSupportedError", what);
    }
    // It says nothing of them, not even at the start.
    equal((await replay(await write("ivf", chunks))).packets.length, 6);
  }
  // The size is that of the stream, and need not be said.
  const larger = await pictures({ codec: "vp8", width: 320, height: 192 }, 5, 200_000);
  const { codedWidth: _, codedHeight: __, ...unsized } = config;
  for (const chunks of [[...first, ...larger], [...first, [chunk, { decoderConfig: unsized }]]]) {
    for (const format of ["mp4", "matroska", "webm", "ivf"]) {
      equal((await replay(await write(format, chunks))).outputs.length, chunks.length, format);
    }
  }
});

await test("what an encoder says of a track is taken over what the track was added with", async () => {
  const video = { codedWidth: 160, codedHeight: 96 };
  const audio = { sampleRate: 48_000, numberOfChannels: 2 };
  for (const [codec, given, formats] of [
    ["avc1.42001f", video, ["mp4", "fmp4", "matroska", "mpegts"]],
    ["av01.0.04M.08", video, ["mp4", "fmp4", "matroska", "webm"]],
    ["mp4a.40.2", audio, ["mp4", "fmp4", "matroska", "mpegts", "adts"]],
    ["opus", audio, ["mp4", "fmp4", "matroska", "webm", "ogg", "mpegts"]],
    ["flac", audio, ["mp4", "fmp4", "matroska", "ogg", "flac"]],
    ["vorbis", audio, ["matroska", "webm", "ogg"]],
  ]) {
    const chunks = given === video ? await pictures({ codec }) : await sound({ codec });
    for (const format of formats) {
      const wanted = (await replay(await write(format, chunks))).outputs;
      const { outputs } = await replay(await write(format, chunks, { codec, ...given }));
      assert(outputs.length > 0);
      equal(outputs, wanted, `${codec} in ${format}`);
    }
  }
});

await test("a track is waited for whose encoder has yet to say what it holds", async () => {
  const video = await pictures({ codec: "vp8" }, 10);
  const audio = await sound({ codec: "opus" });
  for (const ends of [false, true]) {
    const muxer = new Reelcore.Muxer("webm");
    const picture = muxer.addVideoTrack(video[0][1].decoderConfig);
    const voice = muxer.addAudioTrack({ codec: "opus", sampleRate: 48_000, numberOfChannels: 2 });
    for (const [chunk, metadata] of video) await picture.write(chunk, metadata);
    if (!ends) for (const [chunk, metadata] of audio) await voice.write(chunk, metadata);
    // One that ends without a packet is there all the same.
    await voice.end();
    const bytes = await muxer.finish();
    equal((await replay(bytes, 0)).outputs.length, 10);
    equal(frames((await replay(bytes, 1)).outputs), ends ? 0 : 19_200);
  }
  // Not longer than for packets: ten seconds.
  const muxer = new Reelcore.Muxer("webm", new WritableStream());
  const picture = muxer.addVideoTrack(video[0][1].decoderConfig);
  const voice = muxer.addAudioTrack({ codec: "opus", sampleRate: 48_000, numberOfChannels: 2 });
  await picture.write(...video[0]);
  const late = new EncodedVideoChunk({ type: "key", timestamp: 11_000_000, data: bytesOf(video[0][0]) });
  await picture.write(late);
  await rejects(voice.write(...audio[0]), "NotSupportedError", "another description");
});

await test("a config that lacks what the container needs says so to whoever writes", async () => {
  const chunks = await pictures({ codec: "vp8" });
  const [chunk] = chunks[0];
  const lacks = async (muxer, track, promise, part) => {
    await rejects(promise, "TypeError", part);
    // The first error is that of every later call.
    await rejects(track.write(chunk), "TypeError", part);
    await rejects(track.end(), "TypeError", part);
    await rejects(muxer.finish(), "TypeError", part);
  };
  for (const given of [{ codec: "vp8" }, { codec: "vp8", codedWidth: 160 }]) {
    const muxer = new Reelcore.Muxer("webm");
    const track = muxer.addVideoTrack(given);
    await lacks(muxer, track, track.write(chunk), "codedWidth and codedHeight");
  }
  {
    const muxer = new Reelcore.Muxer("webm");
    const track = muxer.addVideoTrack();
    const metadata = { decoderConfig: { codec: "vp8" } };
    await lacks(muxer, track, track.write(chunk, metadata), "codedWidth and codedHeight");
  }
  {
    // What is no number does not become one.
    const muxer = new Reelcore.Muxer("webm");
    const track = muxer.addVideoTrack({ codec: "vp8", codedWidth: "wide", codedHeight: 96 });
    await lacks(muxer, track, track.write(chunk), "");
  }
  {
    const muxer = new Reelcore.Muxer("webm");
    const track = muxer.addAudioTrack({ codec: "opus", sampleRate: 48_000 });
    const [[packet]] = await sound({ codec: "opus" }, 1);
    await rejects(track.write(packet), "TypeError", "numberOfChannels");
    await rejects(muxer.finish(), "TypeError", "numberOfChannels");
  }
  {
    const muxer = new Reelcore.Muxer("webm");
    const track = muxer.addVideoTrack();
    await rejects(track.write(chunk), "EncodingError", "without a decoderConfig");
    await rejects(muxer.finish(), "EncodingError", "without a decoderConfig");
  }
  {
    const muxer = new Reelcore.Muxer("webm");
    muxer.addVideoTrack({ codec: "vp8" });
    await rejects(muxer.finish(), "TypeError", "codedWidth and codedHeight");
  }
  // The first packet may come with what is missing.
  equal((await replay(await write("webm", chunks, { codec: "vp8" }))).outputs.length, 5);
});

await test("a stream that cannot be aborted leaves the muxer's own error", async () => {
  const [[chunk, metadata]] = await pictures({ codec: "vp8" }, 1);
  const empty = new EncodedVideoChunk({ type: "delta", timestamp: 40_000, data: new Uint8Array(0) });
  const never = new Promise(() => {});
  for (const [how, answer] of [
    ["throws", () => { throw new RangeError("not now"); }],
    ["rejects", () => Promise.reject(new RangeError("not now"))],
    ["never answers", () => never],
  ]) {
    let reason;
    const stream = new WritableStream({
      abort(error) {
        reason = error;
        return answer();
      },
    });
    const muxer = new Reelcore.Muxer("webm", stream);
    const track = muxer.addVideoTrack();
    await track.write(chunk, metadata);
    await rejects(track.write(empty), "EncodingError", "an empty packet");
    equal(reason?.name, "EncodingError", how);
    await rejects(muxer.finish(), "EncodingError", "an empty packet");
  }
});

await test("sound whose encoder is flushed in the middle of a track can be written", async () => {
  for (const [codec, formats] of [
    ["mp4a.40.2", ["mp4", "fmp4", "matroska", "mpegts", "adts"]],
    ["opus", ["mp4", "fmp4", "matroska", "webm"]],
    ["flac", ["mp4", "matroska", "ogg", "flac"]],
    ["pcm-s16", ["mp4", "matroska", "wav"]],
  ]) {
    const chunks = await sound({ codec }, 8, 0, [4]);
    for (const format of formats) {
      const { packets, outputs } = await replay(await write(format, chunks));
      const times = packets.map((chunk) => chunk.timestamp - packets[0].timestamp);
      if (["adts", "flac", "ogg", "wav"].includes(format) || codec.startsWith("pcm")) {
        // These have no times but those that the sound before gives, and PCM is read in packets of other lengths.
        equal(times, times.toSorted((a, b) => a - b), `${codec} in ${format}`);
      } else {
        // The first after the flush begins before the last before it ends, by what goes before its sound.
        const put = chunks.map(([chunk]) => chunk.timestamp - chunks[0][0].timestamp);
        equal(times.length, put.length, `${codec} in ${format}`);
        const off = times.findIndex((time, index) => Math.abs(time - put[index]) > 30);
        equal(off, -1, `${codec} in ${format}: ${times} for ${put}`);
      }
      const heard = frames(outputs);
      // What pads the last packet before the flush, and what goes before the first after it, containers cannot always drop.
      assert(heard >= 38_400 && heard <= 38_400 + 5 * 1024, `${codec} in ${format}: ${heard} frames`);
    }
  }
});

await test("the language of a track is kept where documentation says so", async () => {
  const chunks = await sound({ codec: "opus" });
  const video = await pictures({ codec: "vp8" }, 1);
  for (const [format, language, wanted] of [
    ["mp4", "deu", "deu"],
    ["fmp4", "deu", "deu"],
    ["mpegts", "deu", "deu"],
    ["matroska", "deu", "deu"],
    ["webm", "deu", "deu"],
    ["matroska", "de", "de"],
    ["webm", "en-US", "en-US"],
    ["ogg", "deu", null],
  ]) {
    const muxer = new Reelcore.Muxer(format);
    const track = muxer.addAudioTrack(undefined, { language });
    for (const [chunk, metadata] of chunks) await track.write(chunk, metadata);
    const { track: found } = await replay(await muxer.finish());
    equal(found.language, wanted, `${language} in ${format}`);
  }
  const muxer = new Reelcore.Muxer("webm");
  await muxer.addVideoTrack(undefined, { language: "fra" }).write(...video[0]);
  equal((await replay(await muxer.finish())).track.language, "fra");
});

await test("a track keeps what it was added with where its encoder says nothing of it, whichever track begins", async () => {
  const heard = await sound({ codec: "opus" });
  const seen = await pictures({ codec: "vp8" });
  const added = { codec: "vp8", codedWidth: 160, codedHeight: 96, rotation: 90 };
  for (const format of ["mp4", "fmp4", "matroska", "webm"]) {
    for (const soundFirst of [false, true]) {
      const muxer = new Reelcore.Muxer(format);
      const video = muxer.addVideoTrack(added);
      const audio = muxer.addAudioTrack({ codec: "opus", sampleRate: 48_000, numberOfChannels: 2 });
      const all = [[video, seen], [audio, heard]];
      for (const [track, chunks] of soundFirst ? all.reverse() : all) {
        for (const [chunk, metadata] of chunks) await track.write(chunk, metadata);
      }
      const file = await muxer.finish();
      const { track, outputs } = await replay(file);
      equal(track.decoderConfig.rotation, 90, format);
      equal(outputs.length, seen.length, format);
      equal((await replay(file, 1)).packets.length, heard.length, format);
    }
  }
});

await test("a config in the middle that leaves members out changes nothing of them", async () => {
  for (const codec of ["vp8", "vp09.00.10.08", "avc1.42001f", "av01.0.04M.08"]) {
    const chunks = [...await pictures({ codec }), ...await pictures({ codec }, 5, 200_000)];
    const { description, codedWidth, codedHeight } = chunks[5][1].decoderConfig;
    chunks[5][1] = { decoderConfig: { codec, codedWidth, codedHeight, ...(description && { description }) } };
    for (const format of ["mp4", "fmp4", "matroska"]) {
      const { outputs } = await replay(await write(format, chunks));
      equal(outputs.length, chunks.length, `${codec} in ${format}`);
    }
  }
});

finish();
