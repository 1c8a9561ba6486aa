const e = new Echo("me");

assertEquals(await e.later(7), 7);
assertEquals(await e.ready, "me");
assertEquals(await Echo.laterStatic({ middle: 2 }), "a 2");
assertEquals(await e.later("300"), 300);

// Whatever goes wrong, it is a rejection.
await assertRejects(e.later(), TypeError, "Failed to execute 'later' on 'Echo': 1 argument required, but only 0 present");
await assertRejects(e.later(Symbol()), TypeError);
await assertRejects(e.laterFails("now"), "AbortError", "at once");
await assertRejects(e.laterFails("later on"), "OperationError", "later on");
await assertRejects(Echo.laterStatic(), TypeError, "Failed to execute 'Echo.laterStatic': 1 argument required");
await assertRejects(Echo.laterStatic({}), TypeError, "Required member is undefined");
await assertRejects(Echo.laterStatic(5), TypeError, "is not of type 'Derived'");
class Own extends Error {}
await assertRejects(Echo.laterStatic({ get early() { throw new Own("x"); } }), Own);
for (const bad of [undefined, null, {}, 1, Echo.prototype, new Shape()]) {
  await assertRejects(Echo.prototype.later.call(bad, 1), TypeError, "Illegal invocation");
  await assertRejects(
    Object.getOwnPropertyDescriptor(Echo.prototype, "ready").get.call(bad), TypeError, "Illegal invocation");
}
await assertRejects(Echo.prototype.ready, TypeError);
// Statics need no `this`.
const { laterStatic } = Echo;
assertEquals(await laterStatic({ middle: 1 }), "a 1");
