// The least that a runtime around the extension does, and helpers for the tests.

import { core, primordials } from "ext:core/mod.js";
import { exposeInterfaces } from "ext:bindings_fixture/generated.js";
import { op_fixture_gc, op_fixture_event_loop } from "ext:core/ops";

const { ObjectDefineProperty, ObjectSetPrototypeOf } = primordials;
const event = core.loadExtScript("ext:deno_web/02_event.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");

event.saveGlobalThisReference(globalThis);
event.setEventTargetData(globalThis);
const { brand } = core.loadExtScript("ext:deno_webidl/00_webidl.js");
globalThis[brand] = brand;
ObjectSetPrototypeOf(globalThis, event.EventTarget.prototype);
core.setReportExceptionCallback(event.reportException);

function define(name, value) {
  ObjectDefineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
}
define("DOMException", DOMException);
define("Event", event.Event);
define("EventTarget", event.EventTarget);
define("ErrorEvent", event.ErrorEvent);
define("nextTask", () => op_fixture_event_loop());
define("gc", () => op_fixture_gc());
exposeInterfaces(globalThis);

function show(value) {
  if (typeof value === "bigint" || typeof value === "symbol") return String(value);
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    return `{${Object.keys(value).map((key) => `${key}: ${show(value[key])}`).join(", ")}}`;
  }
  return String(value);
}

define("assertEquals", (actual, expected, what = "") => {
  if (show(actual) !== show(expected)) throw new Error(`${what}: got ${show(actual)}, expected ${show(expected)}`);
});
define("assertThrows", (action, type, message = "", what = "") => {
  let thrown;
  try {
    action();
  } catch (error) {
    thrown = { error };
  }
  if (thrown === undefined) throw new Error(`${what || action}: nothing was thrown`);
  checkError(thrown.error, type, message, what || String(action));
});
define("assertRejects", async (promise, type, message = "", what = "") => {
  if (!(promise instanceof Promise)) throw new Error(`${what}: not a promise`);
  let thrown;
  try {
    await promise;
  } catch (error) {
    thrown = { error };
  }
  if (thrown === undefined) throw new Error(`${what}: the promise was fulfilled`);
  checkError(thrown.error, type, message, what);
});

function checkError(error, type, message, what) {
  const fits = typeof type === "string"
    ? error instanceof DOMException && error.name === type
    : error?.constructor === type;
  if (!fits) throw new Error(`${what}: got ${error}, expected ${type.name ?? type}`);
  if (!error.message.includes(message)) throw new Error(`${what}: "${error.message}" lacks "${message}"`);
}

/** An object that notes which of its properties are read, in order. */
define("spy", (values, log) => new Proxy(values, {
  get(target, key) {
    if (typeof key === "string") log.push(key);
    return target[key];
  },
}));
