// Frames on the GPU: imported, copied into textures, made from textures; never downloaded unless somebody asks.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";
import { texels as read } from "./texels.js";

const adapter = await navigator.gpu.requestAdapter();
assert(adapter !== null, "there is no GPU adapter: install mesa-vulkan-drivers (./x setup)");
const device = await adapter.requestDevice();

/** An I420 frame of one colour in limited BT.709. */
function plain(y, u, v, { width = 64, height = 32, ...init } = {}) {
  const chroma = Math.ceil(width / 2) * Math.ceil(height / 2);
  const data = new Uint8Array(width * height + 2 * chroma);
  data.fill(y, 0, width * height);
  data.fill(u, width * height, width * height + chroma);
  data.fill(v, width * height + chroma);
  return new VideoFrame(data, { format: "I420", codedWidth: width, codedHeight: height, timestamp: 0, ...init });
}

/** An RGBA frame whose pixels say where they are. */
function chart(width, height, init = {}) {
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set([x * 8, y * 8, 100, 255], (y * width + x) * 4);
  }
  return new VideoFrame(data, { format: "RGBA", codedWidth: width, codedHeight: height, timestamp: 0, ...init });
}

const texels = (texture) => read(device, texture);
const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT |
  GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.STORAGE_BINDING;
const target = (width, height, format = "rgba8unorm") => device.createTexture({ size: [width, height], format, usage });

const COMPUTE = `
@group(0) @binding(0) var source: texture_external;
@group(0) @binding(1) var target_: texture_storage_2d<rgba8unorm, write>;
@compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id: vec3u) {
  let size = textureDimensions(source);
  if (any(id.xy >= size)) { return; }
  textureStore(target_, id.xy, textureLoad(source, id.xy));
}`;

let pipeline;
function computePipeline() {
  pipeline ??= device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: COMPUTE }), entryPoint: "main" },
  });
  return pipeline;
}

/** Runs COMPUTE over an external texture. */
function draw(external, texture) {
  const pipeline = computePipeline();
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: external }, { binding: 1, resource: texture.createView() }],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.ceil(texture.width / 8), Math.ceil(texture.height / 8));
  pass.end();
  return encoder.finish();
}

const near = (found, wanted, most = 1) =>
  assert(found.length >= wanted.length && wanted.every((value, i) => Math.abs(value - found[i]) <= most), `${found} is not ${wanted}`);

/** The error that `run` leaves in a scope of `filter`, or null. */
async function scoped(run, filter = "validation") {
  device.pushErrorScope(filter);
  run();
  return await device.popErrorScope();
}

await test("an imported frame is seen by texture_external in its RGB colours", async () => {
  // Limited BT.709 of (255, 0, 0), as ITU-R BT.709-6 item 3 has it.
  const frame = plain(63, 102, 240);
  const external = device.importExternalTexture({ source: frame, label: "red" });
  assert(external instanceof GPUExternalTexture);
  equal(external.label, "red");
  const texture = target(64, 32);
  device.queue.submit([draw(external, texture)]);
  frame.close();
  near(await texels(texture), [255, 0, 0, 255], 2);
});

await test("a frame is uploaded once however often it is imported", async () => {
  const frame = plain(100, 128, 128);
  const before = Reelcore.counters();
  const first = device.importExternalTexture({ source: frame });
  equal(device.importExternalTexture({ source: frame }), first);
  const clone = frame.clone();
  assert(device.importExternalTexture({ source: clone }) !== first, "a clone expires by itself");
  const after = Reelcore.counters();
  equal(after.uploads - before.uploads, 1);
  equal(after.downloads - before.downloads, 0);
  frame.close();
  clone.close();
});

await test("a frame that is imported again gives the same external texture, with the label of the last time", () => {
  const frame = plain(100, 128, 128);
  const first = device.importExternalTexture({ source: frame, label: "first" });
  equal(first.label, "first");
  const second = device.importExternalTexture({ source: frame, label: "second" });
  equal(second === first, true);
  equal(first.label, "second");
  equal(device.importExternalTexture({ source: frame }).label, "");
  const other = device.importExternalTexture({ source: frame, colorSpace: "display-p3", label: "wide" });
  equal([other === first, other.label, first.label].join(), "false,wide,");
  frame.close();
});

