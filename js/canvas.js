// OffscreenCanvas and ImageBitmap as sources and results of frames, where deno_canvas and deno_image are.
//
// deno_canvas keeps its types to itself, so Rust reads a canvas through the functions here; and it does not say whether a
// canvas has a context, so that is remembered here.

import { core, primordials } from "ext:core/mod.js";
import { define, override } from "ext:webcodecs/support.js";

const {
  DataView,
  DataViewPrototypeGetUint16,
  DataViewPrototypeGetUint32,
  Float32Array,
  MathAbs,
  MathCeil,
  MathMax,
  MathMin,
  ObjectGetOwnPropertyDescriptor,
  ObjectHasOwn,
  ObjectPrototypeIsPrototypeOf,
  RangeError,
  ReflectApply,
  SafeWeakMap,
  TypeError,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetLength,
  TypedArrayPrototypeGetSymbolToStringTag,
  TypedArrayPrototypeSet,
  TypedArrayPrototypeSubarray,
  Uint8Array,
  Uint8ClampedArray,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;

const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

const { ImageBitmapRenderingContext, OffscreenCanvas } = core.ops;

/** OffscreenCanvas -> its context. */
const contextOf = new SafeWeakMap();
/** ImageBitmap -> what V8 was told of its memory, which deno_image tells it nothing of. */
const memoryOf = new SafeWeakMap();

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

function invalidState(message) {
  const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
  return new DOMException(message, "InvalidStateError");
}

/** The getters of an interface, each as a function of the object. They throw where it is not of the interface. */
function getters(prototype, names) {
  const all = { __proto__: null };
  for (let i = 0; i < names.length; i++) {
    const { get } = ObjectGetOwnPropertyDescriptor(prototype, names[i]);
    all[names[i]] = (object) => ReflectApply(get, object, []);
  }
  return all;
}

/** The pixels of ImageData, eight bits each; deno_image's way from floats. */
function pixelsOf(data) {
  if (TypedArrayPrototypeGetSymbolToStringTag(data) !== "Float16Array") return data;
  const length = TypedArrayPrototypeGetLength(data);
  const pixels = new Uint8ClampedArray(length);
  for (let i = 0; i < length; i++) pixels[i] = data[i] * 255;
  return pixels;
}

/** The numbers of ImageData as Rust converts them to other colours: eight bits each, or floats of 32. */
function numbersOf(data) {
  return TypedArrayPrototypeGetSymbolToStringTag(data) === "Float16Array" ? new Float32Array(data) : data;
}

/** Whether Rust is given floats. */
function areFloats(numbers) {
  return TypedArrayPrototypeGetSymbolToStringTag(numbers) === "Float32Array";
}

/** The pixels of an image of `width` by `height` that a rectangle covers, transparent black where it covers none. */
function cropped(pixels, width, height, { x, y, width: across, height: down }) {
  const length = across * down * 4;
  const result = areFloats(pixels) ? new Float32Array(length) : new Uint8ClampedArray(length);
  const left = MathMax(x, 0);
  const right = MathMin(x + across, width);
  const bottom = MathMin(y + down, height);
  if (left >= right) return result;
  for (let row = MathMax(y, 0); row < bottom; row++) {
    const start = row * width;
    const part = TypedArrayPrototypeSubarray(pixels, (start + left) * 4, (start + right) * 4);
    TypedArrayPrototypeSet(result, part, ((row - y) * across + left - x) * 4);
  }
  return result;
}

/**
 * The width and height that the bytes of an image file say, of the formats in which they may be more than memory has room for;
 * else undefined. Only for a limit: what is wrong with a file its decoder says.
 */
function storedSize(bytes) {
  const view = new DataView(TypedArrayPrototypeGetBuffer(bytes));
  const end = TypedArrayPrototypeGetLength(bytes);
  const u16 = (at, little) => DataViewPrototypeGetUint16(view, at, little);
  const u32 = (at, little) => DataViewPrototypeGetUint32(view, at, little);
  const u24 = (at) => u32(at - 1, true) >>> 8;
  if (end < 30) return undefined;
  switch (u16(0, false)) {
    // PNG: IHDR, which is the first chunk. https://www.w3.org/TR/png-3/#11IHDR
    case 0x8950:
      return [u32(16, false), u32(20, false)];
    // GIF: the logical screen. https://www.w3.org/Graphics/GIF/spec-gif89a.txt
    case 0x4749:
      return [u16(6, true), u16(8, true)];
    // BMP: rows that go down have a negative height. The header of 12 bytes is that of OS/2.
    case 0x424d:
      return u32(14, true) === 12
        ? [u16(18, true), u16(20, true)]
        : [MathAbs(u32(18, true) | 0), MathAbs(u32(22, true) | 0)];
    // WebP: only a VP8X chunk has room for large sizes. RFC 9649, section 2.7.1
    case 0x5249:
      return u32(12, false) === 0x56503858 ? [u24(24) + 1, u24(27) + 1] : undefined;
    // ICO: pictures are PNG files, or bitmaps without the header of the file. What their entries say is at most 256.
    case 0x0000: {
      let most;
      for (let entry = 6; entry < 6 + 16 * u16(4, true) && entry + 16 <= end; entry += 16) {
        const at = u32(entry + 12, true);
        if (at + 24 > end) continue;
        const size = u16(at, false) === 0x8950
          ? [u32(at + 16, false), u32(at + 20, false)]
          : [MathAbs(u32(at + 4, true) | 0), MathAbs(u32(at + 8, true) | 0)];
        if (most === undefined || size[0] * size[1] > most[0] * most[1]) most = size;
      }
      return most;
    }
    // JPEG: the first frame header, SOF. ITU-T T.81, B.2.2. What stands between segments decoders pass over.
    case 0xffd8:
      for (let at = 2; at + 9 <= end;) {
        const marker = bytes[at] === 0xff ? bytes[at + 1] : undefined;
        const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
        if (isFrame) return [u16(at + 7, false), u16(at + 5, false)];
        // A byte that is none of a marker or fills; a marker without a segment (B.1.1.3); or one whose length counts from behind it.
        if (marker === undefined || marker === 0xff) at += 1;
        else if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd9)) at += 2;
        else at += 2 + u16(at + 2, false);
      }
  }
  return undefined;
}

