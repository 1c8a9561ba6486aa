// Bitmaps and files of canvases: their colours, their alpha, and their memory.
import { bitmapCanvas, near, pixels, webgpuCanvas } from "./canvases.js";
import { assert, equal, finish, rejects, test, throws } from "./harness.js";

/** The code values in sRGB of a colour in Display P3, of 0 to 1. */
function fromDisplayP3([r, g, b, a]) {
  const linear = (value) => Math.sign(value) * (Math.abs(value) <= 0.04045 ? Math.abs(value) / 12.92 : ((Math.abs(value) + 0.055) / 1.055) ** 2.4);
  const signal = (light) => light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055;
  const light = [r, g, b].map(linear);
  // https://www.w3.org/TR/css-color-4/#color-conversion-code: lin_P3_to_XYZ, then XYZ_to_lin_sRGB.
  const seen = [[1.2249401763, -0.2249401763, 0], [-0.0420569547, 1.0420569547, 0], [-0.0196375546, -0.0786360456, 1.0982736001]]
    .map((row) => signal(row.reduce((sum, factor, i) => sum + factor * light[i], 0)));
  return [...seen, a].map((value) => Math.round(Math.min(Math.max(value, 0), 1) * 255));
}

await test("a bitmap of ImageData in Display P3 has its colours, not its numbers", async () => {
  const colors = [
    [200, 100, 50, 255], [255, 0, 0, 255], [40, 220, 90, 128], [12, 200, 250, 1],
    [128, 128, 128, 0], [3, 5, 2, 255], [0, 255, 0, 200], [91, 17, 203, 77],
  ].map((color) => color.map((value) => value / 255));
  // Beyond Display P3: held within it, these would have other colours.
  const beyond = [[1.2, 0.5, -0.25, 1], [0.25, 1.5, 0.5, 0.5], [0.7, 0.2, 1.25, 1.5], [-0.5, 0.5, 0.5, -1]];
  const bytes = new Uint8ClampedArray(colors.flat().map((value) => value * 255));
  const floats = Float16Array.from([...colors.slice(0, 4), ...beyond].flat());
  for (const [data, pixelFormat, most] of [[bytes, "rgba-unorm8", 1], [floats, "rgba-float16", 0]]) {
    const make = () => new ImageData(data.slice(), 4, 2, { colorSpace: "display-p3", pixelFormat });
    const at = (i) => {
      const color = [...data.subarray(i * 4, i * 4 + 4)].map((value) => data === bytes ? value / 255 : value);
      return fromDisplayP3(color);
    };
    const check = async (bitmap, which) => {
      const found = await pixels(new VideoFrame(bitmap, { timestamp: 0 }));
      equal(found.length, which.length * 4);
      which.forEach((i, place) => {
        at(i).forEach((wanted, c) => {
          const value = found[place * 4 + c];
          assert(Math.abs(value - wanted) <= (c === 3 ? 0 : most), `${pixelFormat} ${i}: ${found.subarray(place * 4, place * 4 + 4)} is not ${at(i)}`);
        });
      });
    };
    await check(await createImageBitmap(make()), [0, 1, 2, 3, 4, 5, 6, 7]);
    await check(await createImageBitmap(make(), 1, 1, 2, 1), [5, 6]);
    await check(await createImageBitmap(make(), { imageOrientation: "flipY" }), [4, 5, 6, 7, 0, 1, 2, 3]);
    // The option is of the profiles of files.
    await check(await createImageBitmap(make(), { colorSpaceConversion: "none" }), [0, 1, 2, 3, 4, 5, 6, 7]);
    const outside = await pixels(new VideoFrame(await createImageBitmap(make(), -1, 0, 1, 1), { timestamp: 0 }));
    equal([...outside], [0, 0, 0, 0]);
    // The pixels are those of the call.
    const image = make();
    const later = createImageBitmap(image);
    image.data.fill(0);
    await check(await later, [0, 1, 2, 3, 4, 5, 6, 7]);
  }
  // In sRGB they stay as they are.
  const same = await createImageBitmap(new ImageData(bytes.slice(), 4, 2));
  equal([...await pixels(new VideoFrame(same, { timestamp: 0 }))], [...bytes]);
});

