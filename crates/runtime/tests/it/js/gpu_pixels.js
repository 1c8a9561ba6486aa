// What becomes of a frame's pixels is the same whichever way they take, and whichever stage of a pipeline looks at them.
import { assert, equal, finish, rejects, test } from "./harness.js";
import { texels as read } from "./texels.js";

const adapter = await navigator.gpu.requestAdapter();
assert(adapter !== null, "there is no GPU adapter: install mesa-vulkan-drivers (./x setup)");
const device = await adapter.requestDevice();
const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT |
  GPUTextureUsage.TEXTURE_BINDING;
const target = (width, height) => device.createTexture({ size: [width, height], format: "rgba8unorm", usage });

/** What comes back of a frame that was encoded at a high rate: the planes of I420, or of I420P10. */
async function encoded(frame, codec) {
  const { codedWidth: width, codedHeight: height } = frame;
  const chunks = [];
  let config;
  const failed = (error) => {
    throw error;
  };
  const encoder = new VideoEncoder({
    output(chunk, metadata) {
      chunks.push(chunk);
      config ??= metadata?.decoderConfig;
    },
    error: failed,
  });
  encoder.configure({ codec, width, height, bitrate: 5e7 });
  encoder.encode(frame, { keyFrame: true });
  await encoder.flush();
  encoder.close();
  let decoded;
  const decoder = new VideoDecoder({
    output(frame) {
      decoded = frame;
    },
    error: failed,
  });
  decoder.configure(config);
  for (const chunk of chunks) decoder.decode(chunk);
  await decoder.flush();
  decoder.close();
  const data = new Uint8Array(decoded.allocationSize());
  await decoded.copyTo(data);
  const found = decoded.format === "I420P10" ? new Uint16Array(data.buffer) : data;
  decoded.close();
  return found;
}

await test("a frame is encoded alike whether something has read it before or not", async () => {
  const [width, height] = [64, 48];
  const data = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set(i % 8 < 4 ? [220, 40, 40, 255] : [40, 40, 220, 255], i * 4);
  const texture = target(width, height);
  device.queue.writeTexture({ texture }, data, { bytesPerRow: width * 4 }, [width, height]);
  const found = [];
  for (const before of [false, true]) {
    const frame = new VideoFrame(texture, { timestamp: 0, alpha: "discard" });
    if (before) await frame.copyTo(new Uint8Array(frame.allocationSize()));
    found.push(await encoded(frame, "vp8"));
    frame.close();
  }
  const [unread, read] = found;
  const off = unread.reduce((worst, value, i) => Math.max(worst, Math.abs(value - read[i])), 0);
  assert(off <= 6, `code values differ by ${off}`);
});

await test("RGB in CPU memory is encoded with the depth of the codec", async () => {
  const [width, height, rgb] = [64, 48, [51, 204, 102]];
  const data = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set([...rgb, 255], i * 4);
  const frame = new VideoFrame(data, { format: "RGBX", codedWidth: width, codedHeight: height, timestamp: 0 });
  const planes = await encoded(frame, "av01.0.04M.10");
  frame.close();
  const [r, g, b] = rgb.map((code) => code / 255);
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  const wanted = [64 + 876 * y, 512 + 896 * (b - y) / 1.8556, 512 + 896 * (r - y) / 1.5748];
  const pixels = width * height;
  [pixels / 2 + 8, pixels + pixels / 8 + 4, pixels * 5 / 4 + pixels / 8 + 4].forEach((at, plane) => {
    const off = Math.abs(planes[at] - wanted[plane]);
    assert(off <= 1.5, `plane ${plane} has ${planes[at]}, not ${wanted[plane]}`);
  });
});

await test("what is transparent does not darken the edges of what is scaled", async () => {
  const data = new Uint8Array([255, 255, 255, 255, 0, 0, 0, 0]);
  const init = { format: "RGBA", codedWidth: 2, codedHeight: 1, timestamp: 0, displayWidth: 8, displayHeight: 1 };
  const frame = new VideoFrame(data, init);
  for (const source of [frame, await createImageBitmap(frame)]) {
    const texture = target(8, 1);
    device.queue.copyExternalImageToTexture({ source }, { texture }, [8, 1]);
    const found = await read(device, texture);
    const seen = [...Array(8).keys()].map((x) => found.subarray(x * 4, x * 4 + 4)).filter((texel) => texel[3] > 0);
    assert(seen.length > 4, `${seen.length} texels are seen`);
    for (const texel of seen) equal([...texel.subarray(0, 3)].join(), "255,255,255", `alpha ${texel[3]}`);
  }
  frame.close();
});

