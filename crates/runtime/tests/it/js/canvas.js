// OffscreenCanvas: frames made of it, copies of it into textures, and bitmaps of frames.
import { bitmapCanvas, chart, clear, device, near, pixels, webgpuCanvas } from "./canvases.js";
import { assert, equal, finish, rejects, test, throws } from "./harness.js";
import { texels as read } from "./texels.js";

const texels = (texture) => read(device, texture);
const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
const target = (width, height, format = "rgba8unorm") => device.createTexture({ size: [width, height], format, usage });

/** The error that `run` leaves in a scope, or null. */
async function scoped(run) {
  device.pushErrorScope("validation");
  run();
  return await device.popErrorScope();
}

await test("a canvas has the contexts bitmaprenderer and webgpu, one of them, and no other", () => {
  const canvas = new OffscreenCanvas(4, 3);
  equal([canvas.width, canvas.height].join(), "4,3");
  equal(canvas.getContext("2d"), null);
  const context = canvas.getContext("webgpu");
  assert(context instanceof GPUCanvasContext);
  equal(canvas.getContext("webgpu"), context);
  equal(canvas.getContext("bitmaprenderer"), null);
  equal(context.canvas, canvas);
  assert(new OffscreenCanvas(1, 1).getContext("bitmaprenderer") instanceof ImageBitmapRenderingContext);
  equal(OffscreenCanvas.prototype.getContext.name, "getContext");
  throws(() => OffscreenCanvas.prototype.getContext.call({}, "webgpu"), "TypeError");
});

await test("a frame of a canvas with a bitmap has its pixels, and the canvas keeps them", async () => {
  const canvas = await bitmapCanvas(chart(16, 8, 128));
  const frame = new VideoFrame(canvas, { timestamp: 5, duration: 7 });
  equal([frame.format, frame.codedWidth, frame.codedHeight, frame.timestamp, frame.duration].join(), "RGBA,16,8,5,7");
  equal(frame.colorSpace.toJSON(), { primaries: "bt709", transfer: "iec61966-2-1", matrix: "rgb", fullRange: true });
  const wanted = [...chart(16, 8, 128).data].join();
  equal([...await pixels(frame)].join(), wanted);
  const again = new VideoFrame(canvas, { timestamp: 0, alpha: "discard" });
  equal(again.format, "RGBX");
  equal([...await pixels(again, { format: "RGBA" })].join(), [...chart(16, 8).data].join());
  // It is a copy: what comes into the canvas later is not seen.
  canvas.getContext("bitmaprenderer").transferFromImageBitmap(null);
  equal([...await pixels(frame)].join(), wanted);
  equal((await pixels(new VideoFrame(canvas, { timestamp: 0 }))).every((value) => value === 0), true);
  frame.close();
});

await test("a frame of an ImageBitmap has its pixels", async () => {
  const bitmap = await createImageBitmap(chart(6, 4, 200));
  throws(() => new VideoFrame(bitmap, {}), "TypeError", "timestamp");
  const frame = new VideoFrame(bitmap, { timestamp: 1, visibleRect: { x: 1, y: 2, width: 4, height: 2 } });
  equal([frame.format, frame.codedWidth, frame.visibleRect.x, frame.displayWidth].join(), "RGBA,6,1,4");
  near(await pixels(frame), [8, 16, 100, 200], 0);
  bitmap.close();
  throws(() => new VideoFrame(bitmap, { timestamp: 1 }), "InvalidStateError");
  throws(() => new VideoFrame(bitmap, {}), "InvalidStateError");
  frame.close();
});

await test("a frame of a webgpu canvas has what was drawn, keeps it, and stays on the device", async () => {
  const canvas = webgpuCanvas(64, 32, [1, 0.5, 0, 1]);
  const before = Reelcore.counters();
  const frame = new VideoFrame(canvas, { timestamp: 9, displayWidth: 32, displayHeight: 16 });
  equal([frame.format, frame.codedWidth, frame.codedHeight, frame.displayWidth, frame.timestamp].join(), "RGBX,64,32,32,9");
  clear(canvas.getContext("webgpu"), [0, 0, 1, 1]);
  const later = new VideoFrame(canvas, { timestamp: 10 });
  const between = Reelcore.counters();
  equal([between.downloads - before.downloads, between.uploads - before.uploads, between.cpu_copies - before.cpu_copies].join(), "0,0,0");
  near(await pixels(frame), [255, 128, 0], 1);
  near(await pixels(later), [0, 0, 255], 0);
  equal(Reelcore.counters().downloads - before.downloads, 2);
  frame.close();
  later.close();
});

