const e = new Echo();
assertThrows(() => e.throwTypeError("t"), TypeError, "t");
assertThrows(() => e.throwRangeError("r"), RangeError, "r");
assertThrows(() => e.throwDomException("d"), "QuotaExceededError", "d");
let error;
try {
  e.throwDomException("d");
} catch (caught) {
  error = caught;
}
assertEquals(error instanceof DOMException, true);
assertEquals(error instanceof Error, true);
assertEquals(String(error), "QuotaExceededError: d");
for (const value of [1, null, undefined, e]) {
  let caught;
  try {
    e.throwValue(value);
  } catch (thrown) {
    caught = { thrown };
  }
  assertEquals(caught.thrown === value, true);
}
