// What a dedicated worker has to talk to its owner, which is the test runner here.
// https://html.spec.whatwg.org/multipage/workers.html#dedicated-workers-and-the-dedicatedworkerglobalscope-interface
//
// testharness.js finds a DedicatedWorkerGlobalScope and posts each result to its owner with
// postMessage(). This is the only thing added to the runtime's global scope, and it fakes nothing:
// the runner reads the messages that a page would read.

import { primordials } from "ext:core/mod.js";
import { op_wpt_post_message } from "ext:core/ops";

const { JSONStringify, ObjectDefineProperty, TypeError } = primordials;

function postMessage(message) {
  if (arguments.length === 0) {
    throw new TypeError(
      "Failed to execute 'postMessage' on 'DedicatedWorkerGlobalScope': 1 argument required, but only 0 present.",
    );
  }
  // The harness posts plain objects; JSON keeps all of them. What has no JSON form is no message of it.
  const json = JSONStringify(message);
  if (json !== undefined) {
    op_wpt_post_message(json);
  }
}

// The operation of a [Global] interface is a property of the global object itself.
// https://webidl.spec.whatwg.org/#define-the-operations
ObjectDefineProperty(globalThis, "postMessage", {
  __proto__: null,
  value: postMessage,
  writable: true,
  enumerable: true,
  configurable: true,
});