await test("alpha mode, format and colour space of a configuration are those of its frames", async () => {
  for (const [format, opaque, alpha] of [["rgba8unorm", "RGBX", "RGBA"], ["bgra8unorm", "BGRX", "BGRA"], ["rgba16float", "RGBX", "RGBA"]]) {
    // Half red, at half alpha: premultiplied, that is all red.
    const color = [0.5, 0, 0.25, 0.5];
    for (const usage of [GPUTextureUsage.RENDER_ATTACHMENT, GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.TEXTURE_BINDING]) {
      const solid = new VideoFrame(webgpuCanvas(8, 8, color, { format, usage }), { timestamp: 0 });
      equal(solid.format, opaque);
      near(await pixels(solid, { format: "RGBA" }), [128, 0, 64, 255]);
      const canvas = webgpuCanvas(8, 8, color, { format, usage, alphaMode: "premultiplied" });
      const clear_ = new VideoFrame(canvas, { timestamp: 0 });
      equal(clear_.format, alpha);
      near(await pixels(clear_, { format: "RGBA" }), [255, 0, 128, 128], 2);
      equal(new VideoFrame(canvas, { timestamp: 0, alpha: "discard" }).format, opaque);
    }
  }
  const wide = new VideoFrame(webgpuCanvas(8, 8, [1, 0, 0, 1], { colorSpace: "display-p3" }), { timestamp: 0 });
  equal(wide.colorSpace.primaries, "smpte432");
  near(await pixels(wide), [255, 0, 0], 0);
});

await test("a canvas without anything on it is transparent black, and black where it is opaque", async () => {
  const all = async (canvas, wanted, format) => {
    const frame = new VideoFrame(canvas, { timestamp: 0 });
    equal(frame.format, format);
    const data = await pixels(frame, { format: "RGBA" });
    equal(data.length, 8 * 4 * 4);
    for (let i = 0; i < data.length; i += 4) near(data.subarray(i), wanted, 0);
    frame.close();
  };
  const canvas = new OffscreenCanvas(8, 4);
  await all(canvas, [0, 0, 0, 0], "RGBA");
  const context = canvas.getContext("webgpu");
  await all(canvas, [0, 0, 0, 0], "RGBA");
  context.configure({ device, format: "bgra8unorm" });
  await all(canvas, [0, 0, 0, 255], "RGBX");
  clear(context, [1, 1, 1, 1]);
  await all(canvas, [255, 255, 255, 255], "BGRX");
  // Setting the size empties a canvas.
  canvas.width = 8;
  await all(canvas, [0, 0, 0, 255], "RGBX");
  context.unconfigure();
  await all(canvas, [0, 0, 0, 0], "RGBA");
  const bitmap = new OffscreenCanvas(8, 4);
  bitmap.getContext("bitmaprenderer");
  await all(bitmap, [0, 0, 0, 0], "RGBA");
});

await test("canvases that frames cannot be made of are refused as the specification says", () => {
  const canvas = new OffscreenCanvas(8, 8);
  throws(() => new VideoFrame(canvas), "TypeError", "timestamp");
  throws(() => new VideoFrame(canvas, {}), "TypeError", "timestamp");
  throws(() => new VideoFrame(canvas, { timestamp: 0, visibleRect: { x: 4, y: 0, width: 8, height: 8 } }), "TypeError");
  throws(() => new VideoFrame(canvas, { timestamp: 0, displayWidth: 8 }), "TypeError");
  for (const [width, height] of [[0, 0], [0, 8], [8, 0]]) {
    const empty = new OffscreenCanvas(width, height);
    throws(() => new VideoFrame(empty, { timestamp: 0 }), "InvalidStateError");
    // Usability is checked first.
    throws(() => new VideoFrame(empty, {}), "InvalidStateError");
    throws(() => device.queue.copyExternalImageToTexture({ source: empty }, { texture: target(1, 1) }, [0, 0]), "InvalidStateError");
  }
  throws(() => new VideoFrame({ width: 8, height: 8 }, { timestamp: 0 }), "TypeError");
  throws(() => new VideoFrame(Object.create(OffscreenCanvas.prototype), { timestamp: 0 }), "TypeError");
  throws(() => new VideoFrame(canvas.getContext("webgpu"), { timestamp: 0 }), "TypeError");
});

await test("a canvas that memory has no room for is a RangeError, and the script goes on", () => {
  for (const [width, height] of [[1e6, 1e6], [2 ** 33, 4], [2 ** 33, 0], [0, 2 ** 32], [4294967295, 4294967295]]) {
    throws(() => new OffscreenCanvas(width, height), "RangeError", "pixels");
  }
  const canvas = new OffscreenCanvas(1e6, 1);
  throws(() => canvas.height = 1e6, "RangeError", "pixels");
  equal([canvas.width, canvas.height].join(), "1000000,1");
  canvas.width = 3;
  canvas.height = "2";
  equal([canvas.width, canvas.height].join(), "3,2");
  throws(() => new OffscreenCanvas(1), "TypeError");
  throws(() => new OffscreenCanvas(-1, 1), "TypeError");
  throws(() => OffscreenCanvas(1, 1), "TypeError");
  throws(() => canvas.width = NaN, "TypeError");
  throws(() => Object.getOwnPropertyDescriptor(OffscreenCanvas.prototype, "width").set.call({}, 1), "TypeError");
  class Named extends OffscreenCanvas {}
  const named = new Named(4, 2);
  assert(named instanceof Named && named instanceof OffscreenCanvas);
  equal(new VideoFrame(named, { timestamp: 0 }).codedWidth, 4);
  equal(canvas.constructor, OffscreenCanvas);
  equal([OffscreenCanvas.name, OffscreenCanvas.length].join(), "OffscreenCanvas,2");
});

