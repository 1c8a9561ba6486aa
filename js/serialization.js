// Structured cloning and transfer of media objects: https://html.spec.whatwg.org/#structured-data
//
// deno_core asks an object how it is serialised by a property of its prototype, its brand: a function for a clone, a
// string for a transfer. A VideoFrame can be either, so its brand is a getter that answers by whether the object is in
// the transfer list at hand; for that the functions that serialise are wrapped. A serialised object is a number in the
// bytes; what it stands for is kept by the call that serialises, until it ends, and by the message that it sends.

import { core, primordials } from "ext:core/mod.js";
import {
  op_message_port_post_message,
  op_message_port_post_message_raw,
  op_webcodecs_adopt,
  op_webcodecs_call_begin,
  op_webcodecs_call_end,
  op_webcodecs_check_open,
  op_webcodecs_detach,
  op_webcodecs_pack,
  op_webcodecs_receive,
  op_webcodecs_settle,
  op_webcodecs_share,
  op_webcodecs_unpack,
} from "ext:core/ops";

const {
  ArrayPrototypeIncludes,
  ArrayPrototypePush,
  FunctionPrototypeCall,
  ObjectDefineProperty,
  ReflectApply,
  SafeSet,
  SymbolIterator,
  queueMicrotask,
} = primordials;

const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");

const TYPE = "Reelcore.media";
/** The clones of a message, which go with it. */
const PARCEL = "Reelcore.clones";

core.registerCloneableResource(TYPE, (data) => op_webcodecs_adopt(data.number));
core.registerTransferableResource(TYPE, op_webcodecs_detach, op_webcodecs_receive);
core.registerTransferableResource(PARCEL, undefined, (resource) => {
  op_webcodecs_unpack(resource);
  queueMicrotask(op_webcodecs_settle);
  return null;
});

/** The transfer list of the call that is being made, if one is. */
let transferring = null;

function serialize() {
  const number = op_webcodecs_share(this);
  // The host's own doing, as for performance.mark(): it reads the clone at once, or never.
  if (transferring === null) queueMicrotask(op_webcodecs_settle);
  return { type: TYPE, number };
}

function brand(interface_, descriptor) {
  ObjectDefineProperty(interface_.prototype, core.hostObjectBrand, {
    __proto__: null,
    enumerable: false,
    configurable: false,
    ...descriptor,
  });
}

/** Makes the objects of an interface serializable. */
export function makeSerializable(interface_) {
  brand(interface_, { __proto__: null, value: serialize, writable: false });
}

/** Makes the objects of an interface throw: platform objects that are not serializable are not empty objects. */
export function refuseSerialization(interface_) {
  brand(interface_, {
    __proto__: null,
    value: () => {
      throw dataClone("The object could not be cloned.");
    },
    writable: false,
  });
}

/** Makes the objects of an interface serializable and transferable. */
export function makeTransferable(interface_) {
  brand(interface_, {
    __proto__: null,
    get() {
      return transferring !== null && ArrayPrototypeIncludes(transferring, this) ? TYPE : serialize;
    },
  });
}

function dataClone(message) {
  const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
  return new DOMException(message, "DataCloneError");
}

/**
 * What would throw while objects are being transferred, when some are lost already:
 * https://html.spec.whatwg.org/#structuredserializewithtransfer
 */
function checkTransfer(transfer) {
  const { getMessagePortId } = core.loadExtScript("ext:deno_web/13_message_port.js");
  // Step 2. For each transferable of transferList:
  const memory = new SafeSet();
  for (let i = 0; i < transfer.length; i++) {
    const transferable = transfer[i];
    const type = transferable[core.hostObjectBrand];
    // 1. and 2. If transferable cannot be transferred, then throw a "DataCloneError" DOMException.
    if (!core.isArrayBuffer(transferable) && typeof type !== "string") throw dataClone("Value not transferable");
    // 3. If memory[transferable] exists, then throw a "DataCloneError" DOMException.
    if (memory.has(transferable)) throw dataClone("The transfer list contains an object twice");
    memory.add(transferable);
    // Step 5.2, sooner: If transferable is detached, then throw a "DataCloneError" DOMException.
    if (type === TYPE) op_webcodecs_check_open(transferable);
    if (type === "MessagePort" && getMessagePortId(transferable) === null) {
      throw dataClone("MessagePort in transfer list is already detached");
    }
  }
}

