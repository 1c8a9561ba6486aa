// Objects, also those that their own callbacks refer to, go away.
const finalized = [];
const registry = new FinalizationRegistry((name) => finalized.push(name));
(() => {
  for (let i = 0; i < 10; i++) {
    const e = new Echo();
    e.keep(() => e);
    e.peer = e;
    e.onping = () => e;
    registry.register(e, "echo");
  }
})();
const kept = new Echo("kept");
const calls = [];
kept.keep(() => calls.push(1));
kept.peer = new Echo("peer of kept");
for (let i = 0; i < 5 && finalized.length < 10; i++) {
  await gc();
  await nextTask();
}
assertEquals(finalized.length, 10);
kept.notifyLater();
await nextTask();
await nextTask();
assertEquals(calls.length, 1);
assertEquals(kept.peer.label, "peer of kept");