await test("a canvas's brand is its own, whatever a script does to its prototype", () => {
  const canvas = new OffscreenCanvas(8, 8);
  Object.setPrototypeOf(canvas, null);
  equal(new VideoFrame(canvas, { timestamp: 0 }).codedWidth, 8);
});

await test("copyExternalImageToTexture copies a part of a canvas of each context, flips and premultiplies", async () => {
  const image = chart(16, 16, 128);
  // The same picture in a webgpu canvas, put there by a copy.
  const drawn = new OffscreenCanvas(16, 16);
  const context = drawn.getContext("webgpu");
  context.configure({ device, format: "rgba8unorm", usage, alphaMode: "premultiplied" });
  device.queue.copyExternalImageToTexture(
    { source: image },
    { texture: context.getCurrentTexture(), premultipliedAlpha: true },
    [16, 16],
  );
  for (const source of [await bitmapCanvas(image), drawn]) {
    const texture = target(16, 16);
    device.queue.copyExternalImageToTexture({ source, origin: [4, 2], flipY: true }, { texture, origin: { x: 1, y: 3 } }, [6, 5]);
    const data = await texels(texture);
    const at = (x, y) => data.subarray((y * 16 + x) * 4, (y * 16 + x) * 4 + 4);
    near(at(0, 0), [0, 0, 0, 0], 0);
    near(at(1, 3), [4 * 8, 6 * 8, 100, 128], 2);
    near(at(6, 7), [9 * 8, 2 * 8, 100, 128], 2);
    const multiplied = target(16, 16);
    device.queue.copyExternalImageToTexture({ source }, { texture: multiplied, premultipliedAlpha: true }, [16, 16]);
    near((await texels(multiplied)).subarray((5 * 16 + 7) * 4), [28, 20, 50, 128], 1);
    for (const [origin, size] of [[[9, 0], [8, 1]], [[0, 0], [17, 1]], [[0, 0], [1, 1, 2]]]) {
      throws(() => device.queue.copyExternalImageToTexture({ source, origin }, { texture }, size), "OperationError");
    }
  }
});

await test("copyExternalImageToTexture from a webgpu canvas stays on the device and keeps what eight bits cannot", async () => {
  const before = Reelcore.counters();
  const opaque = target(8, 8);
  device.queue.copyExternalImageToTexture({ source: webgpuCanvas(8, 8, [0.5, 0.25, 0, 0.5]) }, { texture: opaque }, [8, 8]);
  // Display P3's red, in sRGB: out of the gamut, so it is at its border in eight bits.
  const wide = target(8, 8);
  const red = webgpuCanvas(8, 8, [0.5, 0, 0, 1], { colorSpace: "display-p3", format: "bgra8unorm" });
  device.queue.copyExternalImageToTexture({ source: red }, { texture: wide }, [8, 8]);
  const same = target(8, 8);
  device.queue.copyExternalImageToTexture({ source: red }, { texture: same, colorSpace: "display-p3" }, [8, 8]);
  // A canvas of floats into a texture of floats, and back into one of eight bits scaled by a shader would show it; here
  // a value beyond 1 is copied on and read as it is.
  const bright = device.createTexture({ size: [64, 1], format: "rgba16float", usage });
  device.queue.copyExternalImageToTexture({ source: webgpuCanvas(64, 1, [2, 0, 0, 1], { format: "rgba16float" }) }, { texture: bright }, [64, 1]);
  const after = Reelcore.counters();
  equal([after.downloads - before.downloads, after.uploads - before.uploads, after.cpu_copies - before.cpu_copies].join(), "0,0,0");
  near(await texels(opaque), [128, 64, 0, 255]);
  near(await texels(wide), [139, 0, 0, 255], 3);
  near(await texels(same), [128, 0, 0, 255]);
  const buffer = device.createBuffer({ size: 512, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture: bright }, { buffer, bytesPerRow: 512 }, [64, 1]);
  device.queue.submit([encoder.finish()]);
  await buffer.mapAsync(GPUMapMode.READ);
  // 2 as a half.
  equal(new Uint16Array(buffer.getMappedRange())[0], 0x4000);
});

await test("a canvas can be copied into its own texture", async () => {
  const canvas = new OffscreenCanvas(16, 16);
  const context = canvas.getContext("webgpu");
  context.configure({ device, format: "rgba8unorm", usage: usage | GPUTextureUsage.TEXTURE_BINDING });
  const texture = context.getCurrentTexture();
  device.queue.copyExternalImageToTexture({ source: chart(16, 16) }, { texture }, [16, 16]);
  equal(await scoped(() => device.queue.copyExternalImageToTexture({ source: canvas, flipY: true }, { texture }, [16, 16])), null);
  const frame = new VideoFrame(canvas, { timestamp: 0 });
  const data = await pixels(frame);
  for (const [x, y] of [[0, 0], [3, 5], [15, 15]]) near(data.subarray((y * 16 + x) * 4), [x * 8, (15 - y) * 8, 100]);
  frame.close();
});

