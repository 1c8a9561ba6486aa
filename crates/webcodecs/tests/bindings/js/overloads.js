const e = new Echo("me");

assertEquals(e.describeUnion(e), "Echo me");
assertEquals(e.describeUnion(new Uint8Array([1, 2])), "buffer of 2 bytes, sum 3, own");
assertEquals(e.describeUnion(new ArrayBuffer(1)), "buffer of 1 bytes, sum 0, own");
assertEquals(e.describeUnion([1, "2"]), "sequence [1, 2]");
assertEquals(e.describeUnion(true), "boolean true");
assertEquals(e.describeUnion(1.5), "double 1.5");
assertEquals(e.describeUnion("1.5"), "string 1.5");
assertEquals(e.describeUnion({ toString: () => "o" }), "string o");
assertEquals(e.describeUnion(null), "string null");
assertThrows(() => e.describeUnion(NaN), TypeError, "parameter 1 is non-finite");
assertThrows(() => e.describeUnion(Symbol()), TypeError);
assertThrows(() => e.describeUnion(new Uint8Array(new SharedArrayBuffer(1))), TypeError);

assertEquals(e.describeNamed({ x: 3 }), "dictionary 3");
assertEquals(e.describeNamed(undefined), "dictionary 1.5");
assertEquals(e.describeNamed(null), "dictionary 1.5");
assertEquals(e.describeNamed("no-pear"), "enum no-pear");
assertThrows(() => e.describeNamed("kiwi"), TypeError, "not a valid enum value");

assertEquals(e.pick(2), "number 2");
assertEquals(e.pick("2"), "string 2");
assertEquals(e.pick(null), "string null");
assertEquals(e.pick(e), "echo me 7");
assertEquals(e.pick(e, 8), "echo me 8");
assertEquals(e.pick(new ArrayBuffer(3), { x: 4 }, 1), "buffer 3 4 true");
assertEquals(e.pick(new ArrayBuffer(3), undefined, 0, "ignored"), "buffer 3 1.5 false");
assertEquals(e.pick.length, 1);
assertThrows(() => e.pick(), TypeError, "1 argument required, but only 0 present");
// With two arguments only one variant is left, with three another.
assertThrows(() => e.pick("2", 3), TypeError, "parameter 1 is not of type 'Echo'");
assertThrows(() => e.pick(e, 3, 4), TypeError, "parameter 1 is not of type 'BufferSource'");

assertEquals(new Shape().height, null);
assertEquals(new Shape(4).toJSON(), { width: 4, height: 2, kind: "no-pear" });
assertEquals(new Shape(4, 5).toJSON(), { width: 4, height: 5, kind: "no-pear" });
assertEquals(new Shape(new Shape(6)).width, 6);
assertEquals(JSON.stringify(new Shape(1, 2)), '{"width":1,"height":2,"kind":"no-pear"}');
assertThrows(() => new Shape({}), TypeError, "Failed to construct 'Shape'");
assertEquals(Shape.length, 0);
