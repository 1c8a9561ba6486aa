// WebGPU's side of WebCodecs, added to the objects of deno_webgpu where that extension is there:
// importExternalTexture() and copyExternalImageToTexture(), and `texture_external` in shaders, which wgpu has on Metal
// and DX12 only. There a VideoFrame becomes one RGBA texture, and shaders and layouts that ask for an external texture
// are given that.

import { core, primordials } from "ext:core/mod.js";
import { define, override } from "ext:webcodecs/support.js";

const {
  ArrayPrototypeMap,
  ObjectCreate,
  ObjectDefineProperty,
  ObjectFreeze,
  ObjectKeys,
  ObjectHasOwn,
  ObjectPrototypeIsPrototypeOf,
  ObjectGetOwnPropertyDescriptor,
  PromisePrototypeThen,
  PromiseReject,
  PromiseResolve,
  ReflectApply,
  SafeArrayIterator,
  SafeWeakMap,
  StringPrototypeIncludes,
  SymbolIterator,
  TypeError,
  WeakMapPrototypeGet,
  WeakMapPrototypeHas,
  WeakMapPrototypeSet,
} = primordials;

const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

/** Has a class add its private members to an object that is there already: less work than an entry in a WeakMap. */
class Given {
  constructor(object) {
    return object;
  }
}

/**
 * What a GPUExternalTexture has: its label, the GPUTextureView that shaders get in its place, and the VideoFrame with which it
 * expires, which one that is invalid has none of.
 */
class External extends Given {
  #view;
  #source;
  #label;

  constructor(external, view, source, label) {
    super(external);
    this.#view = view;
    this.#source = source;
    this.#label = label;
  }

  static is(value) {
    return typeof value === "object" && value !== null && #view in value;
  }

  static view(external) {
    return external.#view;
  }

