const e = new Echo();

for (const truthy of [true, 1, "0", {}, Symbol()]) assertEquals(e.echoBoolean(truthy), true);
for (const falsy of [false, 0, "", null, undefined, NaN]) assertEquals(e.echoBoolean(falsy), false);

// Without an attribute integers wrap.
assertEquals(e.echoByte(200), -56);
assertEquals(e.echoOctet(-1), 255);
assertEquals(e.echoShort(65535), -1);
assertEquals(e.echoUnsignedShort(65537), 1);
assertEquals(e.echoLong(2 ** 31), -(2 ** 31));
assertEquals(e.echoUnsignedLong(-1), 2 ** 32 - 1);
assertEquals(e.echoLongLong(-(2 ** 60)), -(2 ** 60));
assertEquals(e.echoUnsignedLongLong(2 ** 64), 0);
for (const zero of [NaN, Infinity, -Infinity, -0, undefined, null, "x", {}, []]) assertEquals(e.echoLong(zero), 0);
assertEquals(e.echoLong("12.9"), 12);
assertEquals(e.echoLong(-12.9), -12);
assertEquals(e.echoLong({ valueOf: () => 7 }), 7);
assertThrows(() => e.echoLong(Symbol()), TypeError);
assertThrows(() => e.echoLong(1n), TypeError);

// [EnforceRange]
assertEquals(e.echoEnforced(2147483647.9), 2147483647);
assertEquals(e.echoEnforced(-0.9), 0);
assertThrows(() => e.echoEnforced(2147483648), TypeError, "parameter 1 is outside the 'long' value range");
assertThrows(() => e.echoEnforced(NaN), TypeError, "Failed to execute 'echoEnforced' on 'Echo': parameter 1 is not a finite");
assertThrows(() => e.echoEnforced(Infinity), TypeError);
assertThrows(() => e.echoEnforced(undefined), TypeError);
assertEquals(e.echoEnforcedLongLong(Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
assertThrows(() => e.echoEnforcedLongLong(2 ** 53), TypeError);
assertThrows(() => e.echoEnforcedLongLong(-1), TypeError);

// [Clamp]
assertEquals(e.echoClamped(300), 255);
assertEquals(e.echoClamped(-Infinity), 0);
assertEquals(e.echoClamped(1.5), 2);
assertEquals(e.echoClamped(2.5), 2);
assertEquals(e.echoClamped(NaN), 0);

assertEquals(e.echoDouble("1.25"), 1.25);
assertEquals(e.echoDouble(-0), -0);
for (const bad of [NaN, Infinity, -Infinity, undefined, "x"]) {
  assertThrows(() => e.echoDouble(bad), TypeError, "parameter 1 is non-finite");
  assertThrows(() => e.echoFloat(bad), TypeError, "non-finite");
}
assertEquals(e.echoUnrestrictedDouble(NaN), NaN);
assertEquals(e.echoUnrestrictedDouble(-Infinity), -Infinity);
assertEquals(e.echoFloat(0.1), Math.fround(0.1));
assertThrows(() => e.echoFloat(1e39), TypeError, "non-finite");
assertEquals(e.echoUnrestrictedFloat(1e39), Infinity);

// What a conversion's script throws comes through as it is.
const thrown = { toString: () => "mine" };
let caught;
try {
  e.echoDouble({ valueOf() { throw thrown; } });
} catch (error) {
  caught = error;
}
assertEquals(caught === thrown, true);

// Nullable and optional.
assertEquals(e.echoNullable(null), null);
assertEquals(e.echoNullable(undefined), null);
assertEquals(e.echoNullable("3"), 3);
assertEquals(e.echoOptional(), "None b None");
assertEquals(e.echoOptional(undefined, undefined, undefined), "None b None");
assertEquals(e.echoOptional(null, null, null), "Some(0) null None");
assertEquals(e.echoOptional(5, "x", "no-pear", "ignored"), "Some(5) x Some(NoPear)");

// Argument counts, and the order of conversions.
assertThrows(() => e.echoDouble(), TypeError, "Failed to execute 'echoDouble' on 'Echo': 1 argument required, but only 0 present");
assertThrows(() => e.callSum(() => 1, 2), TypeError, "3 arguments required, but only 2 present");
const order = [];
const note = (name, value) => ({ valueOf() { order.push(name); return value; } });
assertEquals(Echo.add(note("a", 1), note("b", 2)), 3);
assertEquals(order, ["a", "b"]);
assertThrows(() => Echo.add(1), TypeError, "Failed to execute 'Echo.add': 2 arguments required, but only 1 present");

// Attributes.
assertEquals(e.label, "none");
assertEquals(e.size, 4);
assertEquals(new Echo("").size, null);
e.level = 500.5;
assertEquals(e.level, 255);
assertThrows(() => { "use strict"; e.label = "x"; }, TypeError);
e.fruit = "no-pear";
e.fruit = "unknown values are ignored";
assertEquals(e.fruit, "no-pear");
assertEquals(e.peer, null);
e.peer = e;
assertEquals(e.peer === e, true);
assertThrows(() => { e.peer = {}; }, TypeError, "Failed to set the 'peer' property on 'Echo'");
e.peer = undefined;
assertEquals(e.peer, null);
