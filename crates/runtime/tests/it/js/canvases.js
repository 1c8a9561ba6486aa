// Canvases for tests, on a device that they share, and what is on them.
import { assert } from "./harness.js";

const adapter = await navigator.gpu.requestAdapter();
assert(adapter !== null, "there is no GPU adapter: install mesa-vulkan-drivers (./x setup)");
export const device = await adapter.requestDevice();

export const near = (found, wanted, most = 1) =>
  assert(found.length >= wanted.length && wanted.every((value, i) => Math.abs(value - found[i]) <= most), `${[...found.slice(0, 8)]} is not ${wanted}`);

/** ImageData whose pixels say where they are. */
export function chart(width, height, alpha = 255) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set([x * 8, y * 8, 100, alpha], (y * width + x) * 4);
  }
  return new ImageData(data, width, height);
}

/** A canvas with a bitmap. */
export async function bitmapCanvas(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("bitmaprenderer").transferFromImageBitmap(await createImageBitmap(image));
  return canvas;
}

/** A canvas whose pixels are all `color`, of 0 to 1, as they stand in its texture. */
export function webgpuCanvas(width, height, color, configuration = {}) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("webgpu");
  context.configure({ device, format: "rgba8unorm", ...configuration });
  clear(context, color);
  return canvas;
}

export function clear(context, [r, g, b, a]) {
  const encoder = device.createCommandEncoder();
  const view = context.getCurrentTexture().createView();
  encoder.beginRenderPass({ colorAttachments: [{ view, loadOp: "clear", storeOp: "store", clearValue: { r, g, b, a } }] }).end();
  device.queue.submit([encoder.finish()]);
}

/** The bytes of a frame as they are. */
export async function pixels(frame, options) {
  const data = new Uint8Array(frame.allocationSize(options));
  await frame.copyTo(data, options);
  return data;
}