await test("an external texture expires with its frame, and not with a clone of it", async () => {
  const frame = plain(100, 128, 128);
  const clone = frame.clone();
  const texture = target(64, 32);
  const [mine, other] = [frame, clone].map((source) => draw(device.importExternalTexture({ source }), texture));
  frame.close();
  const error = await scoped(() => device.queue.submit([mine]));
  assert(error instanceof GPUValidationError, `${error}`);
  equal(await scoped(() => device.queue.submit([other])), null);
  clone.close();
});

await test("a transferred frame's external texture expires, as the frame is closed", async () => {
  const frame = plain(100, 128, 128);
  const commands = draw(device.importExternalTexture({ source: frame }), target(64, 32));
  const moved = structuredClone(frame, { transfer: [frame] });
  const error = await scoped(() => device.queue.submit([commands]));
  assert(error instanceof GPUValidationError, `${error}`);
  equal(await scoped(() => device.queue.submit([draw(device.importExternalTexture({ source: moved }), target(64, 32))])), null);
  moved.close();
});

await test("what cannot be imported is refused as the specification says", async () => {
  const frame = plain(100, 128, 128);
  throws(() => device.importExternalTexture(), "TypeError");
  throws(() => device.importExternalTexture({}), "TypeError");
  throws(() => device.importExternalTexture({ source: {} }), "TypeError");
  throws(() => device.importExternalTexture({ source: frame, colorSpace: "rec2020" }), "TypeError");
  throws(() => GPUDevice.prototype.importExternalTexture.call({}, { source: frame }), "TypeError");
  frame.close();
  throws(() => device.importExternalTexture({ source: frame }), "InvalidStateError");
});

await test("explicit layouts, render pipelines and sampling take external textures", async () => {
  const layout = device.createBindGroupLayout({
    entries: [
      { binding: 0, visibility: GPUShaderStage.FRAGMENT, externalTexture: {} },
      { binding: 1, visibility: GPUShaderStage.FRAGMENT, sampler: {} },
    ],
  });
  const module = device.createShaderModule({
    code: `
@group(0) @binding(0) var video: texture_external;
@group(0) @binding(1) var smooth_: sampler;
fn look(t: texture_external, s: sampler, at: vec2f) -> vec4f { return textureSampleBaseClampToEdge(t, s, at); }
@vertex fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
  return vec4f(f32(i & 1) * 4 - 1, f32(i >> 1) * 4 - 1, 0, 1);
}
@fragment fn paint(@builtin(position) at: vec4f) -> @location(0) vec4f {
  return look(video, smooth_, at.xy / vec2f(textureDimensions(video)));
}`,
  });
  const pipeline = device.createRenderPipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    vertex: { module, entryPoint: "corner" },
    fragment: { module, entryPoint: "paint", targets: [{ format: "rgba8unorm" }] },
  });
  const frame = chart(16, 16);
  const texture = target(16, 16);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginRenderPass({
    colorAttachments: [{ view: texture.createView(), loadOp: "clear", storeOp: "store" }],
  });
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout,
      entries: [
        { binding: 0, resource: device.importExternalTexture({ source: frame }) },
        { binding: 1, resource: device.createSampler({ magFilter: "linear", minFilter: "linear" }) },
      ],
    }),
  );
  pass.draw(3);
  pass.end();
  device.queue.submit([encoder.finish()]);
  const data = await texels(texture);
  for (const [x, y] of [[0, 0], [5, 9], [15, 15]]) near(data.subarray((y * 16 + x) * 4), [x * 8, y * 8, 100, 255]);
  frame.close();
});

await test("a shader with external textures and a mistake is told so with its own lines", async () => {
  const error = await scoped(() =>
    device.createShaderModule({
      code: `@group(0) @binding(0) var t: texture_external;
@fragment fn f() -> @location(0) vec4f { return textureLoad(t, vec2f(0.5)); }`,
    })
  );
  assert(error instanceof GPUValidationError);
  // Not what wgpu says of every shader with external textures where it lacks them.
  assert(!/EXTERNAL_TEXTURE|TEXTURE_EXTERNAL/.test(error.message), error.message);
  assert(error.message.includes("textureLoad(t, vec2f(0.5))"), error.message);
});

