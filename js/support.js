// What Reelcore's own classes share: where a script is, and whose bytes are whose.

import { core, primordials } from "ext:core/mod.js";

const {
  ArrayBufferIsView,
  ArrayBufferPrototypeGetByteLength,
  ArrayBufferPrototypeSlice,
  ArrayPrototypeFilter,
  ArrayPrototypeIncludes,
  ArrayPrototypeJoin,
  ErrorCaptureStackTrace,
  ObjectDefineProperty,
  PromisePrototypeThen,
  SafeArrayIterator,
  StringPrototypeIncludes,
  StringPrototypeSplit,
  StringPrototypeStartsWith,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetByteOffset,
  TypedArrayPrototypeGetSymbolToStringTag,
  DataViewPrototypeGetBuffer,
  DataViewPrototypeGetByteLength,
  DataViewPrototypeGetByteOffset,
  TypeError,
  Uint8Array,
} = primordials;

// The errors of the operations above. The names are ours: a runtime may have registered DOMExceptions under others.
for (const name of new SafeArrayIterator([
  "AbortError",
  "EncodingError",
  "InvalidStateError",
  "NotAllowedError",
  "NotFoundError",
  "NotReadableError",
  "NotSupportedError",
  "OperationError",
])) {
  core.registerErrorBuilder(`Reelcore.${name}`, (message) => {
    const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
    return new DOMException(message, name);
  });
}

/** Defines an operation of an interface. */
export function define(prototype, name, value) {
  ObjectDefineProperty(prototype, name, {
    __proto__: null,
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

/** Has `wrap` make the method `name` of `prototype` anew, over the one that is there. */
export function override(prototype, name, wrap) {
  const original = prototype[name];
  const method = wrap(original);
  ObjectDefineProperty(method, "name", { __proto__: null, value: name, configurable: true });
  ObjectDefineProperty(method, "length", { __proto__: null, value: original.length, configurable: true });
  define(prototype, name, method);
}

/** Where the script is now: the frames that are not this file's. */
export function callSite() {
  const holder = { __proto__: null };
  ErrorCaptureStackTrace(holder, callSite);
  const lines = StringPrototypeSplit(holder.stack, "\n");
  const ours = (line) => StringPrototypeIncludes(line, "ext:webcodecs/");
  return ArrayPrototypeJoin(ArrayPrototypeFilter(lines, (line, index) => index > 0 && !ours(line)), "\n");
}

/** `promise`, whose error then says at which line of the script it was asked for. */
export function located(promise, site) {
  return PromisePrototypeThen(promise, undefined, (error) => {
    // An op's error was made where no script was. deno_core keeps the frames of an error when its stack is first read, and
    // puts another error in the place of one without any that nobody catches.
    ErrorCaptureStackTrace(error);
    void error.stack;
    ObjectDefineProperty(error, "stack", {
      __proto__: null,
      configurable: true,
      writable: true,
      value: `${error.name}: ${error.message}\n${site}`,
    });
    throw error;
  });
}

/** The path on this machine of a file: URL, also as text that begins with `file://`; other text is a path already. */
export function filePath(place) {
  let url = place;
  if (typeof place === "string") {
    if (!StringPrototypeStartsWith(place, "file://")) return place;
    const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
    url = new URL(place);
  }
  if (url.protocol !== "file:") throw new TypeError(`${url.href} is not a file: URL`);
  const { pathFromURL } = core.loadExtScript("ext:deno_web/00_infra.js");
  try {
    return pathFromURL(url);
  } catch {
    // It names another machine, or what its escapes stand for is not UTF-8.
    throw new TypeError(`${url.href} names no file of this machine`);
  }
}

export function isArrayBuffer(value) {
  try {
    ArrayBufferPrototypeGetByteLength(value);
    return true;
  } catch {
    return false;
  }
}

/** The buffer, offset and length of a view. */
function viewRange(view) {
  if (TypedArrayPrototypeGetSymbolToStringTag(view) === undefined) {
    return [DataViewPrototypeGetBuffer(view), DataViewPrototypeGetByteOffset(view), DataViewPrototypeGetByteLength(view)];
  }
  return [
    TypedArrayPrototypeGetBuffer(view),
    TypedArrayPrototypeGetByteOffset(view),
    TypedArrayPrototypeGetByteLength(view),
  ];
}

/** A view's bytes, not copied. */
export function viewBytes(view) {
  const { 0: buffer, 1: offset, 2: length } = viewRange(view);
  return new Uint8Array(buffer, offset, length);
}

/** The bytes of a buffer or view as a buffer of our own; without a copy if it is transferred. */
export function ownBytes(source, transfer) {
  let buffer = source;
  let offset = 0;
  let length;
  if (ArrayBufferIsView(source)) {
    ({ 0: buffer, 1: offset, 2: length } = viewRange(source));
  } else {
    length = ArrayBufferPrototypeGetByteLength(source);
  }
  if (ArrayPrototypeIncludes(transfer, buffer)) return new Uint8Array(buffer, offset, length);
  // The script may change its buffer while packets are read from it: they need a copy.
  if (!isArrayBuffer(buffer)) {
    const copy = new Uint8Array(length);
    copy.set(new Uint8Array(buffer, offset, length));
    return copy;
  }
  return new Uint8Array(ArrayBufferPrototypeSlice(buffer, offset, offset + length));
}