await test("a canvas of another device is a validation error, of a lost one it is black", async () => {
  const other = await (await navigator.gpu.requestAdapter()).requestDevice();
  const canvas = new OffscreenCanvas(8, 8);
  const context = canvas.getContext("webgpu");
  context.configure({ device: other, format: "rgba8unorm" });
  context.getCurrentTexture();
  const texture = target(8, 8);
  const error = await scoped(() => device.queue.copyExternalImageToTexture({ source: canvas }, { texture }, [8, 8]));
  assert(error instanceof GPUValidationError, `${error}`);
  other.destroy();
  equal((await other.lost).reason, "destroyed");
  near(await pixels(new VideoFrame(canvas, { timestamp: 0 }), { format: "RGBA" }), [0, 0, 0, 255], 0);
  equal(await scoped(() => device.queue.copyExternalImageToTexture({ source: canvas }, { texture }, [8, 8])), null);
});

await test("decoded frames are drawn on a canvas, and its frames are encoded, with no download in between", async () => {
  const demuxer = new Reelcore.Demuxer(new URL("../../../../../examples/media/av1.mp4", import.meta.url));
  const [track] = await demuxer.tracks;
  const { displayAspectWidth: _, codedWidth, codedHeight } = track.decoderConfig;
  const canvas = new OffscreenCanvas(codedWidth, codedHeight);
  const context = canvas.getContext("webgpu");
  context.configure({ device, format: "rgba8unorm" });
  const module = device.createShaderModule({
    code: `
@group(0) @binding(0) var video: texture_external;
@vertex fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
  return vec4f(f32(i & 1) * 4 - 1, f32(i >> 1) * 4 - 1, 0, 1);
}
@fragment fn paint(@builtin(position) at: vec4f) -> @location(0) vec4f {
  return textureLoad(video, vec2u(at.xy));
}`,
  });
  const pipeline = device.createRenderPipeline({
    layout: "auto",
    vertex: { module, entryPoint: "corner" },
    fragment: { module, entryPoint: "paint", targets: [{ format: "rgba8unorm" }] },
  });
  let failed;
  let kept;
  const made = [];
  const before = Reelcore.counters();
  const decoder = new VideoDecoder({
    output(frame) {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginRenderPass({
        colorAttachments: [{ view: context.getCurrentTexture().createView(), loadOp: "clear", storeOp: "store" }],
      });
      pass.setPipeline(pipeline);
      pass.setBindGroup(
        0,
        device.createBindGroup({
          layout: pipeline.getBindGroupLayout(0),
          entries: [{ binding: 0, resource: device.importExternalTexture({ source: frame }) }],
        }),
      );
      pass.draw(3);
      pass.end();
      device.queue.submit([encoder.finish()]);
      made.push(new VideoFrame(canvas, { timestamp: frame.timestamp }));
      if (made.length === 10) kept = frame.clone();
      if (made.length > 12) made.shift().close();
      frame.close();
    },
    error: (error) => failed = error,
  });
  decoder.configure(track.decoderConfig);
  let count = 0;
  for await (const chunk of demuxer.chunks(track)) {
    decoder.decode(chunk);
    if (++count === 20) break;
  }
  await decoder.flush();
  equal(failed, undefined);
  const after = Reelcore.counters();
  equal(after.uploads - before.uploads, count);
  equal(after.downloads - before.downloads, 0);
  // What comes to the CPU is what the CPU makes of the decoded frame; the GPU interpolates chroma, so edges differ.
  const same = made.find((frame) => frame.timestamp === kept.timestamp);
  const [found, wanted] = [await pixels(same, { format: "RGBA" }), await pixels(kept, { format: "RGBA" })];
  equal(found.length, wanted.length);
  let off = 0;
  for (let i = 0; i < found.length; i++) off += Math.abs(found[i] - wanted[i]);
  assert(off / found.length < 1.5, `${off / found.length} from the CPU's picture on average`);
  assert(new Set(found).size > 50, "the picture is no picture");
  equal(Reelcore.counters().downloads - before.downloads, 1);
  made.forEach((frame) => frame.close());
  kept.close();
  decoder.close();
});

await test("a frame of a canvas that is encoded is downloaded once, at 1.5 bytes a pixel", async () => {
  const [width, height] = [320, 192];
  const canvas = webgpuCanvas(width, height, [0, 0, 0, 1]);
  const chunks = [];
  const encoder = new VideoEncoder({ output: (chunk) => chunks.push(chunk), error: (error) => { throw error; } });
  encoder.configure({ codec: "vp8", width, height, bitrate: 1_000_000 });
  const before = Reelcore.counters();
  for (let i = 0; i < 5; i++) {
    clear(canvas.getContext("webgpu"), [i / 5, 0.5, 0.25, 1]);
    const frame = new VideoFrame(canvas, { timestamp: i * 33333 });
    encoder.encode(frame);
    frame.close();
  }
  await encoder.flush();
  const after = Reelcore.counters();
  equal(chunks.length, 5);
  equal(after.downloads - before.downloads, 5);
  equal(after.download_bytes - before.download_bytes, 5 * width * height * 1.5);
  encoder.close();
});

