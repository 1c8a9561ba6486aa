// 300 decoded frames of 1080p, and drawing with them: what the tests of frames on the GPU share.
import { assert, equal } from "./harness.js";

const adapter = await navigator.gpu.requestAdapter();
assert(adapter !== null, "there is no GPU adapter: install mesa-vulkan-drivers (./x setup)");
export const device = await adapter.requestDevice();

export const [WIDTH, HEIGHT, FRAMES] = [1920, 1080, 300];
export const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT |
  GPUTextureUsage.TEXTURE_BINDING;
export const fail = (error) => {
  throw error;
};

/** Ten pictures of 1080p with a bar that moves, as VP8: encoded here, as no clip of that size is in the repository. */
async function clip() {
  const chunks = [];
  let decoderConfig;
  const encoder = new VideoEncoder({
    output(chunk, metadata) {
      decoderConfig ??= metadata.decoderConfig;
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      chunks.push({ type: chunk.type, data });
    },
    error: fail,
  });
  encoder.configure({ codec: "vp8", width: WIDTH, height: HEIGHT, bitrate: 4_000_000, latencyMode: "realtime" });
  const pixels = new Uint8Array(WIDTH * HEIGHT * 1.5).fill(128);
  for (let i = 0; i < 10; i++) {
    pixels.fill(60 + 10 * i, WIDTH * 100 * i, WIDTH * 100 * (i + 1));
    const frame = new VideoFrame(pixels, { format: "I420", codedWidth: WIDTH, codedHeight: HEIGHT, timestamp: i * 33333 });
    encoder.encode(frame, { keyFrame: i === 0 });
    frame.close();
  }
  await encoder.flush();
  encoder.close();
  equal(chunks.length, 10);
  return { chunks, decoderConfig };
}

/** Decodes the clip over and over until FRAMES frames have come; `use` gets each and closes it, and says when it has room for more. */
export async function decoded(use) {
  const { chunks, decoderConfig } = await clip();
  let count = 0;
  let room;
  const decoder = new VideoDecoder({
    output(frame) {
      room = use(frame);
      count++;
    },
    error: fail,
  });
  decoder.configure(decoderConfig);
  for (let i = 0; i < FRAMES; i++) {
    const { type, data } = chunks[i % chunks.length];
    decoder.decode(new EncodedVideoChunk({ type, data, timestamp: i * 33333 }));
    while (decoder.decodeQueueSize > 2) {
      await new Promise((resolve) => decoder.addEventListener("dequeue", resolve, { once: true }));
    }
    await room;
  }
  await decoder.flush();
  decoder.close();
  equal(count, FRAMES);
}

const module = device.createShaderModule({
  code: `
@group(0) @binding(0) var video: texture_external;
@group(0) @binding(1) var smooth_: sampler;
@vertex fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
  return vec4f(f32(i & 1) * 4 - 1, f32(i >> 1) * 4 - 1, 0, 1);
}
@fragment fn paint(@builtin(position) at: vec4f) -> @location(0) vec4f {
  return textureSampleBaseClampToEdge(video, smooth_, at.xy / vec2f(64, 36));
}`,
});
const pipeline = device.createRenderPipeline({
  layout: "auto",
  vertex: { module, entryPoint: "corner" },
  fragment: { module, entryPoint: "paint", targets: [{ format: "rgba8unorm" }] },
});
const sampler = device.createSampler({ magFilter: "linear", minFilter: "linear" });

/** Draws the whole frame into the upper left 64x36 texels: in software, more would take minutes. */
export function render(frame, texture) {
  const commands = device.createCommandEncoder();
  const pass = commands.beginRenderPass({
    colorAttachments: [{ view: texture.createView(), loadOp: "load", storeOp: "store" }],
  });
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: device.importExternalTexture({ source: frame }) },
        { binding: 1, resource: sampler },
      ],
    }),
  );
  pass.setViewport(0, 0, 64, 36, 0, 1);
  pass.setScissorRect(0, 0, 64, 36);
  pass.draw(3);
  pass.end();
  device.queue.submit([commands.finish()]);
}

/** What the counters have counted while `run` ran. */
export async function counted(run) {
  const before = Reelcore.counters();
  await run();
  const after = Reelcore.counters();
  return Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - before[name]]));
}