  static source(external) {
    return external.#source;
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

/** GPUShaderModule -> its source, where that has external textures. */
const sourceOf = new SafeWeakMap();

/**
 * GPUTexture, or the GPUCanvasContext that is to make one -> its GPUDevice, which a frame may be made on as long as there is
 * the texture: nothing else keeps the device while a script does not.
 */
const keptBy = new SafeWeakMap();

/** GPUShaderModule -> its GPUCompilationInfo, of one whose mistakes were not told by wgpu. */
const mistakesOf = new SafeWeakMap();

const textureAspect = webidl.createEnumConverter("GPUTextureAspect", ["all", "stencil-only", "depth-only"]);
const colorSpace = webidl.createEnumConverter("PredefinedColorSpace", ["srgb", "display-p3"]);
const unsigned = (value, prefix, context) =>
  webidl.converters["unsigned long"](value, prefix, context, { enforceRange: true });

function isObject(value) {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** Reads the members of a dictionary: an object, or nothing. */
function members(value, prefix, context) {
  if (value === undefined || value === null) {
    return { __proto__: null };
  }
  if (!isObject(value)) {
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

/**
 * The items of a sequence<>, which is asked once for its iterator; undefined of what is none:
 * https://webidl.spec.whatwg.org/#js-sequence
 */
function sequence(value) {
  const method = isObject(value) ? value[SymbolIterator] : undefined;
  if (method === undefined || method === null) {
    return undefined;
  }
  const iterator = ReflectApply(method, value, []);
  const items = [];
  for (const item of { __proto__: null, [SymbolIterator]: () => iterator }) {
    items[items.length] = item;
  }
  return items;
}

/** A sequence<> with `convert` of its items in their place; what is none is left to be refused. */
function mapped(value, convert) {
  const items = sequence(value);
  return items === undefined ? value : ArrayPrototypeMap(items, convert);
}

/** A GPUOrigin2D, GPUOrigin3D or GPUExtent3D: a sequence of numbers, or a dictionary. */
function coordinates(value, names, defaults, most, prefix, context) {
  const items = sequence(value);
  if (items !== undefined) {
    const found = ArrayPrototypeMap(items, (item) => unsigned(item, prefix, context));
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

/** A GPUBindGroupLayoutEntry, whose external texture is the texture that shaders get in its place. */
function layoutEntry(entry) {
  if (!isObject(entry)) {
    return entry;
  }
  const { binding, buffer, externalTexture, sampler, storageTexture, texture, visibility } = entry;
  const read = { __proto__: null, binding, buffer, externalTexture, sampler, storageTexture, texture, visibility };
  if (externalTexture !== undefined) {
    members(externalTexture, "Failed to execute 'createBindGroupLayout' on 'GPUDevice'", "externalTexture of an entry");
    // With a texture beside it the entry is left to be refused.
    if (texture === undefined) {
      read.externalTexture = undefined;
      read.texture = { __proto__: null, sampleType: "float", viewDimension: "2d" };
    }
  }
  return read;
}

/** An object of an interface of deno_webgpu that only Rust can construct; its attributes are its own properties. */
function instance(prototype, attributes) {
  const object = ObjectCreate(prototype);
  for (const name of new SafeArrayIterator(ObjectKeys(attributes))) {
    ObjectDefineProperty(object, name, { __proto__: null, value: attributes[name] });
  }
  return object;
}

/** Adds to deno_webgpu's prototypes; does nothing where they are not there. */
function extendWebGPU(global, VideoFrame) {
  const {
    GPUAdapter,
    GPUCanvasContext,
    GPUCompilationInfo,
    GPUCompilationMessage,
    GPUDevice,
    GPUExternalTexture,
    GPUQueue,
    GPUShaderModule,
    GPUTexture,
  } = core.ops;
  const {
    op_gpu_canvas_device,
    op_gpu_copy_external_image,
    op_gpu_import_external_texture,
    op_gpu_know_device,
    op_gpu_lower_stages,
    op_gpu_lower_wgsl,
    op_gpu_retire_device,
    op_gpu_settle,
  } = core.ops;
  if (GPUDevice === undefined || op_gpu_lower_wgsl === undefined) {
    return;
  }
  const DevicePrototype = GPUDevice.prototype;
  const QueuePrototype = GPUQueue.prototype;
  const { createTexture, popErrorScope, pushErrorScope } = DevicePrototype;
  const { createView, destroy: destroyTexture } = GPUTexture.prototype;
  const { get: codedWidth } = ObjectGetOwnPropertyDescriptor(VideoFrame.prototype, "codedWidth");

  /** What `make` makes of a mistake on purpose, without the error that it is. */
  function invalid(device, make) {
    ReflectApply(pushErrorScope, device, ["validation"]);
    const made = make();
    ReflectApply(popErrorScope, device, []);
    return made;
  }

  /** A texture that stands for an external one, of `side` by `side` texels. */
  function standIn(device, side) {
    const usage = 4; // TEXTURE_BINDING
    return ReflectApply(createTexture, device, [{ __proto__: null, size: [side, side], format: "rgba8unorm", usage }]);
  }

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
    const { label, colorSpace: space = "srgb", source } = members(descriptor, prefix, "Argument 1");
    const name = label === undefined ? "" : webidl.converters.USVString(label, prefix, "label of Argument 1");
    const view = op_gpu_import_external_texture(
      this,
      required(source, prefix, "source of Argument 1"),
      colorSpace(space, prefix, "colorSpace of Argument 1") === "display-p3",
    );
    const known = view === null ? undefined : ExternalView.external(view);
    if (known !== undefined) {
      // The label is not of what is the same, and is set whether the result is new or not.
      External.setLabel(known, name);
      return known;
    }
    const external = ObjectCreate(GPUExternalTexture.prototype);
    if (view === null) {
      // Using it is a validation error, as a texture has pixels.
      new External(external, invalid(this, () => ReflectApply(createView, standIn(this, 0), [])), undefined, name);
    } else {
      new External(external, view, source, name);
      new ExternalView(view, external);
    }
    return external;
  });

  // deno_webgpu's would construct.
  const constructor = {
    GPUExternalTexture: function () {
      throw new TypeError("Illegal constructor");
    },
  }.GPUExternalTexture;
  ObjectDefineProperty(constructor, "prototype", { __proto__: null, value: GPUExternalTexture.prototype, writable: false });
  for (const [holder, name] of new SafeArrayIterator([
    [GPUExternalTexture.prototype, "constructor"],
    [global, "GPUExternalTexture"],
  ])) {
    if (ObjectHasOwn(holder, name)) {
      ObjectDefineProperty(holder, name, {
        __proto__: null,
        value: constructor,
        writable: true,
        enumerable: false,
        configurable: true,
      });
    }
  }

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

  /** A module that is invalid, as a mistake says that was reported before. */
  function invalidModule(device, create, label, { message, lineNum, linePos, offset, length }) {
    // Of what is no WGSL.
    const module = invalid(device, () => ReflectApply(create, device, [{ __proto__: null, label, code: "!" }]));
    const attributes = { __proto__: null, message, type: "error", lineNum, linePos, offset, length };
    const messages = ObjectFreeze([instance(GPUCompilationMessage.prototype, attributes)]);
    WeakMapPrototypeSet(mistakesOf, module, instance(GPUCompilationInfo.prototype, { __proto__: null, messages }));
    return module;
  }

  // The methods below read each member of a descriptor once, in the order of WebIDL, and hand on what they have read; those that
  // make render pipelines look at the members that they may replace, and leave the rest to deno_webgpu.
  const createShaderModule = DevicePrototype.createShaderModule;
  override(DevicePrototype, "createShaderModule", (original) =>
    function (descriptor) {
      if (!isObject(descriptor)) {
        return ReflectApply(original, this, arguments);
      }
      const prefix = "Failed to execute 'createShaderModule' on 'GPUDevice'";
      let { label, code } = descriptor;
      label = label === undefined ? "" : webidl.converters.USVString(label, prefix, "label of Argument 1");
      code = webidl.converters.USVString(required(code, prefix, "code of Argument 1"), prefix, "code of Argument 1");
      // Only a hint, which spares all other shaders a second parsing: the word may be in a comment.
      if (StringPrototypeIncludes(code, "texture_external")) {
        const { lowered, mistake } = op_gpu_lower_wgsl(this, code);
        if (mistake !== null) {
          return invalidModule(this, original, label, mistake);
        }
        if (lowered !== null) {
          const module = ReflectApply(original, this, [{ __proto__: null, label, code: lowered }]);
          WeakMapPrototypeSet(sourceOf, module, code);
          return module;
        }
      }
      return ReflectApply(original, this, [{ __proto__: null, label, code }]);
    });

  /** The descriptor of a render pipeline whose stages fit one derived layout, also where one alone samples an external texture. */
  function alike(device, descriptor) {
    const { layout, vertex, fragment } = isObject(descriptor) ? descriptor : { __proto__: null };
    if (layout !== "auto" || !isObject(vertex) || !isObject(fragment)) {
      return descriptor;
    }
    const sources = [WeakMapPrototypeGet(sourceOf, vertex.module), WeakMapPrototypeGet(sourceOf, fragment.module)];
    if (sources[0] === undefined || sources[1] === undefined) {
      return descriptor;
    }
    const entryPoint = (stage) => typeof stage.entryPoint === "string" ? stage.entryPoint : null;
    const found = op_gpu_lower_stages(device, sources[0], entryPoint(vertex), sources[1], entryPoint(fragment));
    const other = (stage, code) =>
      code === null
        ? stage
        : { __proto__: stage, module: ReflectApply(createShaderModule, device, [{ __proto__: null, label: "", code }]) };
    if (found.vertex === null && found.fragment === null) {
      return descriptor;
    }
    return { __proto__: descriptor, vertex: other(vertex, found.vertex), fragment: other(fragment, found.fragment) };
  }

  for (const name of ["createRenderPipeline", "createRenderPipelineAsync"]) {
    override(DevicePrototype, name, (original) =>
      function (descriptor) {
        // What is no device is the host's to refuse: with an exception, or with a promise.
        if (arguments.length === 0 || !ObjectPrototypeIsPrototypeOf(DevicePrototype, this)) {
          return ReflectApply(original, this, arguments);
        }
        let fitting;
        try {
          fitting = alike(this, descriptor);
        } catch (error) {
          // https://webidl.spec.whatwg.org/#dfn-create-operation-function: what returns a promise throws nothing.
          if (name === "createRenderPipelineAsync") return PromiseReject(error);
          throw error;
        }
        return ReflectApply(original, this, [fitting]);
      });
  }

  override(GPUShaderModule.prototype, "getCompilationInfo", (original) =>
    function () {
      const mistakes = WeakMapPrototypeGet(mistakesOf, this);
      return mistakes === undefined ? ReflectApply(original, this, arguments) : PromiseResolve(mistakes);
    });

  override(DevicePrototype, "createBindGroupLayout", (original) =>
    function (descriptor) {
      if (!isObject(descriptor)) {
        return ReflectApply(original, this, arguments);
      }
      const { label, entries } = descriptor;
      return ReflectApply(original, this, [{ __proto__: null, label, entries: mapped(entries, layoutEntry) }]);
    });

  override(DevicePrototype, "createBindGroup", (original) =>
    function (descriptor) {
      if (!isObject(descriptor)) {
        return ReflectApply(original, this, arguments);
      }
      const { label, entries, layout } = descriptor;
      const destroyed = [];
      const groupEntries = mapped(entries, (entry) => {
        if (!isObject(entry)) {
          return entry;
        }
        const { binding, resource } = entry;
        if (!External.is(resource)) {
          return { __proto__: null, binding, resource };
        }
        const source = External.source(resource);
        if (source === undefined || ReflectApply(codedWidth, source, []) !== 0) {
          return { __proto__: null, binding, resource: External.view(resource) };
        }
        // It has expired: https://www.w3.org/TR/webgpu/#dom-gpuqueue-submit refuses it, not this method. What it was is
        // destroyed by now, or will be; a texture that is destroyed after this call does the same.
        const texture = standIn(this, 1);
        destroyed[destroyed.length] = texture;
        return { __proto__: null, binding, resource: ReflectApply(createView, texture, []) };
      });
      const group = ReflectApply(original, this, [{ __proto__: null, label, entries: groupEntries, layout }]);
      for (let i = 0; i < destroyed.length; i++) {
        ReflectApply(destroyTexture, destroyed[i], []);
      }
      return group;
    });

  override(DevicePrototype, "createTexture", (original) =>
    function () {
      const texture = ReflectApply(original, this, arguments);
      WeakMapPrototypeSet(keptBy, texture, this);
      return texture;
    });

  override(GPUCanvasContext.prototype, "configure", (original) =>
    function () {
      ReflectApply(original, this, arguments);
      WeakMapPrototypeSet(keptBy, this, op_gpu_canvas_device(this));
    });

  override(GPUCanvasContext.prototype, "getCurrentTexture", (original) =>
    function () {
      const texture = ReflectApply(original, this, arguments);
      // A texture that configure() left as it is stays on its device.
      if (!WeakMapPrototypeHas(keptBy, texture)) {
        WeakMapPrototypeSet(keptBy, texture, WeakMapPrototypeGet(keptBy, this));
      }
      return texture;
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
    const { flipY, origin: from, source: image } = members(source, prefix, "Argument 1");
    const {
      aspect = "all",
      mipLevel = 0,
      origin: to,
      texture,
      colorSpace: space = "srgb",
      premultipliedAlpha,
    } = members(destination, prefix, "Argument 2");
    required(image, prefix, "source of Argument 1");
    const parameters = {
      source: coordinates(from, ["x", "y"], [0, 0], 2, prefix, "origin of Argument 1"),
      flipY: !!flipY,
      destination: coordinates(to, ["x", "y", "z"], [0, 0, 0], 3, prefix, "origin of Argument 2"),
      mipLevel: unsigned(mipLevel, prefix, "mipLevel of Argument 2"),
      aspect: textureAspect(aspect, prefix, "aspect of Argument 2"),
      colorSpace: colorSpace(space, prefix, "colorSpace of Argument 2"),
      premultipliedAlpha: !!premultipliedAlpha,
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
      required(texture, prefix, "texture of Argument 2"),
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