await test("createImageBitmap takes frames as they are shown, and canvases", async () => {
  const data = new Uint8Array(chart(16, 8).data.buffer);
  const init = { format: "RGBA", codedWidth: 16, codedHeight: 8, timestamp: 0 };
  const shown = async (bitmap) => {
    equal(bitmap instanceof ImageBitmap, true);
    const frame = new VideoFrame(bitmap, { timestamp: 0 });
    const bytes = await pixels(frame, { format: "RGBA" });
    const { codedWidth, codedHeight } = frame;
    frame.close();
    return { size: `${codedWidth}x${codedHeight}`, at: (x, y) => bytes.subarray((y * codedWidth + x) * 4, (y * codedWidth + x) * 4 + 4) };
  };
  const frame = new VideoFrame(data, init);
  let found = await shown(await createImageBitmap(frame));
  equal(found.size, "16x8");
  near(found.at(3, 5), [24, 40, 100, 255], 0);
  // The arguments of the method are those of the frame's picture.
  found = await shown(await createImageBitmap(frame, 2, 1, 5, 4, { imageOrientation: "flipY" }));
  equal(found.size, "5x4");
  near(found.at(1, 0), [24, 32, 100, 255], 0);
  frame.close();
  await rejects(createImageBitmap(frame), "InvalidStateError");

  const turned = new VideoFrame(data, { ...init, rotation: 90, flip: true });
  found = await shown(await createImageBitmap(turned));
  equal(found.size, "8x16");
  near(found.at(3, 11), [88, 24, 100, 255], 0);
  const small = new VideoFrame(data, { ...init, displayWidth: 8, displayHeight: 4 });
  equal((await shown(await createImageBitmap(small))).size, "8x4");

  const canvas = webgpuCanvas(8, 8, [1, 0, 0, 1]);
  const bitmap = createImageBitmap(canvas);
  // What is drawn while the bitmap is made is not on it.
  clear(canvas.getContext("webgpu"), [0, 0, 1, 1]);
  near((await shown(await bitmap)).at(4, 4), [255, 0, 0, 255], 0);
  near((await shown(await createImageBitmap(await bitmapCanvas(chart(4, 4))))).at(2, 3), [16, 24, 100, 255], 0);
  await rejects(createImageBitmap(new OffscreenCanvas(0, 1)), "InvalidStateError");
  equal([createImageBitmap.name, createImageBitmap.length].join(), "createImageBitmap,1");
});

/** A source of each kind that a bitmap is made of, all of the same picture. */
async function sources(image) {
  const { width, height, data } = image;
  const canvas = await bitmapCanvas(image);
  return {
    data: image,
    floats: new ImageData(Float16Array.from(data, (value) => (value + 0.5) / 255), width, height, { pixelFormat: "rgba-float16" }),
    bitmap: await createImageBitmap(image),
    blob: await (await bitmapCanvas(image)).convertToBlob(),
    frame: new VideoFrame(data, { format: "RGBA", codedWidth: width, codedHeight: height, timestamp: 0 }),
    canvas,
  };
}

await test("a bitmap has what its rectangle covers of each kind of source, and is transparent where that is nothing", async () => {
  // Half transparent, so that nothing is blended on the way.
  const image = chart(6, 4, 100);
  const whole = [...image.data];
  const rectangles = [
    [0, 0, 2, 2], [1, 0, 2, 2], [0, 1, 2, 2], [1, 1, 2, 2], [0, 0, 6, 2], [0, 0, 2, 4], [0, 0, 6, 4],
    // The other corner.
    [3, 3, -2, -2], [3, 1, -2, 2], [1, 3, 2, -2], [0, 0, -2, -2], [6, 4, -6, -4],
    // Partly and wholly outside.
    [0, 0, 8, 8], [-1, 0, 3, 2], [0, -1, 2, 3], [-2, -1, 12, 9], [5, 3, 4, 4], [6, 0, 2, 2], [-3, -3, 3, 3], [0, 1000, 2, 1],
    [-2147483648, -2147483648, 1, 1], [2147483647, 2147483647, 1, 1], [2147483647, 2147483647, -1, -1],
  ];
  for (const [name, source] of Object.entries(await sources(image))) {
    for (const [sx, sy, sw, sh] of rectangles) {
      const [width, height] = [Math.abs(sw), Math.abs(sh)];
      const wanted = [];
      for (let y = Math.min(sy, sy + sh), row = 0; row < height; row++) {
        for (let x = Math.min(sx, sx + sw), column = 0; column < width; column++) {
          const [across, down] = [x + column, y + row];
          const inside = across >= 0 && across < 6 && down >= 0 && down < 4;
          const at = (down * 6 + across) * 4;
          wanted.push(...(inside ? whole.slice(at, at + 4) : [0, 0, 0, 0]));
        }
      }
      const bitmap = await createImageBitmap(source, sx, sy, sw, sh);
      const text = `${name} ${[sx, sy, sw, sh]}`;
      equal([bitmap.width, bitmap.height], [width, height], text);
      equal([...await pixels(new VideoFrame(bitmap, { timestamp: 0 }))], wanted, text);
      bitmap.close();
    }
    // What is cropped is resized and flipped after that: blue is 100 wherever the rectangle covers anything.
    const bitmap = await createImageBitmap(source, 0, 0, 2, 4, { resizeHeight: 2, resizeQuality: "pixelated", imageOrientation: "flipY" });
    equal([bitmap.width, bitmap.height], [1, 2], name);
    const found = await pixels(new VideoFrame(bitmap, { timestamp: 0 }));
    equal([found[1] > found[5], found[2], found[6]], [true, 100, 100], name);
  }
});

