// The entry point of the runtime's JavaScript: it turns the bare V8 global into a worker-like global scope.
//
// It has two phases. The module body runs when the isolate is made: it installs whatever does not depend on the
// options of a Runtime. `start(options)`, called once by Rust when every extension is loaded, does the rest and hides
// the internals.
//
// Most interfaces are installed as lazy data properties: their scripts are compiled on first use, which keeps start-up
// short, and a script cannot tell them from ordinary properties.

import { core, internals, primordials } from "ext:core/mod.js";

const {
  FunctionPrototypeCall,
  ObjectDefineProperties,
  ObjectDefineProperty,
  ObjectFreeze,
  ObjectGetPrototypeOf,
  ObjectKeys,
  ObjectSetPrototypeOf,
  PromisePrototypeThen,
  SymbolFor,
} = primordials;
const {
  op_runtime_define_lazy,
  op_runtime_env_get,
  op_runtime_env_to_object,
  op_runtime_exit,
  op_runtime_gc,
  op_runtime_location,
  op_runtime_print,
  op_runtime_memory_usage,
  op_runtime_console_size,
  op_set_promise_hooks,
} = core.ops;

const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const event = core.loadExtScript("ext:deno_web/02_event.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const timers = core.loadExtScript("ext:deno_web/02_timers.js");
const scopes = core.loadExtScript("ext:deno_web/04_global_interfaces.js");
const consoleScript = core.loadExtScript("ext:deno_web/01_console.js");
const errors = core.loadExtScript("ext:reelcore_runtime/errors.js");

// ---------------------------------------------------------------------------------------------------------------------
// Error classes that ops throw by name.

for (const name of ObjectKeys(errors.classes)) {
  core.registerErrorClass(name, errors.classes[name]);
}
for (const name of errors.domExceptionNames) {
  core.registerErrorBuilder(
    `DOMException${name}`,
    (message) => new DOMException(message, name),
  );
}

// ---------------------------------------------------------------------------------------------------------------------
// Lazy properties.

const web = "ext:deno_web/";

/** Script -> the interfaces that its result has as properties. */
const interfaceScripts = {
  __proto__: null,
  [`${web}00_url.js`]: ["URL", "URLSearchParams"],
  [`${web}01_broadcast_channel.js`]: ["BroadcastChannel"],
  [`${web}01_urlpattern.js`]: ["URLPattern"],
  [`${web}03_abort_signal.js`]: ["AbortController", "AbortSignal"],
  [`${web}06_streams.js`]: [
    "ByteLengthQueuingStrategy",
    "CountQueuingStrategy",
    "ReadableByteStreamController",
    "ReadableStream",
    "ReadableStreamBYOBReader",
    "ReadableStreamBYOBRequest",
    "ReadableStreamDefaultController",
    "ReadableStreamDefaultReader",
    "TransformStream",
    "TransformStreamDefaultController",
    "WritableStream",
    "WritableStreamDefaultController",
    "WritableStreamDefaultWriter",
  ],
  [`${web}08_text_encoding.js`]: [
    "TextDecoder",
    "TextDecoderStream",
    "TextEncoder",
    "TextEncoderStream",
  ],
  [`${web}09_file.js`]: ["Blob", "File"],
  [`${web}10_filereader.js`]: ["FileReader"],
  [`${web}12_location.js`]: ["WorkerLocation"],
  [`${web}13_message_port.js`]: ["MessageChannel", "MessagePort"],
  [`${web}14_compression.js`]: ["CompressionStream", "DecompressionStream"],
  [`${web}15_performance.js`]: [
    "Performance",
    "PerformanceEntry",
    "PerformanceMark",
    "PerformanceMeasure",
    "PerformanceObserver",
    "PerformanceObserverEntryList",
  ],
  [`${web}16_image_data.js`]: ["ImageData"],
  [`${web}17_geometry.js`]: [
    "DOMMatrix",
    "DOMMatrixReadOnly",
    "DOMPoint",
    "DOMPointReadOnly",
    "DOMQuad",
    "DOMRect",
    "DOMRectReadOnly",
  ],
  "ext:reelcore_runtime/headers.js": ["Headers"],
  "ext:reelcore_runtime/fetch.js": ["Response"],
  "ext:reelcore_runtime/request.js": ["Request"],
  "ext:reelcore_runtime/navigator.js": ["WorkerNavigator"],
};

/** Script -> functions of the global scope (operations, hence enumerable). */
const functionScripts = {
  __proto__: null,
  [`${web}05_base64.js`]: ["atob", "btoa"],
  [`${web}13_message_port.js`]: ["structuredClone"],
  "ext:reelcore_runtime/fetch.js": ["fetch"],
};

/** Module -> the interfaces and functions that it exports. Present in builds that have WebGPU. */
const gpuModules = core.ops.op_create_gpu === undefined ? { __proto__: null } : {
  __proto__: null,
  "ext:deno_canvas/01_canvas.js": ["ImageBitmapRenderingContext", "OffscreenCanvas"],
  "ext:deno_image/01_image.js": ["ImageBitmap"],
  "ext:deno_webgpu/01_webgpu.js": [
    "GPU",
    "GPUAdapter",
    "GPUAdapterInfo",
    "GPUBindGroup",
    "GPUBindGroupLayout",
    "GPUBuffer",
    "GPUBufferUsage",
    "GPUCanvasContext",
    "GPUColorWrite",
    "GPUCommandBuffer",
    "GPUCommandEncoder",
    "GPUCompilationInfo",
    "GPUCompilationMessage",
    "GPUComputePassEncoder",
    "GPUComputePipeline",
    "GPUDevice",
    "GPUDeviceLostInfo",
    "GPUError",
    "GPUExternalTexture",
    "GPUInternalError",
    "GPUMapMode",
    "GPUOutOfMemoryError",
    "GPUPipelineError",
    "GPUPipelineLayout",
    "GPUQuerySet",
    "GPUQueue",
    "GPURenderBundle",
    "GPURenderBundleEncoder",
    "GPURenderPassEncoder",
    "GPURenderPipeline",
    "GPUSampler",
    "GPUShaderModule",
    "GPUShaderStage",
    "GPUSupportedFeatures",
    "GPUSupportedLimits",
    "GPUTexture",
    "GPUTextureUsage",
    "GPUTextureView",
    "GPUUncapturedErrorEvent",
    "GPUValidationError",
    "WGSLLanguageFeatures",
  ],
};
const gpuFunctions = core.ops.op_create_gpu === undefined ? { __proto__: null } : {
  __proto__: null,
  "ext:deno_image/01_image.js": ["createImageBitmap"],
};

/** Defines each name of `table` on `target`; the script is loaded when a property is first read. */
function defineLazy(target, table, enumerable) {
  const scriptOf = { __proto__: null };
  for (const script of ObjectKeys(table)) {
    for (let i = 0; i < table[script].length; i++) {
      scriptOf[table[script][i]] = script;
    }
  }
  op_runtime_define_lazy(
    target,
    ObjectKeys(scriptOf),
    (name) => loadScript(scriptOf[name])[name],
    enumerable,
  );
}

let performanceStarted = false;

const moduleLoaders = { __proto__: null };
for (const specifier of ObjectKeys(gpuModules)) {
  moduleLoaders[specifier] = core.createLazyLoader(specifier);
}

function loadScript(specifier) {
  if (moduleLoaders[specifier] !== undefined) {
    const exports = moduleLoaders[specifier]();
    if (specifier === "ext:deno_canvas/01_canvas.js") {
      return { ...exports, ...core.loadExtScript("ext:reelcore_runtime/canvas.js") };
    }
    return exports;
  }
  const exports = core.loadExtScript(specifier);
  if (specifier === `${web}15_performance.js` && !performanceStarted) {
    // The origin itself was taken when the isolate was made; this only reads it.
    performanceStarted = true;
    exports.setTimeOrigin();
  } else if (specifier === `${web}00_url.js`) {
    // Adds URL.createObjectURL and URL.revokeObjectURL.
    core.loadExtScript(`${web}09_file.js`);
  } else if (specifier === `${web}12_location.js`) {
    return { WorkerLocation: exports.workerLocationConstructorDescriptor.value };
  } else if (specifier === "ext:deno_io/12_io.js") {
    // It needs an op of Deno's own runtime, which is not here.
    delete ObjectGetPrototypeOf(exports.stdin).setRaw;
  } else if (specifier === "ext:deno_fs/30_fs.js") {
    delete exports.FsFile.prototype.setRaw;
  }
  return exports;
}

// ---------------------------------------------------------------------------------------------------------------------
// The global scope.

const nonEnumerable = (value) => ({
  __proto__: null,
  value,
  writable: true,
  enumerable: false,
  configurable: true,
});
const operation = (value) => ({
  __proto__: null,
  value,
  writable: true,
  enumerable: true,
  configurable: true,
});
const attribute = (get) => ({
  __proto__: null,
  get,
  set: undefined,
  enumerable: true,
  configurable: true,
});

// https://webidl.spec.whatwg.org/#Replaceable
const replaceable = (name, get) => ({
  __proto__: null,
  get,
  set(value) {
    ObjectDefineProperty(globalThis, name, operation(value));
  },
  enumerable: true,
  configurable: true,
});

// The brand that deno_web's methods look for in `this`.
ObjectDefineProperty(globalThis, webidl.brand, { ...nonEnumerable(webidl.brand), writable: false });
event.setEventTargetData(globalThis);
event.saveGlobalThisReference(globalThis);
ObjectSetPrototypeOf(globalThis, scopes.DedicatedWorkerGlobalScope.prototype);

for (
  const name of [
    "CloseEvent",
    "CustomEvent",
    "ErrorEvent",
    "Event",
    "EventTarget",
    "MessageEvent",
    "ProgressEvent",
    "PromiseRejectionEvent",
  ]
) {
  ObjectDefineProperty(globalThis, name, nonEnumerable(event[name]));
}
const domExceptions = core.loadExtScript("ext:deno_web/01_dom_exception.js");
ObjectDefineProperties(globalThis, {
  DOMException: nonEnumerable(DOMException),
  QuotaExceededError: nonEnumerable(domExceptions.QuotaExceededError),
  DedicatedWorkerGlobalScope: nonEnumerable(scopes.DedicatedWorkerGlobalScope),
  WorkerGlobalScope: nonEnumerable(scopes.WorkerGlobalScope),
  clearInterval: operation(timers.clearInterval),
  clearTimeout: operation(timers.clearTimeout),
  setInterval: operation(timers.setInterval),
  setTimeout: operation(timers.setTimeout),
  queueMicrotask: operation(globalThis.queueMicrotask),
  reportError: operation(event.reportError),
});
defineLazy(globalThis, interfaceScripts, false);
defineLazy(globalThis, functionScripts, true);
defineLazy(globalThis, gpuModules, false);
defineLazy(globalThis, gpuFunctions, true);

// https://html.spec.whatwg.org/#the-workerglobalscope-common-interface: `error` has the five-argument handler.
event.defineEventHandler(globalThis, "error", undefined, true);
event.defineEventHandler(globalThis, "unhandledrejection");
event.defineEventHandler(globalThis, "rejectionhandled");

// ---------------------------------------------------------------------------------------------------------------------
// Errors that nobody caught.

core.setReportExceptionCallback(event.reportException);

function dispatchRejection(type, promise, reason) {
  const rejection = new event.PromiseRejectionEvent(type, {
    // https://html.spec.whatwg.org/#unhandled-promise-rejections: only `unhandledrejection` can be cancelled.
    cancelable: type === "unhandledrejection",
    promise,
    reason,
  });
  event.setIsTrusted(rejection, true);
  globalThis.dispatchEvent(rejection);
  return rejection.defaultPrevented;
}

core.setUnhandledPromiseRejectionHandler((promise, reason) =>
  dispatchRejection("unhandledrejection", promise, reason)
);
core.setHandledPromiseRejectionHandler((promise, reason) => {
  dispatchRejection("rejectionhandled", promise, reason);
});

/**
 * Evaluates a module that is already loaded. `importer` is `(specifier) => import(specifier)`, compiled by Rust under
 * the module's own URL. HTML reports the exception of a module script as it does that of a classic one
 * (https://html.spec.whatwg.org/#run-a-module-script, step 8), not as an unhandled rejection.
 *
 * The promise that `import()` gives is one that deno_core derives: it puts another error in the place of those whose
 * stack V8 has not captured (a clone, one whose `stack` was set, any while `Error.stackTraceLimit` is 0). The promise that
 * it is derived from, the first that is made, is rejected with what was thrown. Once there was a hook V8 inlines less of
 * async functions: 20 to 35 ns an `await`.
 */
function runModule(importer, specifier) {
  let evaluated;
  let derived;
  op_set_promise_hooks((promise) => evaluated ??= promise, undefined, undefined, undefined);
  try {
    derived = importer(specifier);
  } finally {
    op_set_promise_hooks(undefined, undefined, undefined, undefined);
  }
  PromisePrototypeThen(evaluated, undefined, (error) => event.reportException(error));
  // Reported already.
  PromisePrototypeThen(derived, undefined, () => {});
}

// ---------------------------------------------------------------------------------------------------------------------
// Deno: the names that scripts know for files, arguments and the process.

const fsNames = [
  "FsFile",
  "chdir",
  "chmod",
  "chmodSync",
  "copyFile",
  "copyFileSync",
  "create",
  "createSync",
  "cwd",
  "link",
  "linkSync",
  "lstat",
  "lstatSync",
  "makeTempDir",
  "makeTempDirSync",
  "makeTempFile",
  "makeTempFileSync",
  "mkdir",
  "mkdirSync",
  "open",
  "openSync",
  "readDir",
  "readDirSync",
  "readFile",
  "readFileSync",
  "readLink",
  "readLinkSync",
  "readTextFile",
  "readTextFileSync",
  "realPath",
  "realPathSync",
  "remove",
  "removeSync",
  "rename",
  "renameSync",
  "stat",
  "statSync",
  "symlink",
  "symlinkSync",
  "truncate",
  "truncateSync",
  "utime",
  "utimeSync",
  "writeFile",
  "writeFileSync",
  "writeTextFile",
  "writeTextFileSync",
];

/** 128 and the number of SIGPIPE: how a shell tells of a program that wrote to a pipe that nobody reads. */
const READER_GONE = 141;

function print(message, level) {
  if (op_runtime_print(message, level)) {
    exit(READER_GONE);
  }
}

function exit(code = 0) {
  op_runtime_exit(code | 0);
  // V8 looks for the termination request at the next loop or call: nothing of the script runs after this.
  while (true);
}

function createDeno(options) {
  const deno = {
    args: ObjectFreeze(options.args),
    build: ObjectFreeze({ ...options.build }),
    consoleSize: () => op_runtime_console_size(),
    customInspect: SymbolFor("Deno.customInspect"),
    env: ObjectFreeze({
      get: (name) => op_runtime_env_get(`${name}`) ?? undefined,
      has: (name) => op_runtime_env_get(`${name}`) !== null,
      toObject: () => op_runtime_env_to_object(),
    }),
    errors: ObjectFreeze({
      ...errors.classes,
      BadResource: core.BadResource,
      Interrupted: core.Interrupted,
      NotCapable: core.NotCapable,
    }),
    exit,
    inspect: consoleScript.inspect,
    mainModule: undefined,
    memoryUsage: () => op_runtime_memory_usage(),
    noColor: options.noColor,
    version: ObjectFreeze({ ...options.version }),
  };
  ObjectDefineProperty(deno, "mainModule", attribute(() => op_runtime_location(true)));
  defineLazy(deno, {
    __proto__: null,
    "ext:deno_fs/30_fs.js": fsNames,
    "ext:deno_io/12_io.js": ["SeekMode", "stderr", "stdin", "stdout"],
  }, true);
  return deno;
}

// ---------------------------------------------------------------------------------------------------------------------
// Phase two.

/** Each interface of WebGPU is [SecureContext]: https://www.w3.org/TR/webgpu/#idl-index */
function hideWebGPU() {
  const names = gpuModules["ext:deno_webgpu/01_webgpu.js"] ?? [];
  for (let i = 0; i < names.length; i++) {
    delete globalThis[names[i]];
  }
  delete loadScript("ext:reelcore_runtime/navigator.js").WorkerNavigator.prototype.gpu;
}

function start(options) {
  // Without it, V8's streaming functions end the process.
  core.setWasmStreamingCallback((value, rid) => {
    core.loadExtScript("ext:reelcore_runtime/wasm.js").compilePotentialResponse(value, rid);
  });

  // As it was set: what a WorkerLocation says leaves the user and the password out.
  let locationHref;
  const location = () => {
    const script = core.loadExtScript(`${web}12_location.js`);
    const href = op_runtime_location(false);
    if (locationHref !== href) {
      script.setLocationHref(href);
      locationHref = href;
    }
    return script.workerLocationDescriptor.get();
  };
  const origin = () => location().origin;
  const performance = () => loadScript(`${web}15_performance.js`).performance;
  const navigator = () => loadScript("ext:reelcore_runtime/navigator.js").create(options.navigator);
  let theNavigator;

  // https://console.spec.whatwg.org/#console-namespace: the namespace object is not enumerable on the global.
  consoleScript.setNoColorFns(() => !options.colors[0], () => !options.colors[1]);
  ObjectDefineProperty(
    globalThis,
    "console",
    nonEnumerable(new consoleScript.Console(print)),
  );

  ObjectDefineProperties(globalThis, {
    Deno: nonEnumerable(createDeno(options)),
    self: attribute(() => globalThis),
    location: attribute(location),
    navigator: attribute(() => theNavigator ??= navigator()),
    origin: replaceable("origin", origin),
    performance: replaceable("performance", performance),
    isSecureContext: attribute(() => options.secureContext),
    crossOriginIsolated: attribute(() => options.crossOriginIsolated),
  });
  if (options.exposeGc) {
    ObjectDefineProperty(globalThis, "gc", nonEnumerable(() => op_runtime_gc()));
  }
  if (!options.secureContext) {
    hideWebGPU();
  }
  delete globalThis.__bootstrap;
  delete globalThis.bootstrap;
}

// Rust takes this off the global before any script of a user runs.
ObjectDefineProperty(globalThis, SymbolFor("reelcore.runtime"), {
  __proto__: null,
  value: {
    start,
    runModule,
    reportException: (error) => FunctionPrototypeCall(event.reportException, undefined, error),
  },
  configurable: true,
});
internals.reelcoreRuntime = true;
