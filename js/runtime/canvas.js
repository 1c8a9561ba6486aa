// OffscreenCanvas, with a limit to its size: deno_canvas asks for the memory of any, and where there is not as much the
// process ends. https://html.spec.whatwg.org/#the-offscreencanvas-interface

(function () {
const { core, primordials } = __bootstrap;
const {
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptor,
  Proxy,
  RangeError,
  ReflectApply,
  ReflectConstruct,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { OffscreenCanvas } = core.ops;
const { prototype } = OffscreenCanvas;

/** As many pixels as browsers give a canvas at most: 16384 by 16384, or a gibibyte. */
const MOST_PIXELS = 2 ** 28;

function side(value, prefix, context) {
  return webidl.converters["unsigned long long"](value, prefix, context, { enforceRange: true });
}

function check(width, height, prefix) {
  // One side may be 0; deno_canvas keeps 32 bits of each.
  if (width * height > MOST_PIXELS || width > MOST_PIXELS || height > MOST_PIXELS) {
    throw new RangeError(`${prefix}: ${width}x${height} is more than ${MOST_PIXELS} pixels`);
  }
}

const width = ObjectGetOwnPropertyDescriptor(prototype, "width");
const height = ObjectGetOwnPropertyDescriptor(prototype, "height");

function limitSetter(name, attribute, other) {
  ObjectDefineProperty(prototype, name, {
    __proto__: null,
    ...attribute,
    set(value) {
      // Also checks that `this` is an OffscreenCanvas.
      const across = ReflectApply(other.get, this, []);
      const prefix = `Failed to set '${name}' on 'OffscreenCanvas'`;
      const length = side(value, prefix, "Value");
      check(length, across, prefix);
      ReflectApply(attribute.set, this, [length]);
    },
  });
}
limitSetter("width", width, height);
limitSetter("height", height, width);

const limited = new Proxy(OffscreenCanvas, {
  __proto__: null,
  construct(target, args, newTarget) {
    if (args.length >= 2) {
      const prefix = "Failed to construct 'OffscreenCanvas'";
      const size = [side(args[0], prefix, "Argument 1"), side(args[1], prefix, "Argument 2")];
      check(size[0], size[1], prefix);
      args = size;
    }
    return ReflectConstruct(target, args, newTarget);
  },
  apply() {
    throw new TypeError("Constructor OffscreenCanvas requires 'new'");
  },
});
ObjectDefineProperty(prototype, "constructor", {
  __proto__: null,
  value: limited,
  writable: true,
  enumerable: false,
  configurable: true,
});

return { OffscreenCanvas: limited };
})();