await test("bitmaps that memory has no room for are refused before it is asked for, of each kind of source", async () => {
  const far = 2147483647;
  for (const [name, source] of Object.entries(await sources(chart(6, 4)))) {
    for (const rest of [
      [0, 0, far, far], [0, 0, -far, far], [-far, -far, far, far], [1, 1, far, 1], [0, 0, 16385, 16384], [0, 0, 1 << 28, -2],
      [{ resizeWidth: 100_000, resizeHeight: 100_000 }], [{ resizeWidth: 4e9 }], [{ resizeHeight: 4294967295 }],
      [{ resizeWidth: 4294967295, resizeHeight: 4294967295 }], [0, 0, 1 << 20, 1, { resizeHeight: 17 }],
      [0, 0, 1, 1 << 20, { resizeWidth: 4096, resizeQuality: "high" }],
    ]) {
      await rejects(createImageBitmap(source, ...rest), "InvalidStateError", "pixels");
    }
    await rejects(createImageBitmap(source, { resizeWidth: 2 ** 32 }), "TypeError");
  }
  const line = { format: "RGBA", codedWidth: 70_000, codedHeight: 1, timestamp: 0 };
  await rejects(createImageBitmap(new VideoFrame(new Uint8Array(280_000), line), { resizeHeight: 70_000 }), "InvalidStateError");
  // Neither the frame nor its bitmap is large, but what lies between them would be.
  const tall = { ...line, displayWidth: 1, displayHeight: 200_000_000 };
  await rejects(createImageBitmap(new VideoFrame(new Uint8Array(280_000), tall)), "InvalidStateError");
  const turned = await createImageBitmap(new ImageData(70_000, 1), { resizeWidth: 1, resizeHeight: 70_000 });
  equal([turned.width, turned.height], [1, 70_000]);
});

await test("image files that say to be larger than memory has room for are refused by their first bytes", async () => {
  const bytes = (text, ...numbers) => [...text].map((letter) => letter.charCodeAt(0)).concat(numbers);
  const big = [0, 15, 66, 64];
  const png = [0x89, ...bytes("PNG\r\n\x1a\n", 0, 0, 0, 13), ...bytes("IHDR"), ...big, ...big, 8, 6];
  const files = {
    png,
    ico: [0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0, 32, 0, 100, 0, 0, 0, 22, 0, 0, 0, ...png],
    gif: bytes("GIF89a", 255, 255, 255, 255),
    bmp: [...bytes("BM", 0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0), 255, 255, 0, 0, 1, 0, 255, 255, 1, 0, 24],
    webp: [...bytes("RIFF", 255, 0, 0, 0), ...bytes("WEBPVP8X", 10, 0, 0, 0, 0, 0, 0, 0), 255, 255, 255, 0, 1, 0],
    jpeg: [255, 0xd8, 255, 255, 0xe0, 0, 4, 1, 2, 255, 0xdb, 0, 2, 255, 0xc2, 0, 17, 8, 255, 255, 255, 255, 3],
    "jpeg with bytes between its segments": [255, 0xd8, 0, 255, 0xe0, 0, 4, 1, 2, 7, 255, 1, 255, 0xd3, 255, 0xc0, 0, 17, 8, 255, 255, 255, 255, 3],
  };
  for (const [name, start] of Object.entries(files)) {
    const file = new Uint8Array(200);
    file.set(start);
    await rejects(createImageBitmap(new Blob([file])), "InvalidStateError", "pixels");
    await rejects(createImageBitmap(new Blob([file]), 0, 0, 1, 1), "InvalidStateError", "pixels");
    // Cut off, it is a file of no sense.
    const error = await rejects(createImageBitmap(new Blob([file.subarray(0, 12)])), "InvalidStateError");
    assert(!error.message.includes("pixels"), name);
  }
});

