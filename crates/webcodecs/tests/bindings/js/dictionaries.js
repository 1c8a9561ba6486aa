const e = new Echo();

// Inherited members come first, each dictionary's in lexicographical order.
const log = [];
const result = e.echoDictionary(spy({ middle: 3, zeta: 1, alpha: "x", inner: spy({ x: 2 }, log) }, log));
assertEquals(log, [
  "alpha", "zeta",
  "data", "early", "fruit", "inner", "x", "maybe", "middle", "nothing", "points", "sum",
]);
// Dictionary -> JavaScript: absent members stay absent, defaults are there.
assertEquals(result, {
  alpha: "x", zeta: 1, early: true, fruit: "apple", inner: { x: 2 }, middle: 3, nothing: null, points: [],
});
assertEquals(e.echoDictionary({ middle: 1, maybe: null }).maybe, null);
assertEquals(e.echoDictionary({ middle: 1, maybe: undefined }).hasOwnProperty("maybe"), false);
assertEquals(e.echoDictionary({ middle: 1 }).inner, { x: 1.5 });
const buffer = new ArrayBuffer(3);
assertEquals(e.echoDictionary({ middle: 1, data: buffer }).data === buffer, true);
const sum = () => 0;
assertEquals(e.echoDictionary({ middle: 1, sum }).sum === sum, true);
// A dictionary is a new plain object.
assertEquals(Object.getPrototypeOf(result) === Object.prototype, true);
assertEquals(Object.getOwnPropertyDescriptor(result, "alpha"),
  { value: "x", writable: true, enumerable: true, configurable: true });

// Functions are objects, too; null and undefined have no members.
const asFunction = () => 0;
asFunction.x = 9;
assertEquals(e.echoOptionalDictionary(asFunction), { x: 9 });
for (const empty of [undefined, null, {}]) assertEquals(e.echoOptionalDictionary(empty), { x: 1.5 });
assertEquals(e.echoOptionalDictionary(), { x: 1.5 });
for (const bad of [1, "s", true, Symbol()]) {
  assertThrows(() => e.echoOptionalDictionary(bad), TypeError, "parameter 1 is not of type 'Inner'");
}

// Errors name the dictionary and the member.
const start = "Failed to execute 'echoDictionary' on 'Echo': ";
for (const empty of [{}, null, undefined, { middle: undefined }]) {
  assertThrows(() => e.echoDictionary(empty), TypeError,
    start + "Failed to read the 'middle' property from 'Derived': Required member is undefined.");
}
assertThrows(() => e.echoDictionary({ middle: -1 }), TypeError,
  start + "Failed to read the 'middle' property from 'Derived': The provided value is outside the 'unsigned long' value range.");
assertThrows(() => e.echoDictionary({ fruit: "kiwi", middle: 1 }), TypeError,
  "Failed to read the 'fruit' property from 'Derived': The provided value 'kiwi' is not a valid enum value of type Fruit.");
assertThrows(() => e.echoDictionary({ middle: 1, points: [{}, { x: NaN }] }), TypeError,
  "'points' property from 'Derived': Failed to read the 'x' property from 'Inner': The provided value is non-finite.");
assertThrows(() => e.echoDictionary({ middle: 1, points: [{}, 5] }), TypeError, "element 1 of the sequence is not of type 'Inner'");
assertThrows(() => e.echoDictionary({ middle: 1, sum: {} }), TypeError, "'sum' property from 'Derived'");
assertThrows(() => e.echoDictionary({ middle: 1, inner: 1 }), TypeError, "'inner' property from 'Derived'");

// The first error in the order of reading wins, and nothing is read after it.
const until = [];
assertThrows(() => e.echoDictionary(spy({ early: true, fruit: "kiwi" }, until)), TypeError, "'fruit'");
assertEquals(until, ["alpha", "zeta", "data", "early", "fruit"]);

// What a getter throws comes through.
const own = new RangeError("own");
let caught;
try {
  e.echoDictionary({ get early() { throw own; } });
} catch (error) {
  caught = error;
}
assertEquals(caught === own, true);
