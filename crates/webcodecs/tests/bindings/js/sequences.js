const e = new Echo();

assertEquals(e.echoSequence([1, "b", null]), ["1", "b", "null"]);
assertEquals(e.echoSequence([]), []);
assertEquals(e.echoSequence(new Set([1, 2])), ["1", "2"]);
assertEquals(e.echoSequence(new String("ab")), ["a", "b"]);
assertEquals(e.echoSequence((function* () { yield 1; yield 2; })()), ["1", "2"]);
assertEquals(e.echoSequence([, 1]), ["undefined", "1"]);
// A string is no object.
for (const bad of ["ab", 1, null, undefined, {}, { [Symbol.iterator]: 1 }, { [Symbol.iterator]: null }]) {
  assertThrows(() => e.echoSequence(bad), TypeError, "parameter 1 cannot be converted to a sequence");
}
assertThrows(() => e.echoSequence({ [Symbol.iterator]: () => 1 }), TypeError);
assertThrows(() => e.echoSequence({ [Symbol.iterator]: () => ({}) }), TypeError);
assertThrows(() => e.echoSequence({ [Symbol.iterator]: () => ({ next: () => 1 }) }), TypeError, "not an object");
assertThrows(() => e.echoSequence([Symbol()]), TypeError);

// The protocol: the method once, `next` once, then `done` and `value` of each result; `return` is not called.
const log = [];
const iterable = spy({
  [Symbol.iterator]() {
    log.push("iterate");
    let count = 0;
    return spy({
      next() {
        return spy(count < 2 ? { done: false, value: count++ } : { done: true, value: "unread" }, log);
      },
      return() { log.push("returned"); },
    }, log);
  },
}, log);
assertEquals(e.echoSequence(iterable), ["0", "1"]);
assertEquals(log, ["iterate", "next", "done", "value", "done", "value", "done"]);

class Own extends Error {}
assertThrows(() => e.echoSequence({ get [Symbol.iterator]() { throw new Own("x"); } }), Own);
assertThrows(() => e.echoSequence((function* () { throw new Own("x"); })()), Own);
assertThrows(() => e.echoSequence([{ toString() { throw new Own("x"); } }]), Own);