await test("what is cut out of a turned photograph is cut and scaled as it is shown", async () => {
  const jpeg = new Uint8Array(await (await (await bitmapCanvas(chart(32, 16))).convertToBlob({ type: "image/jpeg", quality: 1 })).arrayBuffer());
  // Exif's orientation 6: its left column is the upper row, from the right.
  const exif = [255, 0xe1, 0, 34, 69, 120, 105, 102, 0, 0, 73, 73, 42, 0, 8, 0, 0, 0, 1, 0, 18, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0];
  const blob = new Blob([jpeg.subarray(0, 2), new Uint8Array(exif), jpeg.subarray(2)]);
  const whole = await createImageBitmap(blob);
  equal([whole.width, whole.height], [16, 32]);
  const all = await pixels(new VideoFrame(whole, { timestamp: 0 }));
  near(all, [0, 120, 100], 12);
  const part = await createImageBitmap(blob, 3, 20, 4, 5);
  equal([part.width, part.height], [4, 5]);
  near(await pixels(new VideoFrame(part, { timestamp: 0 })), [...all.subarray((20 * 16 + 3) * 4, (20 * 16 + 7) * 4)], 0);
  const small = await createImageBitmap(blob, { resizeWidth: 4 });
  equal([small.width, small.height], [4, 8]);
});

await test("the arguments of createImageBitmap are converted as WebIDL says, and then checked in the specification's order", async () => {
  const image = chart(6, 4);
  const closed = await createImageBitmap(image);
  closed.close();
  const moved = new ImageData(2, 2);
  structuredClone(moved.data, { transfer: [moved.data.buffer] });
  for (const wrong of [{}, null, "image", Object.create(ImageBitmap.prototype), Object.create(ImageData.prototype), Object.create(VideoFrame.prototype)]) {
    await rejects(createImageBitmap(wrong), "TypeError");
  }
  await rejects(createImageBitmap(), "TypeError");
  for (const source of [image, closed]) {
    await rejects(createImageBitmap(source, 1, 2), "TypeError", "3 arguments");
    await rejects(createImageBitmap(source, 1, 2, 3), "TypeError", "4 arguments");
    await rejects(createImageBitmap(source, 0, 0, 1n, 1), "TypeError");
    await rejects(createImageBitmap(source, 0, 0, 2, 2, 5), "TypeError");
    await rejects(createImageBitmap(source, 0, 0, 0, 2, { resizeQuality: "best" }), "TypeError");
    for (const none of [0, 0.9, NaN, undefined, null, "0", 2 ** 32]) {
      await rejects(createImageBitmap(source, 1, 1, none, 2), "RangeError");
      await rejects(createImageBitmap(source, 0, 0, 2, none, { resizeWidth: 0 }), "RangeError");
    }
  }
  const found = await createImageBitmap(image, "1.9", { valueOf: () => -0.5 }, true, 2 ** 32 + 3, undefined);
  equal([found.width, found.height], [1, 3]);
  near(await pixels(new VideoFrame(found, { timestamp: 0 })), [8, 0, 100, 255], 0);
  for (const source of [closed, moved]) {
    for (const rest of [[], [0, 0, 2, 2], [{ resizeWidth: 0 }], [{ imageOrientation: "flipY" }]]) {
      await rejects(createImageBitmap(source, ...rest), "InvalidStateError");
    }
  }
  // The pixels are those of the call.
  const later = createImageBitmap(image, 0, 0, 1, 1);
  image.data.fill(7);
  near(await pixels(new VideoFrame(await later, { timestamp: 0 })), [0, 0, 100, 255], 0);
});

await test("a bitmap has the colours of its source, however its alpha is asked to be stored", async () => {
  const half = new Uint8ClampedArray(4 * 4 * 4).fill(128);
  const data = new ImageData(half, 4, 4);
  const blob = await (await bitmapCanvas(data)).convertToBlob();
  const frame = new VideoFrame(half, { format: "RGBA", codedWidth: 4, codedHeight: 4, timestamp: 0 });
  const texture = target(4, 4);
  for (const [name, source] of Object.entries({ data, blob, frame, bitmap: await createImageBitmap(data) })) {
    for (const first of ["none", "default", "premultiply"]) {
      for (const second of [undefined, "none", "default", "premultiply"]) {
        let bitmap = await createImageBitmap(source, { premultiplyAlpha: first });
        if (second !== undefined) bitmap = await createImageBitmap(bitmap, 0, 0, 4, 4, { premultiplyAlpha: second });
        const text = `${name}, ${first}, ${second}`;
        for (const [premultipliedAlpha, value] of [[false, 128], [true, 64]]) {
          device.queue.copyExternalImageToTexture({ source: bitmap }, { texture, premultipliedAlpha }, [4, 4]);
          const [r, g, b, a] = await texels(texture);
          equal([r, g, b, a], [value, value, value, 128], text);
        }
        equal([...new Set(await pixels(new VideoFrame(bitmap, { timestamp: 0 })))], [128], text);
        // By way of a canvas.
        const canvas = await bitmapCanvas(data);
        canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
        equal([...new Set(await pixels(new VideoFrame(canvas, { timestamp: 0 })))], [128], text);
        equal([...new Set(await pixels(new VideoFrame(canvas.transferToImageBitmap(), { timestamp: 0 })))], [128], text);
      }
    }
  }
  frame.close();
  await rejects(createImageBitmap(data, { premultiplyAlpha: "half" }), "TypeError");
  await rejects(createImageBitmap(data, { resizeWidth: 0 }), "InvalidStateError");
  await rejects(createImageBitmap(data, 0, 0, 0, 4), "RangeError");
  equal((await createImageBitmap(data, { resizeWidth: 2, premultiplyAlpha: "premultiply" })).width, 2);
});

