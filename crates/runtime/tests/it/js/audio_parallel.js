// Sound that two workers decode at the same time is the sound that one decodes.
import { assert, equal, finish, test } from "./harness.js";

const clip = (name) => new URL(`../../../../fuzzing/seeds/demux/${name}`, import.meta.url);

/** A short clip's sound. */
async function read(name) {
  const demuxer = new Reelcore.Demuxer(clip(name));
  const track = (await demuxer.tracks).find((track) => track.type === "audio");
  const chunks = [];
  for await (const chunk of demuxer.chunks(track)) chunks.push(chunk);
  return { config: track.decoderConfig, chunks };
}

/** AAC of an encoder without noise substitution, whose random numbers are one decoder's. */
async function encode() {
  const chunks = [];
  let config;
  const encoder = new AudioEncoder({
    output(chunk, metadata) {
      config ??= metadata.decoderConfig;
      chunks.push(chunk);
    },
    error(error) {
      throw error;
    },
  });
  const [sampleRate, numberOfChannels, numberOfFrames] = [44_100, 2, 44_100];
  encoder.configure({ codec: "mp4a.40.2", sampleRate, numberOfChannels, bitrate: 128_000 });
  // Tones that begin again and again, for short blocks, too.
  const data = Float32Array.from({ length: 2 * numberOfFrames }, (_, at) => Math.sin(at * at / 9e5) * (at % 7000) / 9000);
  encoder.encode(new AudioData({ format: "f32", sampleRate, numberOfChannels, numberOfFrames, timestamp: 0, data }));
  await encoder.flush();
  encoder.close();
  return { config, chunks };
}

/** The same chunks again and again, as a script would make them: so many that a queue of them is long. */
function repeat({ config, chunks }, count) {
  const copies = Array.from({ length: count }, (_, index) => {
    const chunk = chunks[index % chunks.length];
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    return new EncodedAudioChunk({ type: "key", timestamp: index * 30_000, data });
  });
  return { config, chunks: copies };
}

/** What comes out: for each output its time, then all samples of all channels. */
async function decode({ config, chunks }, oneByOne) {
  const outputs = [];
  const decoder = new AudioDecoder({
    output(data) {
      const planes = [data.timestamp, data.sampleRate, data.numberOfChannels];
      for (let planeIndex = 0; planeIndex < data.numberOfChannels; planeIndex++) {
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex, format: "f32-planar" });
        planes.push(samples);
      }
      outputs.push(planes);
      data.close();
    },
    error(error) {
      throw error;
    },
  });
  decoder.configure(config);
  for (const chunk of chunks) {
    decoder.decode(chunk);
    // Then there is never more than one in the queue.
    if (oneByOne) await decoder.flush();
  }
  await decoder.flush();
  decoder.close();
  return outputs;
}

const same = (a, b) =>
  a.length === b.length &&
  a.every((value, index) =>
    value instanceof Float32Array
      ? value.length === b[index].length && value.every((sample, at) => sample === b[index][at])
      : value === b[index]
  );

for (const name of ["AAC", "xing.mp3", "vorbis.ogg", "plain.flac"]) {
  await test(`${name}: what a long queue gives is what one chunk after the other gives, to the bit`, async () => {
    const sound = repeat(name === "AAC" ? await encode() : await read(name), 600);
    const before = Reelcore.counters().parallel_inputs;
    const want = await decode(sound, true);
    equal(Reelcore.counters().parallel_inputs, before, "one chunk at a time leaves nothing to a second worker");
    // On a busy machine a second worker may come too late each time.
    for (let round = 0; round < 20; round++) {
      const got = await decode(sound, false);
      equal(got.length, want.length);
      const different = got.findIndex((output, index) => !same(output, want[index]));
      equal(different, -1, `round ${round}`);
      if (Reelcore.counters().parallel_inputs > before) return;
    }
    assert(false, "no second worker ever decoded a chunk");
  });
}

finish();
