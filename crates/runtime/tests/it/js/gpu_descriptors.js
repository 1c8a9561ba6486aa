// What scripts hand to WebGPU's methods, as WebIDL reads it, and what those say of a mistake in it.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";
import { texels } from "./texels.js";

const adapter = await navigator.gpu.requestAdapter();
assert(adapter !== null, "there is no GPU adapter: install mesa-vulkan-drivers (./x setup)");
const device = await adapter.requestDevice();

const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT |
  GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.STORAGE_BINDING;
const target = (width, height, format = "rgba8unorm") => device.createTexture({ size: [width, height], format, usage });
const frameOf = (width, height) =>
  new VideoFrame(new Uint8Array(width * height * 4).fill(200), { format: "RGBA", codedWidth: width, codedHeight: height, timestamp: 0 });

/** The error that `run` leaves in a scope, or null. */
async function scoped(run) {
  let error;
  device.pushErrorScope("validation");
  try {
    run();
  } finally {
    error = await device.popErrorScope();
  }
  return error;
}

const visibility = GPUShaderStage.COMPUTE;
const storage = { binding: 0, visibility, buffer: { type: "storage" } };
const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
const DIMENSIONS = `@group(0) @binding(0) var t: texture_external;
@compute @workgroup_size(1) fn main() { _ = textureDimensions(t); }`;

await test("entries are taken from any iterable, and none is lost", async () => {
  function* one(entry) {
    yield entry;
  }
  for (const of of [(entry) => [entry], (entry) => [entry].values(), (entry) => new Map([[0, entry]]).values(), one]) {
    const resource = { binding: 0, resource: { buffer } };
    // A layout without the binding refuses the group, and a group without it is refused.
    for (const [entries, resources] of [[of(storage), [resource]], [[storage], of(resource)]]) {
      equal(await scoped(() => device.createBindGroup({ layout: device.createBindGroupLayout({ entries }), entries: resources })), null);
    }
  }
  for (const entries of [undefined, null, 5, {}, { [Symbol.iterator]: 5 }]) {
    throws(() => device.createBindGroupLayout({ entries }), "TypeError");
  }
  const mistake = new Error("mine");
  const thrown = (entries) => {
    try {
      device.createBindGroupLayout({ entries });
    } catch (error) {
      return error;
    }
  };
  equal(thrown({ [Symbol.iterator]() { throw mistake; } }) === mistake, true);
  equal(thrown({ [Symbol.iterator]: () => ({ next() { throw mistake; } }) }) === mistake, true);
});

