const e = new Echo();
assertEquals(e.onping, null);

const log = [];
const handler = function (event) {
  log.push([this === e, event.type, event.target === e, event.isTrusted, event instanceof Event, event.bubbles, event.cancelable]);
};
e.onping = handler;
assertEquals(e.onping === handler, true);
e.ping();
assertEquals(log.length, 0);
await nextTask();
await nextTask();
assertEquals(log, [[true, "ping", true, true, true, false, false]]);

// Anything but an object is null.
for (const value of [null, undefined, 1, "x", true, Symbol()]) {
  e.onping = handler;
  e.onping = value;
  assertEquals(e.onping, null);
}
const object = {};
e.onping = object;
assertEquals(e.onping === object, true);
e.ping();
await nextTask();
await nextTask();
assertEquals(log.length, 1);

// Listeners, their order with a handler, and a microtask checkpoint before the next task.
e.onping = null;
const order = [];
e.addEventListener("ping", () => {
  order.push("listener");
  Promise.resolve().then(() => order.push("microtask"));
});
e.ping();
e.ping();
await nextTask();
await nextTask();
await nextTask();
assertEquals(order, ["listener", "microtask", "listener", "microtask"]);

// Two objects do not share handlers.
const f = new Echo();
assertEquals(f.onping, null);
f.dispatchEvent(new Event("ping"));
assertEquals(order.length, 4);
