// WorkerNavigator, in as much as a media script asks for it.
// https://html.spec.whatwg.org/#workernavigator

(function () {
const { core, primordials } = __bootstrap;
const {
  ObjectDefineProperty,
  ObjectFreeze,
  ObjectPrototypeIsPrototypeOf,
  Symbol,
  SymbolFor,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");

const constructorKey = Symbol("constructorKey");

class WorkerNavigator {
  #values;

  constructor(key = undefined, values = undefined) {
    if (key !== constructorKey) {
      throw new TypeError("Illegal constructor");
    }
    this[webidl.brand] = webidl.brand;
    this.#values = values;
  }

  /** How many threads a script can hope to keep busy. */
  get hardwareConcurrency() {
    webidl.assertBranded(this, WorkerNavigatorPrototype);
    return this.#values.hardwareConcurrency;
  }

  get userAgent() {
    webidl.assertBranded(this, WorkerNavigatorPrototype);
    return this.#values.userAgent;
  }

  get language() {
    webidl.assertBranded(this, WorkerNavigatorPrototype);
    return this.#values.languages[0];
  }

  get languages() {
    webidl.assertBranded(this, WorkerNavigatorPrototype);
    return this.#values.languages;
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, inspectOptions) {
    return inspect(
      createFilteredInspectProxy({
        object: this,
        evaluate: ObjectPrototypeIsPrototypeOf(WorkerNavigatorPrototype, this),
        keys: ["hardwareConcurrency", "userAgent", "language", "languages"],
      }),
      inspectOptions,
    );
  }
}
webidl.configureInterface(WorkerNavigator);
const WorkerNavigatorPrototype = WorkerNavigator.prototype;

// https://www.w3.org/TR/webgpu/#navigatorgpu, in builds that have WebGPU.
if (core.ops.op_create_gpu !== undefined) {
  const loadWebGPU = core.createLazyLoader("ext:deno_webgpu/01_webgpu.js");
  ObjectDefineProperty(WorkerNavigatorPrototype, "gpu", {
    __proto__: null,
    get() {
      webidl.assertBranded(this, WorkerNavigatorPrototype);
      const webgpu = loadWebGPU();
      webgpu.initGPU();
      return webgpu.gpu;
    },
    set: undefined,
    enumerable: true,
    configurable: true,
  });
}

function create(values) {
  return new WorkerNavigator(constructorKey, { ...values, languages: ObjectFreeze(values.languages) });
}

return { WorkerNavigator, create };
})();