await test("each member of a descriptor is read once, in the order of WebIDL", () => {
  let read = [];
  /** `object`, which notes what is read of it; symbols but the iterator are not of WebIDL. */
  const noting = (object, name) =>
    new Proxy(object, {
      get(target, key) {
        if (key === Symbol.iterator || typeof key === "string") read.push(`${name}.${String(key.description ?? key)}`);
        const value = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const layout = device.createBindGroupLayout(noting({ entries: noting([noting({ binding: 0, visibility, externalTexture: {} }, "entry")], "list") }, "layout"));
  equal(read, [
    "layout.label",
    "layout.entries",
    "list.Symbol.iterator",
    "entry.binding",
    "entry.buffer",
    "entry.externalTexture",
    "entry.sampler",
    "entry.storageTexture",
    "entry.texture",
    "entry.visibility",
  ]);
  read = [];
  const frame = frameOf(8, 8);
  const resource = device.importExternalTexture({ source: frame });
  device.createBindGroup(noting({ layout, entries: noting([noting({ binding: 0, resource }, "entry")], "list") }, "group"));
  equal(read, ["group.label", "group.entries", "group.layout", "list.Symbol.iterator", "entry.binding", "entry.resource"]);
  read = [];
  device.createShaderModule(noting({ code: DIMENSIONS }, "module"));
  equal(read, ["module.label", "module.code"]);
  frame.close();
});

await test("descriptors may inherit their members", async () => {
  class Entry {
    #resource;
    constructor(resource) {
      this.#resource = resource;
    }
    get binding() {
      return 0;
    }
    get visibility() {
      return visibility;
    }
    get externalTexture() {
      return {};
    }
    get resource() {
      return this.#resource;
    }
  }
  class Descriptor {
    #members;
    constructor(members) {
      this.#members = members;
    }
    get label() {
      return "mine";
    }
    get layout() {
      return this.#members.layout;
    }
    get entries() {
      return this.#members.entries;
    }
    get code() {
      return this.#members.code;
    }
  }
  const frame = frameOf(8, 8);
  const resource = device.importExternalTexture({ source: frame });
  equal(
    await scoped(() => {
      const layout = device.createBindGroupLayout(new Descriptor({ entries: [new Entry()] }));
      equal(layout.label, "mine");
      equal(device.createBindGroup(new Descriptor({ layout, entries: [new Entry(resource)] })).label, "mine");
      equal(device.createShaderModule(new Descriptor({ code: DIMENSIONS })).label, "mine");
      equal(device.createShaderModule(new Descriptor({ code: "@compute @workgroup_size(1) fn main() {}" })).label, "mine");
      equal(device.createShaderModule(Object.assign(Object.create({ label: "above" }), { code: DIMENSIONS })).label, "above");
    }),
    null,
  );
  frame.close();
});

await test("a method that returns a promise throws nothing: what a getter of its descriptor throws is the promise's", async () => {
  const mine = () => {
    throw new RangeError("mine");
  };
  const module = device.createShaderModule({ code: DIMENSIONS });
  for (const descriptor of [
    { get layout() { return mine(); } },
    { layout: "auto", get vertex() { return mine(); } },
    { layout: "auto", vertex: { get module() { return mine(); } }, fragment: { module, targets: [] } },
    { layout: "auto", vertex: { module, get entryPoint() { return mine(); } }, fragment: { module, targets: [] } },
  ]) {
    // An exception would end the test here.
    const made = device.createRenderPipelineAsync(descriptor);
    assert(made instanceof Promise);
    await rejects(made, "RangeError", "mine");
    throws(() => device.createRenderPipeline(descriptor), "RangeError", "mine");
  }
});

await test("an external texture in a layout is a dictionary, and the only resource of its binding", async () => {
  const entry = (rest) => () => device.createBindGroupLayout({ entries: [{ binding: 0, visibility, ...rest }] });
  for (const externalTexture of [5, "", true, 5n]) throws(entry({ externalTexture }), "TypeError");
  // As WebIDL has it, null is a dictionary without members.
  for (const externalTexture of [{}, null, () => 0]) equal(await scoped(entry({ externalTexture })), null);
  throws(entry({ externalTexture: {}, texture: {} }), "TypeError");
  throws(entry({ externalTexture: null, buffer: {} }), "TypeError");
});

await test("an external texture that has expired can be bound, and not be submitted; an invalid one cannot be bound", async () => {
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module: device.createShaderModule({ code: DIMENSIONS }) } });
  const layout = pipeline.getBindGroupLayout(0);
  const bind = (resource) => device.createBindGroup({ layout, entries: [{ binding: 0, resource }] });
  const commands = (group) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    pass.end();
    return encoder.finish();
  };
  for (const wait of [false, true]) {
    const frame = frameOf(8, 8);
    const resource = device.importExternalTexture({ source: frame });
    let command;
    equal(await scoped(() => command = commands(bind(resource))), null);
    equal(await scoped(() => device.queue.submit([command])), null);
    frame.close();
    // With the time to destroy it, and without.
    if (wait) await new Promise((resolve) => setTimeout(resolve, 20));
    equal(await scoped(() => command = commands(bind(resource))), null);
    const error = await scoped(() => device.queue.submit([command]));
    assert(error instanceof GPUValidationError, `${error}`);
  }
  const large = frameOf(device.limits.maxTextureDimension2D + 8, 1);
  let failed;
  assert(await scoped(() => failed = device.importExternalTexture({ source: large })) instanceof GPUValidationError);
  assert(await scoped(() => bind(failed)) instanceof GPUValidationError);
  large.close();
  assert(await scoped(() => bind(failed)) instanceof GPUValidationError);
});