await test("ImageData of floats is copied to textures as it is, and to eight bits as it is shown", async () => {
  const values = new Float16Array([0.5, 1, -1, 0.25, 2, 1 / 1024, 0, 1]);
  const source = new ImageData(values, 2, 1, { pixelFormat: "rgba-float16" });
  const floats = device.createTexture({ size: [2, 1], format: "rgba16float", usage });
  device.queue.copyExternalImageToTexture({ source }, { texture: floats }, [2, 1]);
  const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture: floats }, { buffer, bytesPerRow: 256 }, [2, 1]);
  device.queue.submit([encoder.finish()]);
  await buffer.mapAsync(GPUMapMode.READ);
  equal([...new Float16Array(buffer.getMappedRange())].join(), [...values].join());
  buffer.destroy();

  const bytes = target(2, 1);
  device.queue.copyExternalImageToTexture({ source }, { texture: bytes, premultipliedAlpha: true }, [2, 1]);
  const found = await read(device, bytes);
  const wanted = [32, 64, 0, 64, 255, 0, 0, 255];
  assert(wanted.every((value, i) => Math.abs(value - found[i]) <= 1), `${found} is not ${wanted}`);

  const wide = new ImageData(2, 1, { pixelFormat: "rgba-float16", colorSpace: "display-p3" });
  wide.data.set([1, 0, 0, 1, 1, 1, 1, 1]);
  device.queue.copyExternalImageToTexture({ source: wide }, { texture: floats }, [2, 1]);
  device.queue.copyExternalImageToTexture({ source: wide }, { texture: bytes }, [2, 1]);
  equal([...await read(device, bytes)].join(), "255,0,0,255,255,255,255,255");
});

const TEXTURE = "@group(0) @binding(0) var t: texture_external;";
const SAMPLER = "@group(0) @binding(1) var s: sampler;";
const FRAGMENT = `@fragment fn fs(@builtin(position) at: vec4f) -> @location(0) vec4f {
  return textureSampleBaseClampToEdge(t, s, at.xy / vec2f(textureDimensions(t)));
}`;
const vertex = (used) =>
  `@vertex fn vs(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
  return vec4f(f32(i & 1) * 4 - 1, f32(i >> 1) * 4 - 1, 0, 1) + 0 * ${used};
}`;

await test("a derived layout takes stages of which one alone samples an external texture", async () => {
  const data = new Uint8Array(8 * 8 * 4).fill(200);
  const frame = new VideoFrame(data, { format: "RGBX", codedWidth: 8, codedHeight: 8, timestamp: 0 });
  const module = (code) => device.createShaderModule({ code });
  for (const used of ["vec4f(vec2f(textureDimensions(t)), 0, 0)", "textureLoad(t, vec2u(0))"]) {
    const one = module(TEXTURE + SAMPLER + vertex(used) + FRAGMENT);
    const two = [module(TEXTURE + vertex(used)), module(TEXTURE + SAMPLER + FRAGMENT)];
    for (const [first, second] of [[one, one], two]) {
      const descriptor = {
        layout: "auto",
        vertex: { module: first },
        fragment: { module: second, entryPoint: "fs", targets: [{ format: "rgba8unorm" }] },
      };
      const { createRenderPipelineAsync } = device;
      await rejects(createRenderPipelineAsync.call({}, descriptor), "TypeError");
      device.pushErrorScope("validation");
      for (const pipeline of [device.createRenderPipeline(descriptor), await device.createRenderPipelineAsync(descriptor)]) {
        const texture = target(8, 8);
        const group = device.createBindGroup({
          layout: pipeline.getBindGroupLayout(0),
          entries: [
            { binding: 0, resource: device.importExternalTexture({ source: frame }) },
            { binding: 1, resource: device.createSampler({ magFilter: "linear" }) },
          ],
        });
        const encoder = device.createCommandEncoder();
        const view = texture.createView();
        const pass = encoder.beginRenderPass({ colorAttachments: [{ view, loadOp: "clear", storeOp: "store" }] });
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.draw(3);
        pass.end();
        device.queue.submit([encoder.finish()]);
        equal((await read(device, texture))[100], 200, used);
      }
      const error = await device.popErrorScope();
      equal(error, null, error?.message);
    }
  }
  frame.close();
});

finish();
