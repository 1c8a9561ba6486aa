// OffscreenCanvas and ImageBitmap as sources and results of frames, where deno_canvas and deno_image are.
//
// deno_canvas keeps its types to itself, so Rust reads a canvas through the functions here; and it does not say whether a
// canvas has a context, so that is remembered here.

import { core, primordials } from "ext:core/mod.js";
import { define, override } from "ext:webcodecs/support.js";

const {
  ObjectGetOwnPropertyDescriptor,
  ObjectHasOwn,
  ObjectPrototypeIsPrototypeOf,
  ReflectApply,
  SafeArrayIterator,
  SafeWeakMap,
  TypedArrayPrototypeGetBuffer,
  Uint8ClampedArray,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;

const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

const { ImageBitmapRenderingContext, OffscreenCanvas } = core.ops;

/** OffscreenCanvas -> its context. */
const contextOf = new SafeWeakMap();

/** What Rust calls: `crates/webcodecs/src/webidl/host.rs`. Without deno_canvas nothing is a canvas. */
export const canvasHost = OffscreenCanvas === undefined ? { __proto__: null } : watch();

function watch() {
  const { prototype } = OffscreenCanvas;
  const { get: width } = ObjectGetOwnPropertyDescriptor(prototype, "width");
  const { get: height } = ObjectGetOwnPropertyDescriptor(prototype, "height");
  const { transferToImageBitmap } = prototype;
  const { transferFromImageBitmap } = ImageBitmapRenderingContext.prototype;

  override(prototype, "getContext", (original) =>
    function () {
      const context = ReflectApply(original, this, arguments);
      if (context !== null) WeakMapPrototypeSet(contextOf, this, context);
      return context;
    });

  return {
    __proto__: null,
    /** The width and height of an OffscreenCanvas; undefined for anything else. */
    canvasSize(value) {
      try {
        return [ReflectApply(width, value, []), ReflectApply(height, value, [])];
      } catch {
        return undefined;
      }
    },
    /** The context that the canvas has, or null. */
    canvasContext(canvas) {
      return WeakMapPrototypeGet(contextOf, canvas) ?? null;
    },
    /** A copy of the bitmap of a canvas with a "bitmaprenderer" context. */
    canvasBitmap(canvas) {
      // There is no way to look at the bitmap where it is: it is taken out, which copies nothing, and put back.
      const bitmap = ReflectApply(transferToImageBitmap, canvas, []);
      const copy = core.ops.op_gpu_copy_bitmap(bitmap);
      ReflectApply(transferFromImageBitmap, WeakMapPrototypeGet(contextOf, canvas), [bitmap]);
      return copy;
    },
  };
}

/**
 * Adds what is made of frames and canvases to what deno_image and deno_canvas have:
 * - createImageBitmap() takes VideoFrame and OffscreenCanvas: https://html.spec.whatwg.org/#dom-createimagebitmap
 * - transferToImageBitmap() and convertToBlob() of canvases with a "webgpu" context read every format as it is meant;
 *   deno_webgpu takes each for rgba8unorm.
 */
export function extendImages(global, VideoFrame) {
  const { GPUCanvasContext, op_create_image_bitmap, op_gpu_canvas_bitmap, op_gpu_frame_pixels } = core.ops;
  if (op_create_image_bitmap === undefined || op_gpu_frame_pixels === undefined) {
    return;
  }
  const load = core.createLazyLoader("ext:deno_image/01_image.js");
  const { prototype } = VideoFrame;
  const { close } = prototype;
  const { get: displayWidth } = ObjectGetOwnPropertyDescriptor(prototype, "displayWidth");
  const { get: displayHeight } = ObjectGetOwnPropertyDescriptor(prototype, "displayHeight");

  /** The frame or canvas as ImageData that shows what it shows now: upright, at its display size, in sRGB. */
  async function imageData(image) {
    // Checks the usability of the image argument, and is done before this function returns.
    const frame = new VideoFrame(image, { __proto__: null, timestamp: 0 });
    try {
      const pixels = await op_gpu_frame_pixels(frame);
      const { ImageData } = core.loadExtScript("ext:deno_web/16_image_data.js");
      const data = new Uint8ClampedArray(TypedArrayPrototypeGetBuffer(pixels));
      return new ImageData(data, ReflectApply(displayWidth, frame, []), ReflectApply(displayHeight, frame, []));
    } finally {
      ReflectApply(close, frame, []);
    }
  }

  // What is on the global object may be loaded when it is first read: it is not read here.
  if (ObjectHasOwn(global, "createImageBitmap")) {
    define(global, "createImageBitmap", async function createImageBitmap(image) {
      const { createImageBitmap: original } = load();
      const prefix = "Failed to execute 'createImageBitmap'";
      const rest = [];
      if (arguments.length > 2) {
        for (let i = 1; i < 5; i++) rest[i - 1] = webidl.converters.long(arguments[i], prefix, `Argument ${i + 1}`);
      }
      const at = rest.length + 1;
      const options = webidl.converters.ImageBitmapOptions(arguments[at], prefix, `Argument ${at + 1}`);
      // No bitmap is stored multiplied by alpha, so there is nothing to divide either. deno_image would multiply and
      // divide without a note of which bitmap is what; who reads one multiplies where that is wanted.
      rest[at - 1] = { __proto__: null, ...options, premultiplyAlpha: "default" };
      const ours = ObjectPrototypeIsPrototypeOf(prototype, image) || canvasHost.canvasSize?.(image) !== undefined;
      const source = ours ? await imageData(image) : image;
      return await ReflectApply(original, undefined, [source, ...new SafeArrayIterator(rest)]);
    });
  }

  if (OffscreenCanvas === undefined) {
    return;
  }

  const { getContext } = OffscreenCanvas.prototype;
  const { transferFromImageBitmap } = ImageBitmapRenderingContext.prototype;
  const { set: setWidth } = ObjectGetOwnPropertyDescriptor(OffscreenCanvas.prototype, "width");
  /** The canvas that encodes bitmaps, and its context; one for all, since a canvas with a context is never garbage. */
  let encoder;

  /** Whether `value` is a canvas with a "webgpu" context and has pixels. */
  function isDrawn(value) {
    const size = canvasHost.canvasSize(value);
    return size !== undefined && size[0] > 0 && size[1] > 0 &&
      ObjectPrototypeIsPrototypeOf(GPUCanvasContext.prototype, canvasHost.canvasContext(value));
  }

  // https://html.spec.whatwg.org/#dom-offscreencanvas-transfertoimagebitmap
  override(OffscreenCanvas.prototype, "transferToImageBitmap", (original) =>
    function () {
      return isDrawn(this) ? op_gpu_canvas_bitmap(this) : ReflectApply(original, this, arguments);
    });

  // https://html.spec.whatwg.org/#dom-offscreencanvas-converttoblob
  override(OffscreenCanvas.prototype, "convertToBlob", (original) =>
    async function () {
      if (!isDrawn(this)) {
        return await ReflectApply(original, this, arguments);
      }
      const data = await imageData(this);
      const bitmap = await load().createImageBitmap(data);
      if (encoder === undefined) {
        const canvas = new OffscreenCanvas(0, 0);
        encoder = { canvas, context: ReflectApply(getContext, canvas, ["bitmaprenderer"]) };
      }
      const { canvas, context } = encoder;
      ReflectApply(transferFromImageBitmap, context, [bitmap]);
      // The blob is made before the call returns.
      const blob = ReflectApply(original, canvas, arguments);
      ReflectApply(setWidth, canvas, [0]);
      return await blob;
    });
}
