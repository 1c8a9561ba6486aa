const e = new Echo();

assertEquals(e.callSum((a, b) => a + Number(b), 1, 2), 3);
assertEquals(e.callSum(function (...all) { return all.length; }, 1, 2), 2);
assertEquals(e.callSum((a, b) => (typeof a === "number" && typeof b === "string" ? 1 : 0), "1", 2), 1);
assertEquals(e.callSum(function () { "use strict"; return this === undefined ? 1 : 0; }, 1, 2), 1);
for (const bad of [{}, null, undefined, 1, "f"]) {
  assertThrows(() => e.callSum(bad, 1, 2), TypeError, "parameter 1 is not of type 'Sum'");
}
class Own extends Error {}
assertThrows(() => e.callSum(() => { throw new Own("x"); }, 1, 2), Own);
assertThrows(() => e.callSum(() => "not a number", 1, 2), TypeError, "what 'Sum' returned");

// Kept, then called from the event loop.
const log = [];
e.keep((target, inner) => log.push([target === e, inner]));
e.notifyLater();
assertEquals(log.length, 0);
await nextTask();
await nextTask();
assertEquals(log, [[true, { x: 42 }]]);

// What it throws is reported, not thrown; the next task goes on.
const errors = [];
addEventListener("error", (event) => {
  errors.push(event.error.message);
  event.preventDefault();
});
e.keep(() => { throw new Own("reported"); });
e.notifyLater();
await nextTask();
await nextTask();
assertEquals(errors, ["reported"]);

// Each call is a task of its own: microtasks run in between.
const order = [];
e.keep(() => {
  order.push("call");
  Promise.resolve().then(() => order.push("microtask"));
});
e.notifyLater();
e.notifyLater();
await nextTask();
await nextTask();
await nextTask();
assertEquals(order, ["call", "microtask", "call", "microtask"]);