/**
 * The size of the bitmap that is made of a rectangle, as resizeWidth and resizeHeight have it: steps 3 and 4 of
 * https://html.spec.whatwg.org/#cropped-to-the-source-rectangle-with-formatting
 */
function outputSize({ width, height }, { resizeWidth, resizeHeight }) {
  const derived = (side, resized, other) => resized === undefined ? side : MathCeil(side * resized / other);
  return {
    __proto__: null,
    width: resizeWidth ?? derived(width, resizeHeight, height),
    height: resizeHeight ?? derived(height, resizeWidth, width),
  };
}

// https://html.spec.whatwg.org/#imageencodeoptions
const convertEncodeOptions = webidl.createDictionaryConverter("ImageEncodeOptions", [
  { key: "type", converter: webidl.converters.DOMString, defaultValue: "image/png" },
  { key: "quality", converter: webidl.converters["unrestricted double"] },
]);

/**
 * Adds what is made of frames and canvases to what deno_image and deno_canvas have:
 * - createImageBitmap() takes VideoFrame and OffscreenCanvas: https://html.spec.whatwg.org/#dom-createimagebitmap
 * - transferToImageBitmap() and convertToBlob() of canvases with a "webgpu" context read every format as it is meant;
 *   deno_webgpu takes each for rgba8unorm.
 * - convertToBlob() of every canvas blends what has alpha where the file has none.
 * - V8 knows of the memory of bitmaps, so that it collects them in time.
 */