await test("GPUExternalTexture has no constructor", () => {
  throws(() => new GPUExternalTexture(), "TypeError", "Illegal constructor");
  throws(() => GPUExternalTexture(), "TypeError");
});

/** What createShaderModule() says of `code`: the errors that reach the device's event, and the compilation messages. */
async function compiled(code) {
  const errors = [];
  device.onuncapturederror = (event) => errors.push(event.error);
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  await new Promise((resolve) => setTimeout(resolve, 0));
  device.onuncapturederror = null;
  return { module, errors, messages };
}

await test("a mistake in a shader with external textures is one error, at its own place", async () => {
  const code = `// 🎬
@group(0) @binding(0) var t: texture_external;
@compute @workgroup_size(1) fn main() { /* 🎬 */ _ = textureLoad(t, vec2f(0.5)); }`;
  const { module, errors, messages } = await compiled(code);
  equal(errors.length, 1);
  assert(errors[0] instanceof GPUValidationError);
  assert(errors[0].message.includes("textureLoad(t, vec2f(0.5))"), errors[0].message);
  equal(messages.length, 1);
  const [message] = messages;
  assert(message instanceof GPUCompilationMessage);
  equal([message.type, message.lineNum, message.message], ["error", 3, errors[0].message]);
  // Where it is, in UTF-16 code units.
  const line = code.split("\n")[2];
  const part = code.slice(message.offset, message.offset + message.length);
  assert(part.length > 0 && "textureLoad(t, vec2f(0.5))".includes(part), part);
  equal(line.slice(message.linePos - 1, message.linePos - 1 + message.length), part);
  equal(message.offset, code.length - line.length + message.linePos - 1);
  // The module is invalid.
  assert(await module.getCompilationInfo() instanceof GPUCompilationInfo);
  const error = await scoped(() => device.createComputePipeline({ layout: "auto", compute: { module } }));
  assert(error instanceof GPUValidationError, `${error}`);
});

await test("what does not parse is one error, and what is right is none", async () => {
  const bad = await compiled(DIMENSIONS.replace("(t)", "(t) + zzz"));
  equal([bad.errors.length, bad.messages.length, bad.messages[0].lineNum], [1, 1, 2]);
  const good = await compiled(DIMENSIONS);
  equal([good.errors.length, good.messages.length], [0, 0]);
});

await test("a shader's errors leave the script's error scopes as they were", async () => {
  device.pushErrorScope("validation");
  const mistake = await scoped(() => device.createShaderModule({ code: DIMENSIONS.replace("(t)", "(t, vec2f(1))") }));
  assert(mistake instanceof GPUValidationError, `${mistake}`);
  const wrong = await scoped(() => device.createShaderModule({ code: DIMENSIONS.replace("textureDimensions(t)", "textureLoad(t, vec2f(1))") }));
  assert(wrong instanceof GPUValidationError, `${wrong}`);
  equal(await device.popErrorScope(), null);
  let error;
  await device.popErrorScope().catch((caught) => error = caught);
  equal(error?.name, "OperationError");
});

await test("code is made a string before it is looked at, once", async () => {
  let made = 0;
  const code = {
    toString() {
      made++;
      return DIMENSIONS;
    },
  };
  equal(await scoped(() => device.createShaderModule({ code })), null);
  equal(made, 1);
  throws(() => device.createShaderModule({ code: Symbol() }), "TypeError");
  throws(() => device.createShaderModule({ code: DIMENSIONS, label: Symbol() }), "TypeError");
  throws(() => device.createShaderModule({}), "TypeError");
  throws(() => device.createShaderModule(5), "TypeError");
});

