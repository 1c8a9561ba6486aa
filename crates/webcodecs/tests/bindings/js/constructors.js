assertThrows(() => Echo(), TypeError, "Constructor requires 'new' operator");
assertThrows(() => Reflect.apply(Echo, new Echo(), []), TypeError, "new");
assertThrows(() => EncodedVideoChunk({}), TypeError, "new");
assertThrows(() => new EncodedVideoChunk(), TypeError,
  "Failed to construct 'EncodedVideoChunk': 1 argument required, but only 0 present");
assertThrows(() => new Echo("throw"), "InvalidStateError", "told to");
assertThrows(() => new Echo(Symbol()), TypeError);

assertEquals(new Echo(5).label, "5");
assertEquals(new Echo().mark, 1);

class Sub extends Echo {
  constructor() {
    super("sub");
    this.extra = this.label;
  }
  get twice() { return this.label + this.label; }
}
const sub = new Sub();
assertEquals(sub.extra, "sub");
assertEquals(sub.twice, "subsub");
assertEquals(Object.getPrototypeOf(sub) === Sub.prototype, true);
assertEquals(sub.echoEcho(sub) === sub, true);
assertEquals(String(sub), "[object Echo]");

function Other() {}
const other = Reflect.construct(Echo, ["o"], Other);
assertEquals(Object.getPrototypeOf(other) === Other.prototype, true);
assertEquals(Echo.prototype.echoEcho.call(other, other) === other, true);

// An object that Rust makes has the interface's prototype and no constructor ran.
const shape = Shape.create();
assertEquals(Object.getPrototypeOf(shape) === Shape.prototype, true);
assertEquals(shape instanceof Shape, true);
assertEquals(shape.width, 9);
