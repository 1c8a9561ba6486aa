// What the generated bindings need of JavaScript: https://webidl.spec.whatwg.org/
//
// Rust finds the functions of `host` in `crates/webcodecs/src/webidl/host.rs`.

import { core, primordials } from "ext:core/mod.js";
import { op_webidl_set_host } from "ext:core/ops";
import { canvasHost } from "ext:webcodecs/canvas.js";

const {
  FunctionPrototypeCall,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptor,
  ObjectSetPrototypeOf,
  ReflectDeleteProperty,
  SymbolToStringTag,
} = primordials;

const event = core.loadExtScript("ext:deno_web/02_event.js");
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { Event, EventTarget } = event;
const { dispatchEvent } = EventTarget.prototype;

// Loaded on first use, so that start-up does not pay for them.
let DOMException;
let DOMRectReadOnly;

/** Event name -> the getter and setter that deno_web makes for its event handler attribute. */
const handlers = { __proto__: null };

function handlerAccessors(name) {
  let accessors = handlers[name];
  if (accessors === undefined) {
    const holder = { __proto__: null };
    event.defineEventHandler(holder, name);
    accessors = ObjectGetOwnPropertyDescriptor(holder, `on${name}`);
    handlers[name] = accessors;
  }
  return accessors;
}

op_webidl_set_host({
  __proto__: null,
  ...canvasHost,
  createDOMException(message, name) {
    DOMException ??= core.loadExtScript("ext:deno_web/01_dom_exception.js").DOMException;
    return new DOMException(message, name);
  },
  createDOMRectReadOnly(x, y, width, height) {
    DOMRectReadOnly ??= core.loadExtScript("ext:deno_web/17_geometry.js").DOMRectReadOnly;
    return new DOMRectReadOnly(x, y, width, height);
  },
  initEventTarget(target) {
    target[webidl.brand] = webidl.brand;
    event.setEventTargetData(target);
  },
  fireEvent(target, name) {
    if (event.listenerCount(target, name) === 0) return;
    const fired = new Event(name);
    event.setIsTrusted(fired, true);
    FunctionPrototypeCall(dispatchEvent, target, fired);
  },
  getEventHandler(target, name) {
    return FunctionPrototypeCall(handlerAccessors(name).get, target);
  },
  setEventHandler(target, name, value) {
    FunctionPrototypeCall(handlerAccessors(name).set, target, value);
  },
  reportException(error) {
    event.reportException(error);
  },
});

function setLength(function_, length) {
  ObjectDefineProperty(function_, "length", {
    __proto__: null,
    value: length,
    writable: false,
    enumerable: false,
    configurable: true,
  });
}

/**
 * Makes of a class of Rust what Web IDL wants an interface object to be:
 * https://webidl.spec.whatwg.org/#create-an-interface-object
 *
 * Operations and attributes whose type is a promise arrive as static methods, since only those check `this`
 * themselves (they reject where others throw); here they go where they belong.
 */
export function configureInterface(interface_, shape) {
  const { prototype } = interface_;
  setLength(interface_, shape.length);
  for (let i = 0; i < shape.operations.length; i++) {
    const { 0: name, 1: length } = shape.operations[i];
    setLength(prototype[name], length);
  }
  for (let i = 0; i < shape.promiseOperations.length; i++) {
    const { 0: name, 1: length } = shape.promiseOperations[i];
    const value = interface_[name];
    ReflectDeleteProperty(interface_, name);
    setLength(value, length);
    ObjectDefineProperty(prototype, name, {
      __proto__: null,
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  for (let i = 0; i < shape.staticOperations.length; i++) {
    const { 0: name, 1: length } = shape.staticOperations[i];
    setLength(interface_[name], length);
  }
  for (let i = 0; i < shape.promiseAttributes.length; i++) {
    const name = shape.promiseAttributes[i];
    const get = interface_[name];
    ReflectDeleteProperty(interface_, name);
    ObjectDefineProperty(get, "name", { __proto__: null, value: `get ${name}`, configurable: true });
    ObjectDefineProperty(prototype, name, {
      __proto__: null,
      get,
      set: undefined,
      enumerable: true,
      configurable: true,
    });
  }
  ObjectDefineProperty(prototype, SymbolToStringTag, {
    __proto__: null,
    value: shape.name,
    writable: false,
    enumerable: false,
    configurable: true,
  });
  if (shape.eventTarget) {
    ObjectSetPrototypeOf(interface_, EventTarget);
    ObjectSetPrototypeOf(prototype, EventTarget.prototype);
  }
  ObjectDefineProperty(interface_, "prototype", {
    __proto__: null,
    value: prototype,
    writable: false,
    enumerable: false,
    configurable: false,
  });
}
