// Analyses a video on the GPU: a histogram of luma for every frame, of which 1 KiB is read back, not the 8 MiB of a frame
// of 1080p in RGBA. Prints the mean and the spread of each second as a bar.
//
//   reelcore run examples/gpu-histogram.js [VIDEO]

const source = Deno.args[0] ?? new URL("./media/av1.mp4", import.meta.url);
const BINS = 256;
const BYTES = BINS * 4;

const adapter = await navigator.gpu?.requestAdapter();
if (!adapter) {
  console.error("no GPU adapter: install a Vulkan driver (Debian: mesa-vulkan-drivers)");
  Deno.exit(1);
}
const device = await adapter.requestDevice();

const module = device.createShaderModule({
  code: `
@group(0) @binding(0) var video: texture_external;
@group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>, ${BINS}>;
var<workgroup> local: array<atomic<u32>, ${BINS}>;

// Each workgroup counts by itself first: few threads then meet at the same word of memory.
@compute @workgroup_size(16, 16)
fn count(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) index: u32) {
  if (all(id.xy < textureDimensions(video))) {
    let luma = dot(textureLoad(video, id.xy).rgb, vec3f(0.2126, 0.7152, 0.0722));
    atomicAdd(&local[u32(clamp(luma, 0.0, 1.0) * 255.0 + 0.5)], 1u);
  }
  workgroupBarrier();
  let found = atomicLoad(&local[index]);
  if (found > 0u) { atomicAdd(&bins[index], found); }
}`,
});
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "count" } });
const bins = device.createBuffer({
  size: BYTES,
  usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
});
/** Buffers that are read while later frames are counted. */
const idle = [];

const demuxer = new Reelcore.Demuxer(source);
const track = (await demuxer.tracks).find((track) => track.type === "video");
if (!track?.decoderConfig) {
  console.error(`${source}: no video track that can be decoded`);
  Deno.exit(1);
}
const results = [];
const before = Reelcore.counters();
const decoder = new VideoDecoder({
  output: (frame) => results.push(histogram(frame)),
  error(error) {
    console.error(`${source}: ${error.message}`);
    Deno.exit(1);
  },
});
decoder.configure(track.decoderConfig);
const began = performance.now();
for await (const chunk of demuxer.chunks(track)) {
  decoder.decode(chunk);
  if (decoder.decodeQueueSize > 8) {
    await new Promise((resolve) => decoder.addEventListener("dequeue", resolve, { once: true }));
  }
}
await decoder.flush();
const histograms = await Promise.all(results);
const seconds = (performance.now() - began) / 1000;

const bySecond = Map.groupBy(histograms, ({ timestamp }) => Math.floor(timestamp / 1e6));
for (const [second, list] of bySecond) {
  const sum = new Float64Array(BINS);
  for (const { counts } of list) counts.forEach((count, bin) => sum[bin] += count);
  const total = sum.reduce((a, b) => a + b, 0);
  const mean = sum.reduce((a, count, bin) => a + count * bin, 0) / total;
  const spread = Math.sqrt(sum.reduce((a, count, bin) => a + count * (bin - mean) ** 2, 0) / total);
  console.log(`${String(second).padStart(4)} s  ${shape(sum)}  mean ${mean.toFixed(0)}  spread ${spread.toFixed(0)}`);
}
const downloads = Reelcore.counters().downloads - before.downloads;
console.log(
  `${histograms.length} frames in ${seconds.toFixed(1)} s (${Math.round(histograms.length / seconds)} a second), ` +
    `${BYTES} bytes read for each, ${downloads} frames downloaded`,
);

/** The luma of `frame`: how many pixels each value has. Closes the frame. */
async function histogram(frame) {
  const { timestamp, displayWidth, displayHeight } = frame;
  const read = idle.pop() ??
    device.createBuffer({ size: BYTES, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [
      { binding: 0, resource: device.importExternalTexture({ source: frame }) },
      { binding: 1, resource: { buffer: bins } },
    ],
  });
  const commands = device.createCommandEncoder();
  commands.clearBuffer(bins);
  const pass = commands.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.ceil(displayWidth / 16), Math.ceil(displayHeight / 16));
  pass.end();
  commands.copyBufferToBuffer(bins, 0, read, 0, BYTES);
  device.queue.submit([commands.finish()]);
  frame.close();
  await read.mapAsync(GPUMapMode.READ);
  const counts = new Uint32Array(read.getMappedRange().slice(0));
  read.unmap();
  idle.push(read);
  return { timestamp, counts };
}

/** A histogram in 32 characters. */
function shape(sum) {
  const columns = Array.from({ length: 32 }, (_, n) => sum.slice(n * 8, n * 8 + 8).reduce((a, b) => a + b, 0));
  const most = Math.max(...columns);
  return columns.map((value) => " ▁▂▃▄▅▆▇█"[Math.ceil((value / most) * 8)]).join("");
}