await test("copyExternalImageToTexture takes a part, flips, and premultiplies", async () => {
  const frame = chart(16, 16);
  const texture = target(16, 16);
  device.queue.copyExternalImageToTexture({ source: frame, origin: [4, 2], flipY: true }, { texture, origin: { x: 1, y: 3 } }, [6, 5]);
  const data = await texels(texture);
  const at = (x, y) => data.subarray((y * 16 + x) * 4, (y * 16 + x) * 4 + 4);
  near(at(0, 0), [0, 0, 0, 0], 0);
  // https://www.w3.org/TR/webgpu/#dom-gpucopyexternalimagesourceinfo-flipy: the part is taken, then turned over.
  near(at(1, 3), [4 * 8, 6 * 8, 100, 255]);
  near(at(6, 7), [9 * 8, 2 * 8, 100, 255]);
  frame.close();

  const half = new Uint8ClampedArray(4 * 4 * 4).fill(128);
  const small = target(4, 4);
  device.queue.copyExternalImageToTexture({ source: new ImageData(half, 4, 4) }, { texture: small, premultipliedAlpha: true }, [4, 4]);
  near(await texels(small), [64, 64, 64, 128]);
  device.queue.copyExternalImageToTexture({ source: new ImageData(half, 4, 4) }, { texture: small }, { width: 4, height: 4 });
  near(await texels(small), [128, 128, 128, 128]);
});

await test("copyExternalImageToTexture takes ImageBitmap and converts to other formats", async () => {
  const pixels = new Uint8ClampedArray([255, 0, 0, 255, 0, 255, 0, 255]);
  const bitmap = await createImageBitmap(new ImageData(pixels, 2, 1));
  const texture = target(2, 1);
  device.queue.copyExternalImageToTexture({ source: bitmap }, { texture }, [2, 1]);
  near(await texels(texture), [255, 0, 0, 255, 0, 255, 0, 255], 0);
  bitmap.close();
  throws(() => device.queue.copyExternalImageToTexture({ source: bitmap }, { texture }, [2, 1]), "InvalidStateError");
  const frame = chart(8, 8);
  for (const format of ["bgra8unorm", "rgba16float", "rgba32float", "r8unorm", "rg8unorm", "rgb10a2unorm", "rgba8unorm-srgb"]) {
    const texture = device.createTexture({ size: [8, 8], format, usage: GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT });
    equal(await scoped(() => device.queue.copyExternalImageToTexture({ source: frame }, { texture }, [8, 8])), null, format);
  }
  frame.close();
});

await test("copyExternalImageToTexture refuses as the specification says", async () => {
  const frame = chart(8, 8);
  const texture = target(8, 8);
  const copy = (...rest) => device.queue.copyExternalImageToTexture(...rest);
  throws(() => copy({ source: frame }, { texture }), "TypeError");
  throws(() => copy({ source: frame, origin: [1, 2, 3] }, { texture }, [1, 1]), "TypeError");
  throws(() => copy({ source: frame }, { texture }, [1, 1, 1, 1]), "TypeError");
  throws(() => copy({ source: 1 }, { texture }, [1, 1]), "TypeError");
  throws(() => copy({ source: frame }, { texture }, [9, 1]), "OperationError");
  throws(() => copy({ source: frame, origin: [4, 0] }, { texture }, [5, 1]), "OperationError");
  throws(() => copy({ source: frame }, { texture }, [1, 1, 2]), "OperationError");
  const wrong = (run) => scoped(run).then((error) => assert(error instanceof GPUValidationError, `${error}`));
  await wrong(() => copy({ source: frame }, { texture, origin: [4, 0] }, [5, 1]));
  await wrong(() => copy({ source: frame }, { texture, mipLevel: 1 }, [1, 1]));
  const read = device.createTexture({ size: [8, 8], format: "rgba8unorm", usage: GPUTextureUsage.COPY_DST });
  await wrong(() => copy({ source: frame }, { texture: read }, [1, 1]));
  const sint = device.createTexture({ size: [8, 8], format: "rgba8sint", usage });
  await wrong(() => copy({ source: frame }, { texture: sint }, [1, 1]));
  frame.close();
  throws(() => copy({ source: frame }, { texture }, [1, 1]), "InvalidStateError");
});

await test("a frame from a texture has its pixels, keeps them, and comes to the CPU only when asked", async () => {
  const texture = target(16, 8);
  const write = (value) => device.queue.writeTexture({ texture }, new Uint8Array(16 * 8 * 4).fill(value), { bytesPerRow: 64 }, [16, 8]);
  write(200);
  throws(() => new VideoFrame(texture), "TypeError");
  throws(() => new VideoFrame(texture, {}), "TypeError");
  const before = Reelcore.counters();
  const frame = new VideoFrame(texture, { timestamp: 5, duration: 7 });
  write(10);
  equal([frame.format, frame.codedWidth, frame.codedHeight, frame.timestamp, frame.duration].join(), "RGBA,16,8,5,7");
  equal(frame.colorSpace.primaries, "bt709");
  equal(new VideoFrame(texture, { timestamp: 0, alpha: "discard" }).format, "RGBX");
  const clone = frame.clone();
  equal(Reelcore.counters().downloads, before.downloads);
  const data = new Uint8Array(frame.allocationSize());
  await frame.copyTo(data);
  assert(data.every((value) => value === 200), "a frame is immutable");
  equal(Reelcore.counters().downloads, before.downloads + 1);
  // Both sides are kept.
  await clone.copyTo(data, { format: "BGRA" });
  equal(Reelcore.counters().downloads, before.downloads + 1);
  frame.close();
  clone.close();
});