await test("what is transparent is black in a JPEG file, whichever context the canvas has", async () => {
  const first = async (blob) => [...(await pixels(new VideoFrame(await createImageBitmap(blob), { timestamp: 0 }), { format: "RGBA" })).subarray(0, 4)];
  const image = (color) => new ImageData(new Uint8ClampedArray(16 * 16 * 4).map((_, i) => color[i % 4]), 16, 16);
  for (const [color, onBlack] of [[[255, 128, 0, 128], [128, 64, 0, 255]], [[255, 200, 100, 0], [0, 0, 0, 255]], [[10, 120, 240, 255], [10, 120, 240, 255]]]) {
    const multiplied = color.map((value, i) => i < 3 ? value * color[3] / 255 / 255 : value / 255);
    const canvases = [await bitmapCanvas(image(color)), webgpuCanvas(16, 16, multiplied, { alphaMode: "premultiplied" })];
    for (const canvas of canvases) {
      near(await first(await canvas.convertToBlob({ type: "image/jpeg", quality: 1 })), onBlack, 4);
      // It keeps its alpha, and so does a file that has it.
      const kept = await first(await canvas.convertToBlob());
      equal(kept[3], color[3]);
      if (canvas === canvases[0]) equal(kept, color);
    }
  }
  const opaque = webgpuCanvas(16, 16, [0.5, 0.25, 0, 0.5]);
  near(await first(await opaque.convertToBlob({ type: "image/jpeg", quality: 1 })), [128, 64, 0, 255], 4);
  // The options are read once, in the order of WebIDL.
  for (const canvas of [opaque, await bitmapCanvas(image([1, 2, 3, 4]))]) {
    const reads = [];
    const options = {
      get type() {
        reads.push("type");
        return "image/jpeg";
      },
      get quality() {
        reads.push("quality");
        return "0.5";
      },
    };
    const text = new Uint8Array(await (await canvas.convertToBlob(options)).arrayBuffer()).subarray(0, 2);
    equal([reads.join(), ...text], ["quality,type", 255, 0xd8]);
    await rejects(canvas.convertToBlob({ type: "image/jpeg", get quality() { throw new RangeError("mine"); } }), "RangeError", "mine");
  }
});

await test("bitmaps that nobody closes are collected before memory runs out, however they were made", async () => {
  const [width, height] = [1280, 720];
  const image = new ImageData(width, height);
  const frame = new VideoFrame(image.data, { format: "RGBA", codedWidth: width, codedHeight: height, timestamp: 0 });
  const bitmap = await createImageBitmap(image);
  const drawn = webgpuCanvas(width, height, [1, 0, 0, 1]);
  const canvas = await bitmapCanvas(image);
  const context = canvas.getContext("bitmaprenderer");
  const ways = {
    data: () => createImageBitmap(image),
    bitmap: () => createImageBitmap(bitmap),
    frame: () => createImageBitmap(frame),
    "webgpu canvas": () => drawn.transferToImageBitmap(),
    // What comes into the canvas in the place of the bitmap is as large.
    "bitmaprenderer canvas": async () => {
      context.transferFromImageBitmap(await createImageBitmap(bitmap));
      return canvas.transferToImageBitmap();
    },
  };
  for (const [name, make] of Object.entries(ways)) {
    const before = Deno.memoryUsage().rss;
    let most = 0;
    // 740 MB.
    for (let i = 0; i < 200; i++) {
      const made = await make();
      if (i === 0) equal([made.width, made.height], [width, height], name);
      if (i % 10 === 0) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        most = Math.max(most, Deno.memoryUsage().rss - before);
      }
    }
    assert(most < 450e6, `${name}: ${most} bytes more`);
  }
  frame.close();
  // Those that are closed or transferred twice are as they were.
  context.transferFromImageBitmap(bitmap);
  bitmap.close();
  bitmap.close();
  equal(bitmap.width, 0);
  throws(() => context.transferFromImageBitmap(bitmap), "InvalidStateError");
  context.transferFromImageBitmap(null);
  throws(() => ImageBitmap.prototype.close.call({}), "TypeError");
  equal([ImageBitmap.prototype.close.name, ImageBitmapRenderingContext.prototype.transferFromImageBitmap.length], ["close", 1]);
});

finish();
