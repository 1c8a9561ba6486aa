// A host with deno_webgpu and deno_image, and without deno_canvas: frames move to its devices and back.
assertEquals(typeof OffscreenCanvas, "undefined");
const webgpu = Deno.core.createLazyLoader("ext:deno_webgpu/01_webgpu.js")();
webgpu.initGPU();
const adapter = await webgpu.gpu.requestAdapter();
if (!adapter) throw new Error("no adapter: ./x setup installs a software one");
const device = await adapter.requestDevice();
const { GPUTextureUsage, GPUBufferUsage, GPUMapMode } = webgpu;

const pixels = new Uint8Array(8 * 8 * 4).map((_, at) => at % 4 === 3 ? 255 : at * 7);
const frame = new VideoFrame(pixels, { format: "RGBA", codedWidth: 8, codedHeight: 8, timestamp: 5 });

// What a texture holds, through a buffer. Rows are 256 bytes apart.
async function read(texture) {
  const buffer = device.createBuffer({ size: 8 * 256, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow: 256 }, [8, 8]);
  device.queue.submit([encoder.finish()]);
  await buffer.mapAsync(GPUMapMode.READ);
  const mapped = new Uint8Array(buffer.getMappedRange());
  const rows = [];
  for (let row = 0; row < 8; row++) rows.push(...mapped.subarray(row * 256, row * 256 + 32));
  return rows;
}

const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT |
  GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.TEXTURE_BINDING;
const copied = device.createTexture({ size: [8, 8], format: "rgba8unorm", usage });
device.queue.copyExternalImageToTexture({ source: frame }, { texture: copied }, [8, 8]);
assertEquals(await read(copied), [...pixels], "copyExternalImageToTexture()");

const module = device.createShaderModule({
  code: `
@group(0) @binding(0) var video: texture_external;
@group(0) @binding(1) var result: texture_storage_2d<rgba8unorm, write>;
@compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3u) {
  textureStore(result, id.xy, vec4f(1 - textureLoad(video, id.xy).rgb, 1));
}`,
});
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
const drawn = device.createTexture({ size: [8, 8], format: "rgba8unorm", usage });
const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
pass.setBindGroup(0, device.createBindGroup({
  layout: pipeline.getBindGroupLayout(0),
  entries: [
    { binding: 0, resource: device.importExternalTexture({ source: frame }) },
    { binding: 1, resource: drawn.createView() },
  ],
}));
pass.dispatchWorkgroups(1);
pass.end();
device.queue.submit([encoder.finish()]);
const inverted = [...pixels].map((value, at) => at % 4 === 3 ? 255 : 255 - value);
assertEquals(await read(drawn), inverted, "texture_external");

const result = new VideoFrame(drawn, { timestamp: 6 });
const data = new Uint8Array(result.allocationSize({ format: "RGBA" }));
await result.copyTo(data, { format: "RGBA" });
assertEquals([...data], inverted, "copyTo() of a frame in a texture");
result.close();
frame.close();
device.destroy();
