// AudioDecoder over real files: counts of samples, times, discarding, errors.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const clip = (name) => new URL(`../../../../fuzzing/seeds/demux/${name}`, import.meta.url);

async function load(name) {
  const demuxer = new Reelcore.Demuxer(clip(name));
  const track = (await demuxer.tracks).find((track) => track.type === "audio");
  const chunks = [];
  for await (const chunk of demuxer.chunks(track)) chunks.push(chunk);
  return { config: track.decoderConfig, chunks };
}

/** Decodes everything; gives what came out, closed. */
async function decode({ config, chunks }) {
  const out = { frames: 0, gaps: 0, first: null, end: null, formats: new Set(), peak: 0 };
  const decoder = new AudioDecoder({
    output(data) {
      out.first ??= data.timestamp;
      // Times are whole microseconds.
      if (out.end !== null && Math.abs(data.timestamp - out.end) > 2) out.gaps++;
      out.end = data.timestamp + data.numberOfFrames * 1e6 / data.sampleRate;
      out.frames += data.numberOfFrames;
      out.formats.add(data.format);
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      for (const sample of samples) out.peak = Math.max(out.peak, Math.abs(sample));
      data.close();
    },
    error(error) {
      throw error;
    },
  });
  decoder.configure(config);
  for (const chunk of chunks) decoder.decode(chunk);
  await decoder.flush();
  equal(decoder.decodeQueueSize, 0);
  decoder.close();
  return out;
}

// 0.3 s at 16 kHz (Opus decodes at 48 kHz), 0.05 s of uncompressed sound: a sine wave of an eighth of full scale.
const EXACT = {
  "avc-aac.mp4": 4800,
  "av1-opus.mp4": 14400,
  "opus.ogg": 14400,
  "vorbis.ogg": 4800,
  "flac.ogg": 4800,
  "plain.flac": 4800,
  "xing.mp3": 4800,
  "s16.wav": 800,
  "f32.wav": 800,
  "ulaw.w64": 800,
  "pcm.mov": 800,
};
for (const [name, frames] of Object.entries(EXACT)) {
  await test(`${name}: every sample, none of priming and padding, from time 0 without a gap`, async () => {
    const out = await decode(await load(name));
    equal([out.frames, out.gaps], [frames, 0], name);
    // Times are whole microseconds; that of priming may be half of one.
    assert(Math.abs(out.first) <= 1, `${name} begins at ${out.first}`);
    equal(out.formats.size, 1);
    assert(out.peak > 0.1 && out.peak < 0.2, `${name}: peak ${out.peak}`);
  });
}

await test("what a container says beside the bytes stays with the demuxer's chunks, and is no part of them", async () => {
  const { config, chunks } = await load("avc-aac.mp4");
  const copies = chunks.map((chunk) => {
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    return new EncodedAudioChunk({ type: chunk.type, timestamp: chunk.timestamp, duration: chunk.duration, data });
  });
  const out = await decode({ config, chunks: copies });
  // Priming and padding are decoded as what they are: whole packets.
  equal([out.frames, out.first], [chunks.length * 1024, chunks[0].timestamp]);
});

await test("a decoder can be reset and used again, and ends its promises", async () => {
  const { config, chunks } = await load("opus.ogg");
  let outputs = 0;
  const decoder = new AudioDecoder({ output: (data) => (outputs++, data.close()), error: (error) => { throw error; } });
  decoder.configure(config);
  for (const chunk of chunks) decoder.decode(chunk);
  const flushed = decoder.flush();
  decoder.reset();
  await rejects(flushed, "AbortError");
  const before = outputs;
  decoder.configure(config);
  for (const chunk of chunks) decoder.decode(chunk);
  await decoder.flush();
  equal(outputs - before, chunks.length);
  decoder.close();
  throws(() => decoder.decode(chunks[0]), "InvalidStateError");
  equal(Reelcore.counters().frames_alive, 0);
});

await test("bad configurations are TypeErrors, unknown codecs are not supported, bad data is an EncodingError", async () => {
  const audio = { sampleRate: 48000, numberOfChannels: 2 };
  for (const bad of [{}, { ...audio }, { ...audio, codec: " " }, { codec: "opus", sampleRate: 0, numberOfChannels: 2 }]) {
    await rejects(AudioDecoder.isConfigSupported(bad), "TypeError");
  }
  for (const codec of ["bogus", "mp4a.40.1", "vp8", "pcm-s8"]) {
    equal((await AudioDecoder.isConfigSupported({ ...audio, codec })).supported, false, codec);
  }
  for (const codec of ["mp4a.40.2", "mp4a.40.5", "mp4a.40.29", "mp4a.67", "mp3", "opus", "flac", "vorbis", "pcm-f32", "alaw", "ulaw"]) {
    equal((await AudioDecoder.isConfigSupported({ ...audio, codec })).supported, true, codec);
  }
  const { config } = await load("plain.flac");
  let failure;
  const decoder = new AudioDecoder({ output: (data) => data.close(), error: (error) => failure = error });
  decoder.configure(config);
  decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: 0, data: new Uint8Array(100) }));
  await rejects(decoder.flush(), "EncodingError");
  equal([failure.name, decoder.state], ["EncodingError", "closed"]);
});

await test("dequeue fires before what came of the chunk that left the queue", async () => {
  const data = new Uint8Array(64);
  let fired = 0;
  let early = 0;
  // By the time of a chunk that left the queue at once: how often dequeue had fired by then.
  const left = new Map();
  const decoder = new AudioDecoder({
    output(output) {
      if (left.get(output.timestamp) === fired) early++;
      output.close();
    },
    error(error) {
      throw error;
    },
  });
  decoder.ondequeue = () => fired++;
  decoder.configure({ codec: "pcm-s16", sampleRate: 8000, numberOfChannels: 1 });
  await decoder.flush();
  const spin = (ms) => {
    for (const end = performance.now() + ms; performance.now() < end;);
  };
  for (let i = 0; i < 4000; i++) {
    decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: i * 1000, data }));
    if (decoder.decodeQueueSize === 0) left.set(i * 1000, fired);
    // While news of the chunk before may be on its way.
    spin((i % 10) * 0.02);
    if (i % 6 === 1) await new Promise((done) => setTimeout(done, 0));
    if (i % 6 === 5) await decoder.flush();
  }
  await decoder.flush();
  assert(left.size > 1000, `only ${left.size} chunks left the queue at once`);
  equal(early, 0);
  decoder.close();
});

finish();