await test("a part of a frame from a texture, or other colours, is all that is downloaded of it", async () => {
  const texture = target(16, 8);
  const pixels = Uint8Array.from({ length: 16 * 8 * 4 }, (_, i) => (i * 7) & 255);
  device.queue.writeTexture({ texture }, pixels, { bytesPerRow: 64 }, [16, 8]);
  const frame = new VideoFrame(texture, { timestamp: 0 });
  const before = Reelcore.counters();
  const rect = { x: 3, y: 2, width: 5, height: 4 };
  const at = (x, y) => pixels.subarray((y * 16 + x) * 4, (y * 16 + x) * 4 + 4);
  for (const [options, stride, offset] of [[{ rect }, 20, 0], [{ rect, layout: [{ offset: 8, stride: 32 }] }, 32, 8]]) {
    const data = new Uint8Array(frame.allocationSize(options));
    await frame.copyTo(data, options);
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 5; x++) near(data.subarray(offset + y * stride + x * 4), at(3 + x, 2 + y), 0);
    }
  }
  const bgrx = new Uint8Array(16 * 8 * 4);
  await frame.copyTo(bgrx, { format: "BGRX" });
  for (const [x, y] of [[0, 0], [9, 5], [15, 7]]) {
    const [r, g, b] = at(x, y);
    near(bgrx.subarray((y * 16 + x) * 4), [b, g, r, 255], 0);
  }
  const after = Reelcore.counters();
  equal(after.downloads - before.downloads, 3);
  equal(after.download_bytes - before.download_bytes, 2 * 5 * 4 * 4 + 16 * 8 * 4);
  // What is opaque stays so, whatever is below it.
  const opaque = new VideoFrame(frame, { alpha: "discard" });
  const data = new Uint8Array(20 * 4);
  await opaque.copyTo(data, { rect, format: "RGBA" });
  near(data, [...at(3, 2).subarray(0, 3), 255], 0);
  opaque.close();
  frame.close();
});

await test("textures that frames cannot be made from are refused", async () => {
  const make = (descriptor) => () => new VideoFrame(device.createTexture({ size: [8, 8], format: "rgba8unorm", usage, ...descriptor }), { timestamp: 0 });
  throws(make({ format: "rgba8uint", usage: GPUTextureUsage.TEXTURE_BINDING }), "NotSupportedError");
  throws(make({ size: [8, 8, 2] }), "NotSupportedError");
  throws(make({ sampleCount: 4, usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.RENDER_ATTACHMENT }), "NotSupportedError");
  throws(make({ usage: GPUTextureUsage.STORAGE_BINDING }), "NotSupportedError");
});

await test("a frame that was encoded from a texture is downloaded once, at 1.5 bytes a pixel", async () => {
  const [width, height] = [320, 192];
  const texture = target(width, height);
  const chunks = [];
  const encoder = new VideoEncoder({ output: (chunk) => chunks.push(chunk), error: (error) => { throw error; } });
  encoder.configure({ codec: "vp8", width, height, bitrate: 1_000_000 });
  const before = Reelcore.counters();
  for (let i = 0; i < 5; i++) {
    device.queue.writeTexture({ texture }, new Uint8Array(width * height * 4).fill(40 * i), { bytesPerRow: width * 4 }, [width, height]);
    const frame = new VideoFrame(texture, { timestamp: i * 33333 });
    encoder.encode(frame);
    frame.close();
  }
  await encoder.flush();
  const after = Reelcore.counters();
  equal(chunks.length, 5);
  equal(after.downloads - before.downloads, 5);
  equal(after.download_bytes - before.download_bytes, 5 * width * height * 1.5);
  equal(after.uploads - before.uploads, 0);
  encoder.close();
});

