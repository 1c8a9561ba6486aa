// Structured cloning and transfer of media objects: https://html.spec.whatwg.org/#structured-data
//
// deno_core asks an object how it is serialised by a property of its prototype, its brand: a function for a clone, a
// string for a transfer. A VideoFrame can be either, so its brand is a getter that answers by whether the object is in
// the transfer list at hand; for that the two functions that take such lists are wrapped.

import { core, primordials } from "ext:core/mod.js";
import {
  op_webcodecs_adopt,
  op_webcodecs_detach,
  op_webcodecs_receive,
  op_webcodecs_share,
} from "ext:core/ops";

const {
  ArrayFrom,
  ArrayPrototypeIncludes,
  FunctionPrototypeCall,
  ObjectDefineProperty,
  ReflectApply,
  SymbolIterator,
} = primordials;

const TYPE = "Reelcore.media";

core.registerCloneableResource(TYPE, (data) => op_webcodecs_adopt(data.number));
core.registerTransferableResource(TYPE, op_webcodecs_detach, op_webcodecs_receive);

/** The transfer list of the call that is being made. */
let transferring = [];

function serialize() {
  return { type: TYPE, number: op_webcodecs_share(this) };
}

/** Makes the objects of an interface serializable, and transferable if that is wanted. */
export function makeSerializable(interface_, transferable) {
  ObjectDefineProperty(interface_.prototype, core.hostObjectBrand, transferable
    ? {
      __proto__: null,
      get() {
        return ArrayPrototypeIncludes(transferring, this) ? TYPE : serialize;
      },
      enumerable: false,
      configurable: false,
    }
    : { __proto__: null, value: serialize, writable: false, enumerable: false, configurable: false });
}

/** Runs `call` with the transfer list in `argument`: a sequence, or a dictionary with a member `transfer`. */
function withTransfer(argument, call) {
  // Read once, and handed on as a list: a script may count how often it is asked.
  const isSequence = typeof argument === "object" && argument !== null && SymbolIterator in argument;
  const list = isSequence ? argument : argument?.transfer;
  if (typeof list !== "object" || list === null) return call(argument);
  const transfer = ArrayFrom(list);
  const outer = transferring;
  transferring = transfer;
  try {
    for (let i = 0; i < transfer.length; i++) {
      // Ours, and serializable only: a chunk.
      if (transfer[i]?.[core.hostObjectBrand] === serialize) {
        const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
        throw new DOMException("Value not transferable", "DataCloneError");
      }
    }
    return call(isSequence ? transfer : { __proto__: null, transfer });
  } finally {
    transferring = outer;
  }
}

function replace(holder, name, make) {
  const original = holder?.[name];
  if (typeof original !== "function") return;
  const replacement = make(original);
  for (const key of ["name", "length"]) {
    ObjectDefineProperty(replacement, key, { __proto__: null, value: original[key], configurable: true });
  }
  const enumerable = holder.propertyIsEnumerable(name);
  ObjectDefineProperty(holder, name, {
    __proto__: null,
    value: replacement,
    writable: true,
    enumerable,
    configurable: true,
  });
}

/** Wraps the functions of the global object that take transfer lists. */
export function wrapTransfers(globalThis_) {
  replace(globalThis_, "structuredClone", (original) => ({
    structuredClone(value, options) {
      if (arguments.length < 2) return ReflectApply(original, this, arguments);
      return withTransfer(options, (options) => FunctionPrototypeCall(original, this, value, options));
    },
  }).structuredClone);
  const { MessagePort } = core.loadExtScript("ext:deno_web/13_message_port.js");
  replace(MessagePort.prototype, "postMessage", (original) => ({
    postMessage(message, transferOrOptions) {
      if (arguments.length < 2) return ReflectApply(original, this, arguments);
      return withTransfer(transferOrOptions, (list) => FunctionPrototypeCall(original, this, message, list));
    },
  }).postMessage);
}
