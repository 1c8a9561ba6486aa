// Ten thousand frames on the GPU: nothing piles up.
import { assert, finish, test } from "./harness.js";

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

finish();