await test("decoded frames go through a render pass and back into frames without a download", async () => {
  const demuxer = new Reelcore.Demuxer(new URL("../../../../../examples/media/av1.mp4", import.meta.url));
  const [track] = await demuxer.tracks;
  let count = 0;
  const before = Reelcore.counters();
  let failed;
  const decoder = new VideoDecoder({
    output(frame) {
      const texture = target(frame.displayWidth, frame.displayHeight);
      device.queue.submit([draw(device.importExternalTexture({ source: frame }), texture)]);
      const out = new VideoFrame(texture, { timestamp: frame.timestamp });
      out.close();
      frame.close();
      texture.destroy();
      count++;
    },
    error: (error) => failed = error,
  });
  decoder.configure(track.decoderConfig);
  for await (const chunk of demuxer.chunks(track)) {
    decoder.decode(chunk);
  }
  await decoder.flush();
  equal(failed, undefined);
  assert(count > 10, `${count}`);
  const after = Reelcore.counters();
  equal(after.uploads - before.uploads, count);
  equal(after.downloads - before.downloads, 0);
  decoder.close();
});

await test("the rotation and the flip of a frame are those of its external texture", async () => {
  const frame = chart(16, 8, { rotation: 90, flip: true });
  equal([frame.displayWidth, frame.displayHeight].join(), "8,16");
  const texture = target(8, 16);
  device.queue.submit([draw(device.importExternalTexture({ source: frame }), texture)]);
  const data = await texels(texture);
  // Turned clockwise by 90 degrees, then mirrored: pixel (x, y) comes from (y, x) of the picture.
  for (const [x, y] of [[0, 0], [7, 0], [0, 15], [3, 11]]) near(data.subarray((y * 8 + x) * 4), [y * 8, x * 8, 100, 255]);
  frame.close();
});

await test("a frame whose pixels are not square is imported and copied at its display size", async () => {
  const frame = chart(16, 8, { displayWidth: 32, displayHeight: 8 });
  const drawn = target(32, 8);
  device.queue.submit([draw(device.importExternalTexture({ source: frame }), drawn)]);
  const copied = target(32, 8);
  device.queue.copyExternalImageToTexture({ source: frame }, { texture: copied }, [32, 8]);
  for (const texture of [drawn, copied]) {
    const data = await texels(texture);
    // Column 9 of 32 lies a quarter of the way from column 4 of 16 to column 5.
    for (const [x, wide] of [[0, 0], [9, 4.25], [18, 8.75], [31, 15]]) near(data.subarray((3 * 32 + x) * 4), [wide * 8, 24, 100, 255]);
  }
  throws(
    () => device.queue.copyExternalImageToTexture({ source: frame, origin: [17, 0] }, { texture: copied }, [16, 8]),
    "OperationError",
  );
  frame.close();
});

await test("a device that is destroyed while frames are read back ends the reading, and nothing else", async () => {
  const doomed = await (await navigator.gpu.requestAdapter()).requestDevice();
  const texture = doomed.createTexture({ size: [1024, 1024], format: "rgba8unorm", usage });
  const frames = Array.from({ length: 8 }, (_, timestamp) => new VideoFrame(texture, { timestamp }));
  const reads = frames.map((frame) => frame.copyTo(new Uint8Array(frame.allocationSize())));
  await Promise.race([reads[0], new Promise((resolve) => setTimeout(resolve, 1))]);
  doomed.destroy();
  for (const { status, reason } of await Promise.allSettled(reads)) {
    assert(status === "fulfilled" || reason.name === "OperationError", `${reason}`);
  }
  frames.forEach((frame) => frame.close());
});

await test("on a lost device frames are errors of the device, and the CPU goes on", async () => {
  const lost = await (await navigator.gpu.requestAdapter()).requestDevice();
  const frame = plain(100, 128, 128);
  lost.importExternalTexture({ source: frame });
  const texture = lost.createTexture({ size: [8, 8], format: "rgba8unorm", usage });
  const made = new VideoFrame(texture, { timestamp: 0 });
  lost.destroy();
  equal((await lost.lost).reason, "destroyed");
  assert(lost.importExternalTexture({ source: frame.clone() }) instanceof GPUExternalTexture);
  throws(() => new VideoFrame(texture, { timestamp: 0 }), "InvalidStateError");
  await rejects(made.copyTo(new Uint8Array(8 * 8 * 4)), "OperationError");
  const data = new Uint8Array(frame.allocationSize());
  await frame.copyTo(data);
  equal(data[0], 100);
  frame.close();
  made.close();
});

finish();
