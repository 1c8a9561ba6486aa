// AudioEncoder: what goes in comes out of AudioDecoder, with its times; and what each registration asks for.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";

/** Tones, another one for each channel. */
function audio(start, frames, sampleRate, channels, format = "f32-planar") {
  const data = new Float32Array(frames * channels);
  for (let c = 0; c < channels; c++) {
    for (let n = 0; n < frames; n++) {
      data[c * frames + n] = 0.4 * Math.sin((2 * Math.PI * (300 + 200 * c) * (start + n)) / sampleRate);
    }
  }
  const timestamp = Math.round((start * 1e6) / sampleRate);
  return new AudioData({ format, sampleRate, numberOfChannels: channels, numberOfFrames: frames, timestamp, data });
}

/** Encodes `total` frames in runs of odd lengths; gives chunks with their metadata. */
async function encode(config, total) {
  const outputs = [];
  let failed;
  const encoder = new AudioEncoder({
    output: (chunk, metadata) => outputs.push({ chunk, metadata }),
    error: (error) => (failed = error),
  });
  encoder.configure(config);
  for (let at = 0, run = 700; at < total; run = (run * 7) % 1999) {
    const frames = Math.min(Math.max(run, 100), total - at);
    const data = audio(at, frames, config.sampleRate, config.numberOfChannels);
    encoder.encode(data);
    data.close();
    at += frames;
  }
  try {
    await encoder.flush();
  } catch (error) {
    throw failed ?? error;
  }
  encoder.close();
  return outputs;
}

/** Decodes what encode() gave; gives the planes of all frames, and the time of the first. */
async function decode(outputs) {
  const parts = [];
  let failed;
  let timestamp;
  const decoder = new AudioDecoder({
    output(data) {
      timestamp ??= data.timestamp;
      const planes = [];
      for (let c = 0; c < data.numberOfChannels; c++) {
        const plane = new Float32Array(data.numberOfFrames);
        data.copyTo(plane, { planeIndex: c, format: "f32-planar" });
        planes.push(plane);
      }
      parts.push(planes);
      data.close();
    },
    error: (error) => (failed = error),
  });
  decoder.configure(outputs[0].metadata.decoderConfig);
  for (const { chunk } of outputs) decoder.decode(chunk);
  try {
    await decoder.flush();
  } catch (error) {
    throw failed ?? error;
  }
  decoder.close();
  const channels = parts[0].length;
  const planes = Array.from({ length: channels }, (_, c) => {
    const all = new Float32Array(parts.reduce((sum, part) => sum + part[c].length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part[c], at);
      at += part[c].length;
    }
    return all;
  });
  return { planes, timestamp };
}

/** The delay in frames at which `plane` is most like the tone of channel `c`, and how like it is (dB). */
function match(plane, c, sampleRate, total, maxDelay) {
  const tone = (n) => 0.4 * Math.sin((2 * Math.PI * (300 + 200 * c) * n) / sampleRate);
  let best = { snr: -99, delay: 0 };
  for (let delay = 0; delay <= maxDelay; delay++) {
    let signal = 0;
    let noise = 0;
    // Away from the ends, where codecs ring.
    for (let n = 3000; n < Math.min(total, plane.length - delay) - 3000; n += 3) {
      const want = tone(n);
      signal += want * want;
      noise += (plane[n + delay] - want) ** 2;
    }
    const snr = 10 * Math.log10(signal / Math.max(noise, 1e-12));
    if (snr > best.snr) best = { snr, delay };
  }
  return best;
}

// MP3 is in builds with the feature `lame` alone, whose tests say so.
const always = [
  ["opus", 48000, 2, 18, {}],
  ["opus", 48000, 1, 18, { opus: { frameDuration: 10000, application: "lowdelay" } }],
  ["opus", 44100, 2, 12, {}],
  ["mp4a.40.2", 44100, 2, 20, {}],
  ["mp4a.40.2", 48000, 1, 20, { aac: { format: "adts" } }],
  ["flac", 44100, 2, 80, {}],
  ["vorbis", 48000, 2, 12, {}],
  ["pcm-s16", 44100, 2, 80, {}],
  ["pcm-f32", 8000, 3, 100, {}],
  ["ulaw", 8000, 1, 25, {}],
];
const mp3 = [
  ["mp3", 44100, 2, 20, {}],
  ["mp3", 48000, 1, 20, { bitrate: 96_000, bitrateMode: "constant" }],
  ["mp3", 22050, 2, 20, { bitrate: 64_000 }],
];
for (const [codec, sampleRate, numberOfChannels, snr, more] of Deno.args.includes("--mp3") ? mp3 : always) {
  await test(`${codec} at ${sampleRate} Hz ${JSON.stringify(more)}: the sound comes back`, async () => {
    const config = { codec, sampleRate, numberOfChannels, ...more };
    if (["opus", "mp4a.40.2"].includes(codec)) config.bitrate = 128_000;
    assert((await AudioEncoder.isConfigSupported(config)).supported, `${codec} is not supported`);
    const total = 30_000;
    const outputs = await encode(config, total);
    equal(outputs[0].chunk.timestamp, 0);
    equal(outputs.filter(({ metadata }) => metadata.decoderConfig).length, 1);
    const { decoderConfig } = outputs[0].metadata;
    equal(decoderConfig.codec, codec);
    equal(decoderConfig.numberOfChannels, numberOfChannels);
    // Each chunk begins where the one before ended, to a microsecond.
    let end = 0;
    for (const { chunk } of outputs) {
      assert(Math.abs(chunk.timestamp - end) <= 1, `${chunk.timestamp} after ${end}`);
      end = chunk.timestamp + chunk.duration;
    }
    const { planes, timestamp } = await decode(outputs);
    equal(planes.length, numberOfChannels);
    // Vorbis's first packet gives no sound.
    if (codec !== "vorbis") equal(timestamp, 0);
    const rate = codec === "opus" ? 48000 : sampleRate;
    const frames = Math.floor((total * rate) / sampleRate);
    assert(planes[0].length >= frames, `${planes[0].length} frames of ${frames}`);
    planes.forEach((plane, c) => {
      const found = match(plane, c, rate, frames, codec.startsWith("pcm") ? 0 : 2600);
      assert(found.snr > snr, `channel ${c}: ${found.snr.toFixed(1)} dB at ${found.delay}`);
    });
  });
}

