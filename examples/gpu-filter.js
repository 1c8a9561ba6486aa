// Decodes a video, runs a compute shader over every frame on the GPU, encodes what comes out and writes a WebM file.
// No decoded frame comes back to the CPU: the encoder's 1.5 bytes a pixel are the only download.
//
//   reelcore run examples/gpu-filter.js [VIDEO [OUT.webm]]

import { ProgressBar } from "./lib/progress.js";

const source = Deno.args[0] ?? new URL("./media/av1.mp4", import.meta.url);
const target = Deno.args[1] ?? "gpu-filter.webm";

const adapter = await navigator.gpu?.requestAdapter();
if (!adapter) {
  console.error("no GPU adapter: install a Vulkan driver (Debian: mesa-vulkan-drivers)");
  Deno.exit(1);
}
const device = await adapter.requestDevice();
device.addEventListener("uncapturederror", ({ error }) => {
  console.error(error.message);
  Deno.exit(1);
});

// Outlines on a dark blue ground: the Sobel operator over the luma of texture_external.
const module = device.createShaderModule({
  code: `
@group(0) @binding(0) var video: texture_external;
@group(0) @binding(1) var result: texture_storage_2d<rgba8unorm, write>;

fn luma(at: vec2i) -> f32 {
  let last = vec2i(textureDimensions(video)) - 1;
  return dot(textureLoad(video, clamp(at, vec2i(0), last)).rgb, vec3f(0.2126, 0.7152, 0.0722));
}

@compute @workgroup_size(8, 8)
fn outline(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= textureDimensions(video))) { return; }
  let at = vec2i(id.xy);
  var x = 0.0;
  var y = 0.0;
  for (var i = -1; i <= 1; i++) {
    let weight = f32(2 - abs(i));
    x += weight * (luma(at + vec2i(1, i)) - luma(at + vec2i(-1, i)));
    y += weight * (luma(at + vec2i(i, 1)) - luma(at + vec2i(i, -1)));
  }
  let edge = clamp(length(vec2f(x, y)) * 1.5, 0.0, 1.0);
  let colour = textureLoad(video, id.xy).rgb;
  textureStore(result, id.xy, vec4f(mix(vec3f(0.02, 0.03, 0.10), colour * 1.6 + 0.2, edge), 1.0));
}`,
});
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "outline" } });

const demuxer = new Reelcore.Demuxer(source);
const track = (await demuxer.tracks).find((track) => track.type === "video");
if (!track?.decoderConfig) {
  console.error(`${source}: no video track that can be decoded`);
  Deno.exit(1);
}
const { displayWidth: width, displayHeight: height } = await firstFrame();
const result = device.createTexture({
  size: [width, height],
  format: "rgba8unorm",
  usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_SRC,
});

const muxer = new Reelcore.Muxer("webm", target);
const out = muxer.addVideoTrack();
let written = Promise.resolve();
const encoder = new VideoEncoder({
  output(chunk, metadata) {
    written = out.write(chunk, metadata);
  },
  error: fail,
});
encoder.configure({ codec: "vp09.00.40.08", width, height, bitrate: 3_000_000, latencyMode: "realtime" });

const progress = new ProgressBar("Filtering", track.duration / 1e6);
const before = Reelcore.counters();
const began = performance.now();
let frames = 0;
const decoder = new VideoDecoder({ output: filter, error: fail });
decoder.configure(track.decoderConfig);
for await (const chunk of demuxer.chunks(track)) {
  decoder.decode(chunk);
  // Neither queue grows without bound.
  while (decoder.decodeQueueSize > 8 || encoder.encodeQueueSize > 8) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await written;
}
await decoder.flush();
await encoder.flush();
await muxer.finish();
const seconds = (performance.now() - began) / 1000;
progress.done();

const after = Reelcore.counters();
const perFrame = (name) => ((after[name] - before[name]) / frames / (width * height)).toFixed(2);
console.log(
  `${frames} frames of ${width}x${height} in ${seconds.toFixed(1)} s (${Math.round(frames / seconds)} a second) -> ${target}\n` +
    `uploads: ${perFrame("upload_bytes")} bytes a pixel, downloads: ${perFrame("download_bytes")}`,
);

/** Draws one frame into `result` and gives it to the encoder. */
function filter(frame) {
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [
      { binding: 0, resource: device.importExternalTexture({ source: frame }) },
      { binding: 1, resource: result.createView() },
    ],
  });
  const commands = device.createCommandEncoder();
  const pass = commands.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.ceil(width / 8), Math.ceil(height / 8));
  pass.end();
  device.queue.submit([commands.finish()]);
  const filtered = new VideoFrame(result, {
    timestamp: frame.timestamp,
    duration: frame.duration ?? undefined,
    alpha: "discard",
  });
  encoder.encode(filtered, { keyFrame: frames % 120 === 0 });
  filtered.close();
  frame.close();
  frames++;
  progress.update(Number((frame.timestamp / 1e6).toFixed(1)));
}

/** The size of the first frame, as it is shown. */
async function firstFrame() {
  const { promise, resolve, reject } = Promise.withResolvers();
  const decoder = new VideoDecoder({
    output(frame) {
      resolve({ displayWidth: frame.displayWidth, displayHeight: frame.displayHeight });
      frame.close();
    },
    error: reject,
  });
  decoder.configure(track.decoderConfig);
  for await (const chunk of demuxer.chunks(track)) {
    decoder.decode(chunk);
    break;
  }
  await decoder.flush();
  decoder.close();
  return await promise;
}

function fail(error) {
  console.error(`${source}: ${error.message}`);
  Deno.exit(1);
}
