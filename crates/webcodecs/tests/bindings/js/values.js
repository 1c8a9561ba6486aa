const e = new Echo("me");

assertEquals(e.echoString(12), "12");
assertEquals(e.echoString(null), "null");
assertEquals(e.echoString({ toString: () => "s" }), "s");
assertThrows(() => e.echoString(Symbol("x")), TypeError);
assertEquals(e.echoString("a\u0000b"), "a\u0000b");
assertEquals(e.echoString("héllo €🎞"), "héllo €🎞");
assertEquals(e.echoUsvString("a\ud800b"), "a\ufffdb");

for (const fruit of ["apple", "no-pear", ""]) assertEquals(e.echoFruit(fruit), fruit);
assertThrows(() => e.echoFruit("Apple"), TypeError, "'Apple' is not a valid enum value of type Fruit");
assertThrows(() => e.echoFruit(undefined), TypeError, "'undefined' is not a valid enum value");
assertThrows(() => e.echoFruit("x".repeat(1e6)), TypeError, "is not a valid enum value");

const symbol = Symbol();
for (const any of [1, "s", null, undefined, symbol, e, e.echoAny]) assertEquals(e.echoAny(any) === any, true);
const object = {};
assertEquals(e.echoObject(object) === object, true);
assertEquals(e.echoObject(e.echoAny) === e.echoAny, true);
for (const bad of [1, "s", null, undefined, symbol]) assertThrows(() => e.echoObject(bad), TypeError, "is not an object");

assertEquals(e.echoEcho(e) === e, true);
for (const bad of [{}, null, undefined, 1, Object.create(Echo.prototype), new Proxy(e, {}), new Shape()]) {
  assertThrows(() => e.echoEcho(bad), TypeError, "parameter 1 is not of type 'Echo'");
}