export function extendImages(global, VideoFrame) {
  const {
    GPUCanvasContext,
    ImageBitmap,
    op_create_image_bitmap,
    op_gpu_canvas_bitmap,
    op_gpu_copy_bitmap,
    op_gpu_frame_pixels,
    op_gpu_hold_bitmap,
    op_gpu_max_frame_pixels,
    op_gpu_release_bitmap,
    op_gpu_srgb_pixels,
  } = core.ops;
  if (op_create_image_bitmap === undefined || op_gpu_frame_pixels === undefined) {
    return;
  }
  const load = core.createLazyLoader("ext:deno_image/01_image.js");
  const { prototype } = VideoFrame;
  const { close } = prototype;
  const frames = getters(prototype, ["codedHeight", "codedWidth", "displayHeight", "displayWidth", "rotation"]);
  const bitmaps = getters(ImageBitmap.prototype, ["width", "height"]);
  /** ImageData and its getters, when they are first needed. */
  let images;
  const loadImages = () => {
    if (images === undefined) {
      const { ImageData, ImageDataPrototype } = core.loadExtScript("ext:deno_web/16_image_data.js");
      images = { __proto__: null, ImageData, ImageDataPrototype, ...getters(ImageDataPrototype, ["colorSpace", "data", "height", "width"]) };
    }
    return images;
  };

  /** Refuses images that memory may have no room for, before any is asked for. */
  function checkArea(width, height) {
    const most = op_gpu_max_frame_pixels();
    if (!(width * height <= most)) throw invalidState(`${width}x${height} is more than ${most} pixels`);
  }

  /** `bitmap`, whose memory V8 knows of until it is garbage, or gone before. */
  function held(bitmap) {
    WeakMapPrototypeSet(memoryOf, bitmap, op_gpu_hold_bitmap(bitmap));
    return bitmap;
  }

  /** The pixels of `bitmap` are no longer its own. */
  function release(bitmap) {
    const memory = WeakMapPrototypeGet(memoryOf, bitmap);
    if (memory !== undefined) op_gpu_release_bitmap(memory);
  }

  const { close: closeBitmap } = ImageBitmap.prototype;
  override(ImageBitmap.prototype, "close", (original) =>
    function () {
      ReflectApply(original, this, arguments);
      release(this);
    });

  /** The frame, canvas or bitmap as ImageData that shows what it shows now: upright, at its display size, in sRGB. */
  async function imageData(image, overBlack = false) {
    // Checks the usability of the image argument, and is done before this function returns.
    const frame = new VideoFrame(image, { __proto__: null, timestamp: 0 });
    try {
      const width = frames.displayWidth(frame);
      const height = frames.displayHeight(frame);
      checkArea(width, height);
      // Where the frame is scaled, its height is first.
      checkArea(frames.rotation(frame) % 180 === 0 ? frames.codedWidth(frame) : frames.codedHeight(frame), height);
      const pixels = await op_gpu_frame_pixels(frame, overBlack);
      const { ImageData } = loadImages();
      return new ImageData(new Uint8ClampedArray(TypedArrayPrototypeGetBuffer(pixels)), width, height);
    } finally {
      ReflectApply(close, frame, []);
    }
  }

  // What is on the global object may be loaded when it is first read: it is not read here.
  if (ObjectHasOwn(global, "createImageBitmap")) {
    define(global, "createImageBitmap", async function createImageBitmap(image) {
      const { createImageBitmap: original } = load();
      const { BlobPrototype } = core.loadExtScript("ext:deno_web/09_file.js");
      const { ImageData, ImageDataPrototype, ...ofData } = loadImages();
      const prefix = "Failed to execute 'createImageBitmap'";
      const count = arguments.length;
      webidl.requiredArguments(count, 1, prefix);
      // https://webidl.spec.whatwg.org/#js-overloads: one overload takes one or two arguments, the other five or six.
      if (count === 3 || count === 4) throw new TypeError(`${prefix}: there is no overload of ${count} arguments`);

      const isBlob = ObjectPrototypeIsPrototypeOf(BlobPrototype, image);
      const isData = ObjectPrototypeIsPrototypeOf(ImageDataPrototype, image);
      const isBitmap = ObjectPrototypeIsPrototypeOf(ImageBitmap.prototype, image);
      const isFrame = ObjectPrototypeIsPrototypeOf(prototype, image);
      if (!isBlob && !isData && !isBitmap && !isFrame && canvasHost.canvasSize?.(image) === undefined) {
        throw new TypeError(`${prefix}: Argument 1 is not a Blob, ImageData, ImageBitmap, VideoFrame or OffscreenCanvas`);
      }
      const sides = [];
      for (let i = 1; count > 4 && i < 5; i++) {
        sides[i - 1] = webidl.converters.long(arguments[i], prefix, `Argument ${i + 1}`);
      }
      const at = sides.length + 1;
      const options = webidl.converters.ImageBitmapOptions(arguments[at], prefix, `Argument ${at + 1}`);
      const { colorSpaceConversion, imageOrientation, resizeHeight, resizeQuality, resizeWidth } = options;
      // No bitmap is stored multiplied by alpha, so there is nothing to divide either. deno_image would multiply and
      // divide without a note of which bitmap is what; who reads one multiplies where that is wanted.
      const premultiplyAlpha = "default";

      // 1. If either sw or sh is given and is 0, then return a promise rejected with a RangeError.
      const { 0: sx, 1: sy, 2: sw, 3: sh } = sides;
      if (sw === 0 || sh === 0) throw new RangeError(`${prefix}: sw and sh must not be 0`);
      // 2. If either options's resizeWidth or options's resizeHeight is present and is 0, then return a promise rejected with
      //    an "InvalidStateError" DOMException.
      if (resizeWidth === 0 || resizeHeight === 0) {
        throw invalidState(`${prefix}: resizeWidth and resizeHeight must not be 0`);
      }
      const isWhole = sw === undefined && resizeWidth === undefined && resizeHeight === undefined;
      if (isBlob) {
        const buffer = await image.arrayBuffer();
        const stored = storedSize(new Uint8Array(buffer));
        if (stored !== undefined) checkArea(stored[0], stored[1]);
        // The bytes that were looked at, and no copy of them.
        const file = { __proto__: BlobPrototype, arrayBuffer: () => buffer };
        // The rectangle and the sizes are of the picture as it is shown, which deno_image turns last: it is whole before them.
        const decoding = { __proto__: null, colorSpaceConversion, premultiplyAlpha };
        if (isWhole) decoding.imageOrientation = imageOrientation;
        image = await ReflectApply(original, undefined, [file, decoding]);
        if (isWhole) return held(image);
      }

      // 3. Check the usability of the image argument. What is closed, detached or empty has no pixels.
      const { 0: width, 1: height } = isData
        ? [ofData.width(image), ofData.height(image)]
        : isBitmap || isBlob
        ? [bitmaps.width(image), bitmaps.height(image)]
        : isFrame
        ? [frames.displayWidth(image), frames.displayHeight(image)]
        : canvasHost.canvasSize(image);
      if (width === 0 || height === 0 || (isData && TypedArrayPrototypeGetLength(ofData.data(image)) === 0)) {
        throw invalidState(`${prefix}: the image is closed, detached or empty`);
      }

      // https://html.spec.whatwg.org/#cropped-to-the-source-rectangle-with-formatting
      // 2. The source rectangle. Of a negative size, it lies to the left of its corner or above.
      const source = sw === undefined
        ? { __proto__: null, x: 0, y: 0, width, height }
        : { __proto__: null, x: MathMin(sx, sx + sw), y: MathMin(sy, sy + sh), width: MathAbs(sw), height: MathAbs(sh) };
      // 3. and 4. The size of the result.
      const output = outputSize(source, options);
      checkArea(source.width, source.height);
      checkArea(output.width, output.height);
      if (isBitmap && isWhole && imageOrientation !== "flipY") return held(op_gpu_copy_bitmap(image));

      // 5. and 6. Of ImageData at once: its pixels are the script's. 9. Its colours are what its colorSpace says; the option
      // colorSpaceConversion is of files.
      let part = isData ? image : await imageData(image);
      // Nobody else has the bitmap of a file.
      if (isBlob) ReflectApply(closeBitmap, image, []);
      const isCut = source.x !== 0 || source.y !== 0 || source.width !== width || source.height !== height;
      const isWide = ofData.colorSpace(part) !== "srgb";
      if (isCut || isWide) {
        const data = ofData.data(part);
        let pixels = isWide ? numbersOf(data) : pixelsOf(data);
        if (isCut) pixels = cropped(pixels, width, height, source);
        if (isWide) {
          const converted = await op_gpu_srgb_pixels(pixels, areFloats(pixels), source.width, source.height);
          pixels = new Uint8ClampedArray(TypedArrayPrototypeGetBuffer(converted));
        }
        part = new ImageData(pixels, source.width, source.height);
      }
      // 7. to 10. deno_image scales the height first, as floats: where that would be the larger picture, the width is first.
      if (output.height > source.height && source.width * output.height > op_gpu_max_frame_pixels()) {
        const narrow = { __proto__: null, premultiplyAlpha, resizeHeight: source.height, resizeQuality, resizeWidth: output.width };
        const between = await ReflectApply(original, undefined, [part, narrow]);
        part = await imageData(between);
        ReflectApply(closeBitmap, between, []);
      }
      const last = { __proto__: null, imageOrientation, premultiplyAlpha, resizeQuality };
      if (output.width !== source.width || output.height !== source.height) {
        last.resizeWidth = output.width;
        last.resizeHeight = output.height;
      }
      return held(await ReflectApply(original, undefined, [part, last]));
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

  /** Whether `value` is a canvas with a context and has pixels. */
  function hasPixels(value) {
    const size = canvasHost.canvasSize(value);
    return size !== undefined && size[0] > 0 && size[1] > 0 && canvasHost.canvasContext(value) !== null;
  }

  /** Whether `value` is a canvas with a "webgpu" context and has pixels. */
  function isDrawn(value) {
    return hasPixels(value) && ObjectPrototypeIsPrototypeOf(GPUCanvasContext.prototype, canvasHost.canvasContext(value));
  }

  // https://html.spec.whatwg.org/#dom-imagebitmaprenderingcontext-transferfromimagebitmap
  override(ImageBitmapRenderingContext.prototype, "transferFromImageBitmap", (original) =>
    function (bitmap) {
      ReflectApply(original, this, arguments);
      release(bitmap);
    });

  // https://html.spec.whatwg.org/#dom-offscreencanvas-transfertoimagebitmap
  override(OffscreenCanvas.prototype, "transferToImageBitmap", (original) =>
    function () {
      return held(isDrawn(this) ? op_gpu_canvas_bitmap(this) : ReflectApply(original, this, arguments));
    });

  // https://html.spec.whatwg.org/#dom-offscreencanvas-converttoblob
  override(OffscreenCanvas.prototype, "convertToBlob", (original) =>
    async function (given) {
      if (!hasPixels(this)) {
        return await ReflectApply(original, this, arguments);
      }
      const prefix = "Failed to execute 'convertToBlob' on 'OffscreenCanvas'";
      const { quality, type } = convertEncodeOptions(given, prefix, "Argument 1");
      const options = { __proto__: null, quality, type };
      // https://html.spec.whatwg.org/#a-serialisation-of-the-bitmap-as-a-file
      // For image types that do not support an alpha channel, the bitmap is composited onto a solid black background.
      // deno_canvas leaves alpha out. The other types that it writes have it.
      const isOpaque = type === "image/jpeg";
      if (!isOpaque && !isDrawn(this)) {
        return await ReflectApply(original, this, [options]);
      }
      const data = await imageData(this, isOpaque);
      const bitmap = await load().createImageBitmap(data);
      if (encoder === undefined) {
        const canvas = new OffscreenCanvas(0, 0);
        encoder = { canvas, context: ReflectApply(getContext, canvas, ["bitmaprenderer"]) };
      }
      const { canvas, context } = encoder;
      ReflectApply(transferFromImageBitmap, context, [bitmap]);
      // The blob is made before the call returns.
      const blob = ReflectApply(original, canvas, [options]);
      ReflectApply(setWidth, canvas, [0]);
      return await blob;
    });
}