await test("descriptions are those of the registrations", async () => {
  const description = async (config) => {
    const [{ metadata }] = await encode({ sampleRate: 48000, numberOfChannels: 2, ...config }, 10_000);
    return metadata.decoderConfig.description && new Uint8Array(metadata.decoderConfig.description);
  };
  const text = (bytes, length) => String.fromCharCode(...bytes.subarray(0, length));
  const opus = await description({ codec: "opus" });
  equal([text(opus, 8), opus[9]], ["OpusHead", 2]);
  equal(text(await description({ codec: "flac" }), 4), "fLaC");
  // AAC-LC, 48 kHz, 2 channels: ISO/IEC 14496-3, 1.6.2.1.
  const aac = await description({ codec: "mp4a.40.2" });
  equal([aac[0] >> 3, ((aac[0] & 7) << 1) | (aac[1] >> 7), (aac[1] >> 3) & 15], [2, 3, 2]);
  equal(await description({ codec: "mp4a.40.2", aac: { format: "adts" } }), undefined);
  equal((await description({ codec: "vorbis" }))[0], 2);
  equal(await description({ codec: "pcm-s16" }), undefined);
});

await test("another rate or number of channels than the configuration's is an EncodingError", async () => {
  for (const [sampleRate, channels] of [[44100, 2], [48000, 1]]) {
    let failed;
    const encoder = new AudioEncoder({ output() {}, error: (error) => (failed = error) });
    encoder.configure({ codec: "opus", sampleRate: 48000, numberOfChannels: 2 });
    encoder.encode(audio(0, 4800, sampleRate, channels));
    await rejects(encoder.flush(), "EncodingError");
    equal([failed.name, encoder.state], ["EncodingError", "closed"]);
  }
});

await test("samples of every format are taken", async () => {
  for (const format of ["u8", "s16", "s32", "f32", "u8-planar", "s16-planar", "s32-planar", "f32-planar"]) {
    const bytes = { u: 1, s1: 2, s3: 4, f: 4 }[format.startsWith("s") ? format.slice(0, 2) : format[0]];
    const data = new Uint8Array(960 * 2 * bytes).fill(format.startsWith("u8") ? 128 : 0);
    const init = { format, sampleRate: 48000, numberOfChannels: 2, numberOfFrames: 960, timestamp: 7, data };
    const outputs = [];
    const encoder = new AudioEncoder({ output: (chunk) => outputs.push(chunk), error() {} });
    encoder.configure({ codec: "pcm-s16", sampleRate: 48000, numberOfChannels: 2 });
    encoder.encode(new AudioData(init));
    await encoder.flush();
    encoder.close();
    equal(outputs.reduce((sum, chunk) => sum + chunk.byteLength, 0), 960 * 4);
    equal(outputs[0].timestamp, 7);
  }
});

await test("calls in the wrong state, and data that is closed", async () => {
  const encoder = new AudioEncoder({ output() {}, error() {} });
  throws(() => encoder.encode(audio(0, 10, 48000, 2)), "InvalidStateError");
  await rejects(encoder.flush(), "InvalidStateError");
  throws(() => encoder.configure({ codec: "opus", sampleRate: 0, numberOfChannels: 2 }), "TypeError");
  encoder.configure({ codec: "opus", sampleRate: 48000, numberOfChannels: 2 });
  const data = audio(0, 10, 48000, 2);
  data.close();
  throws(() => encoder.encode(data), "TypeError");
  encoder.close();
  throws(() => encoder.encode(audio(0, 10, 48000, 2)), "InvalidStateError");
});

finish();
