// What idlharness.js checks of interface objects, prototypes, operations and attributes.
const descriptor = Object.getOwnPropertyDescriptor;

function checkInterface(name, length, parent) {
  const interface_ = globalThis[name];
  const onGlobal = descriptor(globalThis, name);
  assertEquals([onGlobal.writable, onGlobal.enumerable, onGlobal.configurable], [true, false, true], name);
  assertEquals(typeof interface_, "function", name);
  assertEquals(interface_.name, name);
  assertEquals(interface_.length, length, `${name}.length`);
  for (const [key, value] of [["name", name], ["length", length]]) {
    const own = descriptor(interface_, key);
    assertEquals([own.value, own.writable, own.enumerable, own.configurable], [value, false, false, true], `${name}.${key}`);
  }
  assertEquals(Object.getPrototypeOf(interface_) === (parent ?? Function.prototype), true, `[[Prototype]] of ${name}`);
  const prototype = descriptor(interface_, "prototype");
  assertEquals([prototype.writable, prototype.enumerable, prototype.configurable], [false, false, false], `${name}.prototype`);
  assertEquals(Object.getPrototypeOf(interface_.prototype) === (parent ?? Object).prototype, true);
  const constructor = descriptor(interface_.prototype, "constructor");
  assertEquals(constructor.value === interface_, true);
  assertEquals([constructor.writable, constructor.enumerable, constructor.configurable], [true, false, true]);
  const tag = descriptor(interface_.prototype, Symbol.toStringTag);
  assertEquals([tag.value, tag.writable, tag.enumerable, tag.configurable], [name, false, false, true], `${name} toStringTag`);
  assertEquals(String(interface_.prototype), `[object ${name}]`);
  assertThrows(() => interface_(), TypeError, "", `${name} without new`);
  assertThrows(() => interface_.call({}), TypeError, "", `${name} without new`);
}

function checkOperation(holder, name, length) {
  const own = descriptor(holder, name);
  if (own === undefined) throw new Error(`${name} is missing`);
  assertEquals([own.writable, own.enumerable, own.configurable], [true, true, true], name);
  assertEquals(own.value.name, name);
  assertEquals(own.value.length, length, `${name}.length`);
  assertThrows(() => new own.value(), TypeError, "", `new ${name}`);
  assertEquals("prototype" in own.value, false, name);
}

function checkAttribute(prototype, name, writable) {
  const own = descriptor(prototype, name);
  if (own === undefined) throw new Error(`${name} is missing`);
  assertEquals([own.enumerable, own.configurable], [true, true], name);
  assertEquals(own.get.name, `get ${name}`);
  assertEquals(own.get.length, 0, name);
  assertEquals(typeof own.set, writable ? "function" : "undefined", name);
  if (writable) {
    assertEquals(own.set.name, `set ${name}`);
    assertEquals(own.set.length, 1, name);
  }
}

checkInterface("Echo", 0, EventTarget);
checkInterface("NoConstructor", 0);
checkInterface("Shape", 0);
checkInterface("VideoColorSpace", 0);
checkInterface("EncodedVideoChunk", 1);
checkInterface("EncodedAudioChunk", 1);
assertThrows(() => new NoConstructor(), TypeError, "Illegal constructor");

checkOperation(Echo.prototype, "echoLong", 1);
checkOperation(Echo.prototype, "echoOptional", 0);
checkOperation(Echo.prototype, "callSum", 3);
checkOperation(Echo.prototype, "later", 1);
checkOperation(Echo.prototype, "ping", 0);
checkOperation(Echo, "laterStatic", 1);
checkOperation(Echo, "add", 2);
checkOperation(Shape.prototype, "toJSON", 0);
checkOperation(Shape, "create", 0);
checkOperation(EncodedVideoChunk.prototype, "copyTo", 1);
assertEquals("later" in Echo, false);
assertEquals("ready" in Echo, false);
assertEquals("laterStatic" in Echo.prototype, false);

checkAttribute(Echo.prototype, "label", false);
checkAttribute(Echo.prototype, "level", true);
checkAttribute(Echo.prototype, "ready", false);
checkAttribute(Echo.prototype, "onping", true);
for (const name of ["type", "timestamp", "duration", "byteLength"]) {
  checkAttribute(EncodedVideoChunk.prototype, name, false);
  checkAttribute(EncodedAudioChunk.prototype, name, false);
}
for (const name of ["primaries", "transfer", "matrix", "fullRange"]) checkAttribute(VideoColorSpace.prototype, name, false);

// Brand checks.
const e = new Echo();
for (const bad of [undefined, null, {}, 1, Echo.prototype, new Shape(), new Proxy(e, {}), Object.create(e)]) {
  assertThrows(() => Echo.prototype.echoLong.call(bad, 1), TypeError);
  for (const name of ["label", "level", "peer", "onping"]) {
    const { get, set } = descriptor(Echo.prototype, name);
    assertThrows(() => get.call(bad), TypeError, "", name);
    if (set) assertThrows(() => set.call(bad, null), TypeError, "", name);
  }
}
assertThrows(() => Echo.prototype.label, TypeError);
assertEquals(Object.keys(e).length, 1, "own properties beside 'mark'");
assertEquals(e instanceof EventTarget, true);
// Nothing unexpected on the prototypes.
assertEquals(Object.getOwnPropertyNames(VideoColorSpace.prototype).sort(),
  ["constructor", "fullRange", "matrix", "primaries", "toJSON", "transfer"]);
assertEquals(Object.getOwnPropertyNames(EncodedVideoChunk.prototype).sort(),
  ["byteLength", "constructor", "copyTo", "duration", "timestamp", "type"]);
assertEquals("ImageDecoder" in globalThis, false);
