// WebGPU's side of WebCodecs, added to the objects of deno_webgpu where that extension is there:
// importExternalTexture() and copyExternalImageToTexture(), and `texture_external` in shaders, which wgpu has on Metal
// and DX12 only. There a VideoFrame becomes one RGBA texture, and shaders and layouts that ask for an external texture
// are given that.

import { core, primordials } from "ext:core/mod.js";
import { define, override } from "ext:webcodecs/support.js";

const {
  ArrayPrototypeMap,
  ArrayPrototypeSome,
  ObjectCreate,
  ObjectDefineProperty,
  ObjectPrototypeIsPrototypeOf,
  ObjectGetOwnPropertyDescriptor,
  PromisePrototypeThen,
  PromiseResolve,
  ReflectApply,
  SafeWeakMap,
  StringPrototypeIncludes,
  TypeError,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;

const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

/** Has a class add its private members to an object that is there already: less work than an entry in a WeakMap. */
class Given {
  constructor(object) {
    return object;
  }
}

/** What a GPUExternalTexture has: its label, and the GPUTextureView that shaders get in its place. */
class External extends Given {
  #view;
  #label;

  constructor(external, view, label) {
    super(external);
    this.#view = view;
    this.#label = label;
  }

  static is(value) {
    return typeof value === "object" && value !== null && #view in value;
  }

  static view(external) {
    return external.#view;
  }

  static label(external) {
    return external.#label;
  }

  static setLabel(external, label) {
    external.#label = label;
  }
}

/** What the view of an external texture has: the external texture, so that a second import of a frame gives the same. */
class ExternalView extends Given {
  #external;

  constructor(view, external) {
    super(view);
    this.#external = external;
  }

  static external(view) {
    return #external in view ? view.#external : undefined;
  }
}

/** GPUQueue -> its GPUDevice. */
const deviceOf = new SafeWeakMap();

const colorSpace = webidl.createEnumConverter("PredefinedColorSpace", ["srgb", "display-p3"]);
const unsigned = (value, prefix, context) =>
  webidl.converters["unsigned long"](value, prefix, context, { enforceRange: true });

/** Reads the members of a dictionary: an object, or nothing. */
function members(value, prefix, context) {
  if (value === undefined || value === null) {
    return { __proto__: null };
  }
  if (typeof value !== "object" && typeof value !== "function") {
    throw new TypeError(`${prefix}: ${context} can not be converted to a dictionary`);
  }
  return value;
}

function required(value, prefix, context) {
  if (value === undefined) {
    throw new TypeError(`${prefix}: ${context} is required`);
  }
  return value;
}

function isIterable(value) {
  return typeof value === "object" && value !== null && typeof value[primordials.SymbolIterator] === "function";
}

/** A GPUOrigin2D, GPUOrigin3D or GPUExtent3D: a sequence of numbers, or a dictionary. */
function coordinates(value, names, defaults, most, prefix, context) {
  if (isIterable(value)) {
    const found = [];
    for (const item of value) {
      found[found.length] = unsigned(item, prefix, context);
    }
    // A sequence of another length is a TypeError: https://www.w3.org/TR/webgpu/#abstract-opdef-validate-gpuextent3d-shape
    if (found.length > most || (defaults[0] === undefined && found.length === 0)) {
      throw new TypeError(`${prefix}: ${context} has ${found.length} numbers, at most ${most} are taken`);
    }
    return ArrayPrototypeMap(names, (_name, index) => found[index] ?? defaults[index] ?? 0);
  }
  const dictionary = members(value, prefix, context);
  return ArrayPrototypeMap(names, (name, index) => {
    const member = dictionary[name];
    if (member !== undefined) {
      return unsigned(member, prefix, `${name} of ${context}`);
    }
    return required(defaults[index], prefix, `${name} of ${context}`);
  });
}

/** Whether `descriptor` has entries of which `found` is true of one; reads no more than it must. */
function entriesOf(descriptor, found) {
  if (typeof descriptor !== "object" || descriptor === null || !isIterable(descriptor.entries)) {
    return undefined;
  }
  const entries = [];
  for (const entry of descriptor.entries) {
    entries[entries.length] = entry;
  }
  return ArrayPrototypeSome(entries, found) ? entries : undefined;
}

/** Adds to deno_webgpu's prototypes; does nothing where they are not there. */
function extendWebGPU() {
  const { GPUAdapter, GPUDevice, GPUExternalTexture, GPUQueue } = core.ops;
  const {
    op_gpu_copy_external_image,
    op_gpu_import_external_texture,
    op_gpu_know_device,
    op_gpu_lower_wgsl,
    op_gpu_retire_device,
    op_gpu_settle,
  } = core.ops;
  if (GPUDevice === undefined || op_gpu_lower_wgsl === undefined) {
    return;
  }
  const DevicePrototype = GPUDevice.prototype;
  const QueuePrototype = GPUQueue.prototype;

  override(GPUAdapter.prototype, "requestDevice", (original) =>
    function () {
      const device = ReflectApply(original, this, arguments);
      return PromisePrototypeThen(PromiseResolve(device), (device) => {
        op_gpu_know_device(device);
        return device;
      });
    });

  override(DevicePrototype, "destroy", (original) =>
    function () {
      // Also checks that `this` is a GPUDevice.
      op_gpu_retire_device(this);
      return ReflectApply(original, this, arguments);
    });

  // deno_webgpu does not say which device a queue is of; a script can only have got it here.
  const queue = ObjectGetOwnPropertyDescriptor(DevicePrototype, "queue");
  ObjectDefineProperty(DevicePrototype, "queue", {
    __proto__: null,
    ...queue,
    get() {
      const found = ReflectApply(queue.get, this, []);
      WeakMapPrototypeSet(deviceOf, found, this);
      return found;
    },
  });

  override(QueuePrototype, "submit", (original) =>
    function () {
      // Frames that were closed until now: their external textures are destroyed on another thread.
      const device = WeakMapPrototypeGet(deviceOf, this);
      if (device !== undefined) {
        op_gpu_settle(device);
      }
      return ReflectApply(original, this, arguments);
    });

  // https://www.w3.org/TR/webgpu/#dom-gpudevice-importexternaltexture
  define(DevicePrototype, "importExternalTexture", function importExternalTexture(descriptor) {
    const prefix = "Failed to execute 'importExternalTexture' on 'GPUDevice'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    const { label, source, colorSpace: space } = members(descriptor, prefix, "Argument 1");
    const view = op_gpu_import_external_texture(
      this,
      required(source, prefix, "source of Argument 1"),
      space !== undefined && colorSpace(space, prefix, "colorSpace of Argument 1") === "display-p3",
    );
    const known = ExternalView.external(view);
    if (known !== undefined) {
      return known;
    }
    const external = ObjectCreate(GPUExternalTexture.prototype);
    new External(
      external,
      view,
      label === undefined ? "" : webidl.converters.USVString(label, prefix, "label of Argument 1"),
    );
    new ExternalView(view, external);
    return external;
  });

  ObjectDefineProperty(GPUExternalTexture.prototype, "label", {
    __proto__: null,
    get() {
      if (!External.is(this)) {
        throw new TypeError("Illegal invocation");
      }
      return External.label(this);
    },
    set(value) {
      if (!External.is(this)) {
        throw new TypeError("Illegal invocation");
      }
      External.setLabel(this, webidl.converters.USVString(value));
    },
    enumerable: true,
    configurable: true,
  });

  override(DevicePrototype, "createShaderModule", (original) =>
    function (descriptor) {
      const code = descriptor?.code;
      // Only a hint, which spares all other shaders a second parsing: the word may be in a comment.
      if (typeof code === "string" && StringPrototypeIncludes(code, "texture_external")) {
        const lowered = op_gpu_lower_wgsl(this, code);
        if (lowered !== null) {
          return ReflectApply(original, this, [{ ...descriptor, code: lowered }]);
        }
      }
      return ReflectApply(original, this, arguments);
    });

  override(DevicePrototype, "createBindGroupLayout", (original) =>
    function (descriptor) {
      const entries = entriesOf(descriptor, (entry) => entry?.externalTexture !== undefined);
      if (entries === undefined) {
        return ReflectApply(original, this, arguments);
      }
      const lowered = ArrayPrototypeMap(entries, (entry) => {
        // With another kind of binding beside it the entry is left to be refused.
        if (entry?.externalTexture === undefined || entry.texture !== undefined) {
          return entry;
        }
        return { ...entry, externalTexture: undefined, texture: { sampleType: "float", viewDimension: "2d" } };
      });
      return ReflectApply(original, this, [{ ...descriptor, entries: lowered }]);
    });

  override(DevicePrototype, "createBindGroup", (original) =>
    function (descriptor) {
      const isExternal = (entry) => External.is(entry?.resource);
      const entries = entriesOf(descriptor, isExternal);
      if (entries === undefined) {
        return ReflectApply(original, this, arguments);
      }
      const lowered = ArrayPrototypeMap(entries, (entry) =>
        isExternal(entry)
          ? { ...entry, resource: External.view(entry.resource) }
          : entry);
      return ReflectApply(original, this, [{ ...descriptor, entries: lowered }]);
    });

  const { ImageDataPrototype } = lazyImageData();

  // https://www.w3.org/TR/webgpu/#dom-gpuqueue-copyexternalimagetotexture
  define(QueuePrototype, "copyExternalImageToTexture", function copyExternalImageToTexture(source, destination, copySize) {
    const prefix = "Failed to execute 'copyExternalImageToTexture' on 'GPUQueue'";
    const device = WeakMapPrototypeGet(deviceOf, this);
    if (device === undefined) {
      throw new TypeError("Illegal invocation");
    }
    webidl.requiredArguments(arguments.length, 3, prefix);
    const from = members(source, prefix, "Argument 1");
    const to = members(destination, prefix, "Argument 2");
    const image = required(from.source, prefix, "source of Argument 1");
    const parameters = {
      source: coordinates(from.origin, ["x", "y"], [0, 0], 2, prefix, "origin of Argument 1"),
      flipY: !!from.flipY,
      destination: coordinates(to.origin, ["x", "y", "z"], [0, 0, 0], 3, prefix, "origin of Argument 2"),
      mipLevel: to.mipLevel === undefined ? 0 : unsigned(to.mipLevel, prefix, "mipLevel of Argument 2"),
      aspect: to.aspect === undefined ? "all" : `${to.aspect}`,
      colorSpace: to.colorSpace === undefined
        ? "srgb"
        : colorSpace(to.colorSpace, prefix, "colorSpace of Argument 2"),
      premultipliedAlpha: !!to.premultipliedAlpha,
      size: coordinates(
        required(copySize, prefix, "Argument 3"),
        ["width", "height", "depthOrArrayLayers"],
        [undefined, 1, 1],
        3,
        prefix,
        "Argument 3",
      ),
    };
    let pixels = null;
    if (ObjectPrototypeIsPrototypeOf(ImageDataPrototype(), image)) {
      pixels = { width: image.width, height: image.height, colorSpace: image.colorSpace };
    }
    op_gpu_copy_external_image(
      device,
      pixels === null ? image : image.data,
      required(to.texture, prefix, "texture of Argument 2"),
      parameters,
      pixels,
    );
  });
}

/** ImageData's prototype, without loading its script before it is asked for. */
function lazyImageData() {
  let prototype;
  return {
    ImageDataPrototype() {
      prototype ??= core.loadExtScript("ext:deno_web/16_image_data.js").ImageDataPrototype;
      return prototype;
    },
  };
}

export { extendWebGPU };
