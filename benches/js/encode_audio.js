// Encodes raw interleaved sound and prints what it took, as JSON.
//   encode_audio.js PASSES FILE FORMAT CONFIG
// FORMAT is an AudioSampleFormat of four bytes, CONFIG an AudioEncoderConfig in JSON. The AudioData are made before the clock starts.

const [passes, file, format, text] = Deno.args;
const config = JSON.parse(text);
const { sampleRate, numberOfChannels } = config;
const bytes = await Deno.readFile(file);
const run = 1024 * numberOfChannels * 4;
const inputs = [];
let frames = 0;
for (let at = 0; at + run <= bytes.length; at += run) {
  const timestamp = Math.round((frames * 1e6) / sampleRate);
  const data = bytes.subarray(at, at + run);
  inputs.push(new AudioData({ format, sampleRate, numberOfChannels, numberOfFrames: 1024, timestamp, data }));
  frames += 1024;
}

async function pass() {
  let [packets, total, failure] = [0, 0, null];
  const encoder = new AudioEncoder({
    output(chunk) {
      packets++;
      total += chunk.byteLength;
    },
    error: (error) => (failure = error),
  });
  encoder.configure(config);
  const began = performance.now();
  for (const input of inputs) encoder.encode(input);
  await encoder.flush();
  const seconds = (performance.now() - began) / 1000;
  if (failure) throw failure;
  encoder.close();
  return { frames, packets, seconds, bytes: total };
}

const runs = [];
for (let i = 0; i < Number(passes); i++) runs.push(await pass());
console.log(JSON.stringify({ runs }));