/** Runs a call that serialises. What is serialised then and is not sent goes when it ends, also when it throws. */
function during(transfer, call) {
  const outer = transferring;
  transferring = transfer;
  op_webcodecs_call_begin();
  try {
    if (transfer.length > 0) checkTransfer(transfer);
    return call();
  } finally {
    op_webcodecs_call_end();
    transferring = outer;
  }
}

/** The message port post message steps: https://html.spec.whatwg.org/#message-port-post-message-steps */
function post(port, message, transfer) {
  const host = core.loadExtScript("ext:deno_web/13_message_port.js");
  // Step 2. If transfer contains sourcePort, then throw a "DataCloneError" DOMException.
  if (ArrayPrototypeIncludes(transfer, port)) throw dataClone("Transfer list contains source port");
  if (host.getMessagePortId(port) === null) return;
  // Step 5. Let serializeWithTransferResult be StructuredSerializeWithTransfer(message, transfer).
  const serialized = transfer.length > 0
    ? host.serializeJsMessageData(message, transfer)
    : { data: serializeMessage(host, message), transferables: [] };
  // Step 6. If targetPort is null, return. A getter may have closed this one.
  const id = host.getMessagePortId(port);
  if (id === null) return;
  const parcel = op_webcodecs_pack();
  if (parcel !== null) {
    ArrayPrototypePush(serialized.transferables, { kind: "resource", data: [PARCEL, parcel] });
  }
  // Step 7. Add a task.
  if (serialized.transferables.length > 0) {
    op_message_port_post_message(id, serialized);
  } else {
    op_message_port_post_message_raw(id, serialized.data);
  }
}

function serializeMessage({ isUncloneable, serializeMessageData }, message) {
  if (isUncloneable(message)) throw dataClone("The object could not be cloned.");
  return serializeMessageData(message, (error) => {
    throw dataClone(error);
  });
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

const NOTHING = [];

/** Wraps the functions of the global object that serialise. */
export function wrapSerializers(globalThis_) {
  replace(globalThis_, "structuredClone", (original) => ({
    structuredClone(value, options) {
      if (arguments.length < 2) return during(NOTHING, () => ReflectApply(original, this, arguments));
      const prefix = "Failed to execute 'structuredClone'";
      // Read once, and handed on as a list: a script may count how often it is asked.
      const { transfer } = webidl.converters.StructuredSerializeOptions(options, prefix, "Argument 2");
      return during(transfer, () => FunctionPrototypeCall(original, this, value, { __proto__: null, transfer }));
    },
  }).structuredClone);
  const { getMessagePortId, MessagePort } = core.loadExtScript("ext:deno_web/13_message_port.js");
  replace(MessagePort.prototype, "postMessage", (original) => ({
    postMessage(message, transferOrOptions) {
      // What is no port, and no message, is the host's to refuse.
      if (arguments.length === 0) return ReflectApply(original, this, arguments);
      getMessagePortId(this);
      let transfer = NOTHING;
      if (transferOrOptions !== undefined && transferOrOptions !== null) {
        const prefix = "Failed to execute 'postMessage' on 'MessagePort'";
        const isSequence = webidl.type(transferOrOptions) === "Object" && transferOrOptions[SymbolIterator] !== undefined;
        const converted = isSequence
          ? { transfer: webidl.converters["sequence<object>"](transferOrOptions, prefix, "Argument 2") }
          : webidl.converters.StructuredSerializeOptions(transferOrOptions, prefix, "Argument 2");
        transfer = converted.transfer;
      }
      during(transfer, () => post(this, message, transfer));
    },
  }).postMessage);
  // Each destination reads the message while it is being posted.
  const { BroadcastChannel } = core.loadExtScript("ext:deno_web/01_broadcast_channel.js");
  replace(BroadcastChannel.prototype, "postMessage", (original) => ({
    postMessage() {
      return during(NOTHING, () => ReflectApply(original, this, arguments));
    },
  }).postMessage);
}
