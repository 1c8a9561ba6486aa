// Converts a file with mediabunny (https://mediabunny.dev): the published package, unchanged. It finds VideoDecoder,
// VideoEncoder, AudioDecoder and AudioEncoder on the global object, as in a browser.
//
//   reelcore run examples/mediabunny.js IN OUT [WIDTH]
//
// OUT ends in .mp4, .webm or .mkv; with WIDTH (pixels) the picture is resized. The package is not part of this project:
// `./x setup` fetches it into examples/vendor/.
import {
  ALL_FORMATS,
  BlobSource,
  BufferTarget,
  Conversion,
  Input,
  MkvOutputFormat,
  Mp4OutputFormat,
  Output,
  VideoSample,
  WebMOutputFormat,
  registerVideoSampleTransformer,
} from "./vendor/mediabunny/dist/bundles/mediabunny.mjs";

const [source, target, width] = Deno.args;
const formats = { mp4: Mp4OutputFormat, webm: WebMOutputFormat, mkv: MkvOutputFormat };
const Format = formats[target?.split(".").at(-1)];
if (!source || !Format) {
  console.error("usage: reelcore run examples/mediabunny.js IN OUT.mp4|OUT.webm|OUT.mkv [WIDTH]");
  Deno.exit(2);
}

// mediabunny resizes with a canvas in browsers, and elsewhere with what it is given here.
registerVideoSampleTransformer(async (sample, { width, height, rotation, flip, crop }) => {
  const whole = crop.left === 0 && crop.top === 0 && crop.width === sample.displayWidth && crop.height === sample.displayHeight;
  if (rotation !== 0 || flip || !whole) return null;
  const frame = sample.toVideoFrame();
  const scaled = await Reelcore.scale(frame, { width, height });
  frame.close();
  // The sample's own times: a VideoFrame's are whole microseconds, which may fall before the frame's place in the frame rate.
  const { timestamp, duration } = sample;
  return new VideoSample(scaled, { timestamp, duration });
});

const input = new Input({ source: new BlobSource(new Blob([await Deno.readFile(source)])), formats: ALL_FORMATS });

// mediabunny writes how long a frame lasts into WebM and Matroska only where it is told the frame rate. Without, it reads the
// last frame of each Cluster (of each 2 s) as one of no length, and a Conversion leaves frames of no length out.
let frameRate;
if (Format !== Mp4OutputFormat) {
  const stats = await (await input.getPrimaryVideoTrack())?.computePacketStats();
  // A hair more, because it rounds down to whole frames.
  frameRate = stats && stats.averagePacketRate * (1 + 1e-9);
}
const output = new Output({ format: new Format(), target: new BufferTarget() });
const conversion = await Conversion.init({
  input,
  output,
  video: {
    codec: Format === Mp4OutputFormat ? "avc" : "vp9",
    ...(width && { width: Number(width) }),
    ...(frameRate && { frameRate }),
  },
  audio: { codec: Format === Mp4OutputFormat ? "aac" : "opus" },
});
for (const { track, reason } of conversion.discardedTracks) {
  console.error(`${source}: the ${track.type} track is left out: ${reason}`);
}
await conversion.execute();
await Deno.writeFile(target, new Uint8Array(output.target.buffer));
console.log(`${target}: ${output.target.buffer.byteLength} bytes`);
