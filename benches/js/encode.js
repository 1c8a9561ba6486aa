// Encodes raw I420 pictures and prints what it took, as JSON.
//   encode.js PASSES TIMES FILE CONFIG [QUANTIZER [STREAM]]
// CONFIG is a VideoEncoderConfig in JSON. Each pass encodes the file's pictures TIMES times in a row,
// with one encoder. The frames are made before the clock starts: this measures the encoder, and its callbacks.
// STREAM gets the chunks of the last pass, each behind its length in four bytes.

const [passes, times, file, text, quantizer, stream] = Deno.args;
const config = JSON.parse(text);
const { width, height, framerate } = config;
const bytes = await Deno.readFile(file);
const size = (width * height * 3) / 2;
const step = Math.floor(1e6 / framerate);
const frames = [];
for (let at = 0; at + size <= bytes.length; at += size) {
  frames.push(
    new VideoFrame(bytes.subarray(at, at + size), {
      format: "I420",
      codedWidth: width,
      codedHeight: height,
      timestamp: frames.length * step,
      duration: step,
      colorSpace: { primaries: "bt709", transfer: "bt709", matrix: "bt709", fullRange: false },
    }),
  );
}

// The same pictures again, later: they share their memory.
const pictures = frames.length;
for (let i = pictures; i < pictures * Number(times); i++) {
  frames.push(new VideoFrame(frames[i % pictures], { timestamp: i * step }));
}

const member = { avc1: "avc", hvc1: "hevc", vp09: "vp9", av01: "av1" }[config.codec.slice(0, 4)];
const options = quantizer ? { [member]: { quantizer: Number(quantizer) } } : {};
let chunks;

async function pass() {
  let failure = null;
  chunks = [];
  const encoder = new VideoEncoder({
    output: (chunk) => chunks.push(chunk),
    error: (error) => (failure = error),
  });
  encoder.configure(config);
  const began = performance.now();
  for (const frame of frames) encoder.encode(frame, options);
  await encoder.flush();
  const seconds = (performance.now() - began) / 1000;
  if (failure) throw failure;
  encoder.close();
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  return { frames: chunks.length, seconds, bytes };
}

const runs = [];
for (let i = 0; i < Number(passes); i++) runs.push(await pass());

if (stream) {
  const out = new Uint8Array(chunks.reduce((sum, chunk) => sum + 4 + chunk.byteLength, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const chunk of chunks) {
    view.setUint32(at, chunk.byteLength);
    chunk.copyTo(out.subarray(at + 4, at + 4 + chunk.byteLength));
    at += 4 + chunk.byteLength;
  }
  await Deno.writeFile(stream, out);
}
console.log(JSON.stringify({ runs, counters: Reelcore.counters() }));
