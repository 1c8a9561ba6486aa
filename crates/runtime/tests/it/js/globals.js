import { assert, equal, finish, test, throws } from "./harness.js";

const interfaces = `AbortController AbortSignal Blob BroadcastChannel ByteLengthQueuingStrategy CloseEvent
  CompressionStream CountQueuingStrategy CustomEvent DecompressionStream DedicatedWorkerGlobalScope DOMException
  DOMMatrix DOMMatrixReadOnly DOMPoint DOMPointReadOnly DOMQuad DOMRect DOMRectReadOnly ErrorEvent Event EventTarget
  File FileReader Headers ImageData MessageChannel MessageEvent MessagePort Performance PerformanceEntry
  PerformanceMark PerformanceMeasure PerformanceObserver PerformanceObserverEntryList ProgressEvent
  PromiseRejectionEvent ReadableByteStreamController ReadableStream ReadableStreamBYOBReader
  ReadableStreamBYOBRequest ReadableStreamDefaultController ReadableStreamDefaultReader Request Response TextDecoder
  TextDecoderStream TextEncoder TextEncoderStream TransformStream TransformStreamDefaultController URL URLPattern
  URLSearchParams WorkerGlobalScope WorkerLocation WorkerNavigator WritableStream WritableStreamDefaultController
  WritableStreamDefaultWriter`.split(/\s+/);
const functions = `atob btoa clearInterval clearTimeout fetch queueMicrotask reportError setInterval setTimeout
  structuredClone`.split(/\s+/);

await test("interface objects are data properties that are not enumerable", () => {
  for (const name of interfaces) {
    const { value, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(globalThis, name) ?? {};
    equal([typeof value, writable, enumerable, configurable], ["function", true, false, true], name);
    equal(value.name, name);
    assert(globalThis[name] === value, `${name} is the same at each read`);
  }
});

await test("functions are enumerable data properties", () => {
  for (const name of functions) {
    const { value, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(globalThis, name) ?? {};
    equal([typeof value, writable, enumerable, configurable], ["function", true, true, true], name);
  }
});

await test("a lazy global can be replaced and deleted before it is used", () => {
  globalThis.URLPattern = 1;
  equal(URLPattern, 1);
  equal(Object.getOwnPropertyDescriptor(globalThis, "URLPattern").enumerable, false);
  assert(delete globalThis.BroadcastChannel);
  equal(typeof BroadcastChannel, "undefined");
});

await test("the global is a dedicated worker's scope", () => {
  assert(self === globalThis);
  assert(globalThis instanceof EventTarget);
  assert(self instanceof WorkerGlobalScope && self instanceof DedicatedWorkerGlobalScope);
  equal(Object.prototype.toString.call(self), "[object DedicatedWorkerGlobalScope]");
  equal([typeof window, typeof document, typeof require, typeof process], Array(4).fill("undefined"));
  throws(() => new DedicatedWorkerGlobalScope(), "TypeError");
});

await test("internals are out of reach", () => {
  equal([Deno.core, globalThis.__bootstrap, globalThis.bootstrap, globalThis[Symbol.for("reelcore.runtime")]], Array(4).fill(undefined));
  equal(typeof Deno[Deno.internal], "undefined");
});

await test("events reach the global and its handlers, in order", () => {
  const seen = [];
  addEventListener("custom", (event) => seen.push(["first", event.detail, event.target === self]));
  self.addEventListener("custom", (event) => seen.push(["second", event.detail]), { once: true });
  dispatchEvent(new CustomEvent("custom", { detail: 1 }));
  dispatchEvent(new CustomEvent("custom", { detail: 2 }));
  equal(seen, [["first", 1, true], ["second", 1], ["first", 2, true]]);
});

await test("location is the script's URL and its parts", () => {
  assert(location instanceof WorkerLocation);
  equal(location.href, import.meta.url);
  equal(location.protocol, "file:");
  equal(origin, "null");
  equal(Deno.mainModule, import.meta.url);
  assert(import.meta.main);
});

await test("navigator tells the version and the processors", () => {
  assert(/^Reelcore\/\d+\.\d+\.\d+$/.test(navigator.userAgent), navigator.userAgent);
  assert(navigator.hardwareConcurrency >= 1);
  assert(navigator instanceof WorkerNavigator);
  throws(() => new WorkerNavigator(), "TypeError", "Illegal constructor");
  throws(() => Object.getOwnPropertyDescriptor(WorkerNavigator.prototype, "userAgent").get.call({}), "TypeError");
});

await test("contexts are secure, and not isolated unless asked", () => {
  equal([isSecureContext, crossOriginIsolated], [true, false]);
});

await test("geometry computes", () => {
  const rect = DOMRectReadOnly.fromRect({ x: 1, y: 2, width: -3, height: 4 });
  equal([rect.left, rect.top, rect.right, rect.bottom], [-2, 2, 1, 6]);
  const point = new DOMMatrix().translate(10, 20).scale(2).transformPoint(new DOMPoint(1, 2));
  equal([point.x, point.y], [12, 24]);
  equal(DOMQuad.fromRect({ x: 0, y: 0, width: 2, height: 3 }).getBounds().height, 3);
  const image = new ImageData(2, 3);
  equal([image.data.length, image.width, image.height], [24, 2, 3]);
});

await test("URLs, patterns and parameters", () => {
  const url = new URL("../b?x=1&x=2#f", "https://a.test/p/q/");
  equal([url.href, url.searchParams.getAll("x")], ["https://a.test/p/b?x=1&x=2#f", ["1", "2"]]);
  throws(() => new URL("no base"), "TypeError");
});

await test("base64", () => {
  equal([btoa("\xff\x00a"), atob("/wBh")], ["/wBh", "\xff\x00a"]);
  throws(() => atob("*"), "InvalidCharacterError");
  throws(() => btoa("\u0100"), "InvalidCharacterError");
});

await test("performance measures from the start of the runtime", () => {
  assert(Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 5000);
  const before = performance.now();
  performance.mark("a");
  performance.mark("b");
  const measure = performance.measure("m", "a", "b");
  assert(measure.duration >= 0 && measure.startTime >= before);
});

await test("DOMException has its legacy code", () => {
  const error = new DOMException("gone", "InvalidStateError");
  equal([error.code, error.name, error.message, error instanceof Error], [11, "InvalidStateError", "gone", true]);
});

finish();
