// Ten thousand frames on the GPU: nothing piles up. And nothing is made of decoded frames that nobody takes.
import { assert, equal, finish, test } from "./harness.js";

const adapter = await navigator.gpu.requestAdapter();
assert(adapter !== null, "there is no GPU adapter: install mesa-vulkan-drivers (./x setup)");
const device = await adapter.requestDevice();
const layout = device.createBindGroupLayout({ entries: [{ binding: 0, visibility: GPUShaderStage.FRAGMENT, externalTexture: {} }] });
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

const SIDE = 128;
const RGBA = SIDE * SIDE * 4;
const small = device.createTexture({
  size: [SIDE, SIDE],
  format: "rgba8unorm",
  usage: GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.TEXTURE_BINDING,
});

/** One frame through the pool: made of a texture, imported, now and then bound. */
function through(timestamp) {
  const frame = new VideoFrame(small, { timestamp });
  const external = device.importExternalTexture({ source: frame });
  if (timestamp % 100 === 0) {
    device.createBindGroup({
      layout,
      entries: [{ binding: 0, resource: external }],
    });
  }
  return frame;
}

await test("10,000 frames leave memory as the first hundred did", async () => {
  let early;
  for (let i = 1; i <= 10_000; i++) {
    const frame = through(i);
    if (i % 1000 === 0) await frame.copyTo(new Uint8Array(RGBA));
    frame.close();
    if (i % 20 === 0) await turn();
    if (i === 100) early = { ...Reelcore.gpuMemory(device), rss: Deno.memoryUsage().rss };
  }
  await turn();
  const late = { ...Reelcore.gpuMemory(device), rss: Deno.memoryUsage().rss };
  // What bind groups hold goes with the garbage; the pool has one buffer for read-back.
  assert(late.wgpu_textures <= early.wgpu_textures + 4, `${early.wgpu_textures}, ${late.wgpu_textures} textures`);
  assert(late.textures <= early.textures + 4, `${early.textures}, ${late.textures} textures of frames`);
  assert(late.wgpu_buffers <= early.wgpu_buffers + 4, `${early.wgpu_buffers}, ${late.wgpu_buffers} buffers`);
  assert(late.reused >= early.reused + 9_000, `${late.reused} textures were reused`);
  // All of them would be 1.3 GB.
  assert(late.rss < early.rss + 100e6, `${early.rss}, then ${late.rss} bytes of memory`);
});

await test("10,000 frames that a script never closes are garbage, with their textures and memory", async () => {
  const alive = () => Reelcore.counters().frames_alive;
  const before = { alive: alive(), ...Reelcore.gpuMemory(device) };
  const most = { early: 0, late: 0, textures: 0, rss: 0 };
  for (let i = 1; i <= 10_000; i++) {
    through(i);
    if (i % 20 !== 0) continue;
    await turn();
    const half = i <= 5000 ? "early" : "late";
    most[half] = Math.max(most[half], alive() - before.alive);
    most.textures = Math.max(most.textures, Reelcore.gpuMemory(device).wgpu_textures - before.wgpu_textures);
    most.rss = Math.max(most.rss, Deno.memoryUsage().rss);
  }
  const text = JSON.stringify(most);
  assert(most.early < 3000 && most.late < 3000, text);
  // Two textures a frame: its own, and the external one.
  assert(most.textures < 6000, text);
  assert(most.rss < 1.2e9, text);
});

/** Ten small pictures as VP8, and the decoder's configuration. */
async function clip() {
  const chunks = [];
  let config;
  const encoder = new VideoEncoder({
    output(chunk, metadata) {
      config ??= metadata.decoderConfig;
      chunks.push(chunk);
    },
    error: fail,
  });
  encoder.configure({ codec: "vp8", width: SIDE, height: SIDE });
  for (let i = 0; i < 10; i++) {
    const frame = new VideoFrame(small, { timestamp: i, alpha: "discard" });
    encoder.encode(frame, { keyFrame: i === 0 });
    frame.close();
  }
  await encoder.flush();
  encoder.close();
  return { chunks, config };
}

function fail(error) {
  throw error;
}

/** How many textures are taken for `count` decoded frames, of which `use` gets each and its number. */
async function textures({ chunks, config }, count, use) {
  const taken = () => {
    const { created, reused } = Reelcore.gpuMemory(device);
    return created + reused;
  };
  const before = taken();
  let frames = 0;
  let wake;
  const decoder = new VideoDecoder({
    output(frame) {
      use(frame, frames++);
      frame.close();
      wake?.();
    },
    error: fail,
  });
  decoder.configure(config);
  for (let i = 0; i < count; i++) {
    decoder.decode(chunks[i % chunks.length]);
    // However busy the machine is, the decoder is no more than 8 frames ahead of the script.
    while (i - frames >= 8) {
      await new Promise((resolve) => wake = resolve);
    }
  }
  await decoder.flush();
  decoder.close();
  equal(frames, count);
  return taken() - before;
}

await test("decoded frames are converted once also where a script imports parts of them, or turns them", async () => {
  const pictures = await clip();
  const part = { x: 16, y: 16, width: 64, height: 64 };
  const ways = {
    whole: () => ({}),
    cropped: () => ({ visibleRect: part, displayWidth: 64, displayHeight: 64 }),
    turned: () => ({ rotation: 90 }),
    "at last cropped": (n) => n < 20 ? {} : { visibleRect: part },
    "another part each time": (n) => ({ visibleRect: { ...part, x: n % 32 * 2 } }),
  };
  for (const [name, way] of Object.entries(ways)) {
    const made = await textures(pictures, 300, (frame, n) => {
      const shown = new VideoFrame(frame, way(n));
      device.importExternalTexture({ source: shown });
      shown.close();
    });
    // Three planes and the conversion. 32 of those that nobody takes are made, until it is known.
    equal(made, 4 * 300 + (name === "at last cropped" ? 32 : 0), `textures of ${name}`);
  }
});

await test("decoded frames are converted ahead for a script that imports them as they come, until it does not", async () => {
  const made = await textures(await clip(), 300, (frame, n) => n < 100 && device.importExternalTexture({ source: frame }));
  // Those of the next 32 are made in vain, and no more.
  equal(made, 4 * (100 + 32));
});

finish();