await test("an import that fails says so each time", async () => {
  const width = device.limits.maxTextureDimension2D + 8;
  const frame = frameOf(width, 1);
  for (let i = 0; i < 3; i++) {
    const error = await scoped(() => assert(device.importExternalTexture({ source: frame }) instanceof GPUExternalTexture));
    assert(error instanceof GPUValidationError, `import ${i}: ${error}`);
  }
  frame.close();
});

await test("an aspect that WebGPU does not know is a TypeError, one that a copy cannot have an error of the device", async () => {
  const frame = frameOf(8, 8);
  const texture = target(8, 8);
  const copy = (aspect) => () => device.queue.copyExternalImageToTexture({ source: frame }, { texture, aspect }, [1, 1]);
  for (const aspect of ["foo", null, "", 0]) throws(copy(aspect), "TypeError");
  for (const aspect of ["depth-only", "stencil-only"]) {
    const error = await scoped(copy(aspect));
    assert(error instanceof GPUValidationError, `${error}`);
  }
  for (const aspect of ["all", undefined]) equal(await scoped(copy(aspect)), null);
  frame.close();
});

await test("a copy of no pixels is validated like any other", async () => {
  const frame = frameOf(8, 8);
  const copy = (texture, size) => scoped(() => device.queue.copyExternalImageToTexture({ source: frame }, { texture }, size));
  const destroyed = target(8, 8);
  destroyed.destroy();
  let invalid;
  assert(await scoped(() => invalid = target(0, 8)) instanceof GPUValidationError);
  for (const [name, texture] of Object.entries({ destroyed, invalid })) {
    for (const size of [[0, 1], [1, 0], [0, 0], [0, 0, 0]]) {
      const error = await copy(texture, size);
      assert(error instanceof GPUValidationError, `${name}, ${size}: ${error}`);
    }
  }
  assert(await copy(destroyed, [1, 1]) instanceof GPUValidationError);
  for (const size of [[0, 1], [0, 0, 0], [8, 8, 0]]) equal(await copy(target(8, 8), size), null);
  frame.close();
});

await test("what a frame cannot be made of is said in plain words", async () => {
  let invalid;
  await scoped(() => invalid = target(0, 8));
  const error = await scoped(() => {
    const { message } = throws(() => new VideoFrame(invalid, { timestamp: 0 }), "OperationError", "texture of 0x8");
    assert(!/[{}]/.test(message), message);
  });
  assert(error instanceof GPUValidationError && !/[{}]/.test(error.message), `${error}`);
});

await test("a frame can be made of a texture whose device the script has let go", async () => {
  const other = async () => await (await navigator.gpu.requestAdapter()).requestDevice();
  const textures = await (async () => {
    const first = await other();
    const texture = first.createTexture({ size: [8, 8], format: "rgba8unorm", usage });
    first.queue.writeTexture({ texture }, new Uint8Array(256).fill(77), { bytesPerRow: 32 }, [8, 8]);
    // The texture of a canvas that has another device meanwhile.
    const canvas = new OffscreenCanvas(8, 8);
    const context = canvas.getContext("webgpu");
    context.configure({ device: await other(), format: "rgba8unorm", usage });
    const drawn = context.getCurrentTexture();
    context.configure({ device: await other(), format: "rgba8unorm", usage });
    equal(context.getCurrentTexture(), drawn);
    return [texture, drawn];
  })();
  // One that nothing keeps, which tells when the garbage was collected.
  let collected = false;
  const registry = new FinalizationRegistry(() => collected = true);
  await (async () => registry.register(await other(), 0))();
  for (let i = 0; !collected; i++) {
    assert(i < 1000, "the garbage was not collected");
    const garbage = [];
    for (let j = 0; j < 20_000; j++) garbage.push({ j, list: [j] });
    new ArrayBuffer(20e6);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (const [i, texture] of textures.entries()) {
    const frame = new VideoFrame(texture, { timestamp: 0 });
    const data = new Uint8Array(256);
    await frame.copyTo(data);
    equal([...new Set(data)], [[77], [0]][i]);
    frame.close();
  }
});

finish();