await test("transferToImageBitmap and convertToBlob of a webgpu canvas have its colours, whatever its format", async () => {
  for (const format of ["rgba8unorm", "bgra8unorm", "rgba16float"]) {
    for (const [alphaMode, wanted] of [["opaque", [128, 64, 0, 255]], ["premultiplied", [255, 128, 0, 128]]]) {
      const make = () => webgpuCanvas(5, 3, [0.5, 0.25, 0, 0.5], { format, alphaMode });
      const canvas = make();
      const blob = await canvas.convertToBlob();
      equal(blob.type, "image/png");
      const bitmap = canvas.transferToImageBitmap();
      for (const image of [bitmap, await createImageBitmap(blob)]) {
        equal([image.width, image.height].join(), "5,3");
        const data = await pixels(new VideoFrame(image, { timestamp: 0 }), { format: "RGBA" });
        near(data, wanted, 2);
        near(data.subarray(14 * 4), wanted, 2);
      }
      // The canvas was emptied.
      near(await pixels(new VideoFrame(canvas, { timestamp: 0 }), { format: "RGBA" }), [0, 0, 0, alphaMode === "opaque" ? 255 : 0], 0);
      equal((await make().convertToBlob({ type: "image/jpeg", quality: 0.5 })).type, "image/jpeg");
    }
  }
  const wide = webgpuCanvas(4, 4, [0.5, 0.5, 0.5, 1], { colorSpace: "display-p3" });
  near(await pixels(new VideoFrame(wide.transferToImageBitmap(), { timestamp: 0 })), [128, 128, 128], 1);
  // Several at once do not get in each other's way.
  const blobs = await Promise.all([1, 0].map((red) => webgpuCanvas(2, 2, [red, 0, 0, 1], { format: "bgra8unorm" }).convertToBlob()));
  for (const [i, red] of [255, 0].entries()) {
    near(await pixels(new VideoFrame(await createImageBitmap(blobs[i]), { timestamp: 0 })), [red, 0, 0], 0);
  }
  await rejects(webgpuCanvas(2, 2, [0, 0, 0, 1]).convertToBlob(1), "TypeError");
  const none = new OffscreenCanvas(4, 4);
  throws(() => none.transferToImageBitmap(), "InvalidStateError");
  await rejects(none.convertToBlob(), "InvalidStateError");
  throws(() => OffscreenCanvas.prototype.transferToImageBitmap.call({}), "TypeError");
});

await test("a frame's bitmap can be transferred to a canvas, and comes back in a frame", async () => {
  const frame = new VideoFrame(new Uint8Array(chart(8, 8).data.buffer), { format: "RGBA", codedWidth: 8, codedHeight: 8, timestamp: 0 });
  const bitmap = await createImageBitmap(frame);
  const canvas = new OffscreenCanvas(8, 8);
  const context = canvas.getContext("bitmaprenderer");
  context.transferFromImageBitmap(bitmap);
  throws(() => new VideoFrame(bitmap, { timestamp: 0 }), "InvalidStateError");
  throws(() => context.transferFromImageBitmap(bitmap), "InvalidStateError");
  const back = new VideoFrame(canvas, { timestamp: 0 });
  equal([...await pixels(back)].join(), [...await pixels(frame)].join());
  const moved = canvas.transferToImageBitmap();
  equal(moved.width, 8);
  near(await pixels(new VideoFrame(moved, { timestamp: 0 })), [0, 0, 100, 255], 0);
  near(await pixels(new VideoFrame(canvas, { timestamp: 0 })), [0, 0, 0, 0], 0);
});

await test("bitmaps and canvases are not cloned into something else, and a frame of a bitmap can be sent", async () => {
  const bitmap = await createImageBitmap(chart(4, 2));
  const { port1 } = new MessageChannel();
  for (const object of [bitmap, new OffscreenCanvas(1, 1)]) {
    throws(() => structuredClone(object), "DataCloneError");
    throws(() => structuredClone({ in: [object] }), "DataCloneError");
    throws(() => structuredClone(object, { transfer: [object] }), "DataCloneError");
    throws(() => port1.postMessage(object), "DataCloneError");
  }
  port1.close();
  // They are whole.
  equal([bitmap.width, bitmap.height], [4, 2]);
  const frame = new VideoFrame(bitmap, { timestamp: 0 });
  const sent = structuredClone(frame, { transfer: [frame] });
  near(await pixels(sent), [0, 0, 100, 255, 8, 0, 100, 255], 0);
  sent.close();
});

finish();
