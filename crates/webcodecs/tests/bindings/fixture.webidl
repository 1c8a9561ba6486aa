// One member for each kind of type and conversion, for the tests of the bindings.

[Exposed=*, ReelcoreExternal]
interface EventTarget {};

[Exposed=*, ReelcoreExternal]
interface DOMException {};

enum Fruit { "apple", "no-pear", "" };

dictionary Base {
  long zeta;
  DOMString alpha = "a";
};

dictionary Inner {
  double x = 1.5;
};

dictionary Derived : Base {
  required [EnforceRange] unsigned long middle;
  boolean early = true;
  Fruit fruit = "apple";
  sequence<Inner> points = [];
  double? nothing = null;
  double? maybe;
  Inner inner = {};
  Sum sum;
  AllowSharedBufferSource data;
};

callback Sum = double (double a, DOMString b);
callback Notify = undefined (Echo target, optional Inner inner = {});
typedef (Echo or BufferSource or sequence<long> or boolean or double or DOMString) Mixed;
typedef (Inner or Fruit) Named;
typedef unsigned long Count;

[Exposed=(Window,DedicatedWorker), ReelcoreThis]
interface Echo : EventTarget {
  constructor(optional DOMString label = "none");

  readonly attribute DOMString label;
  readonly attribute unsigned long long? size;
  attribute [Clamp] octet level;
  attribute Fruit fruit;
  attribute Echo? peer;
  readonly attribute Promise<DOMString> ready;
  attribute EventHandler onping;

  boolean echoBoolean(boolean v);
  byte echoByte(byte v);
  octet echoOctet(octet v);
  short echoShort(short v);
  unsigned short echoUnsignedShort(unsigned short v);
  long echoLong(long v);
  Count echoUnsignedLong(Count v);
  long long echoLongLong(long long v);
  unsigned long long echoUnsignedLongLong(unsigned long long v);
  long echoEnforced([EnforceRange] long v);
  unsigned long long echoEnforcedLongLong([EnforceRange] unsigned long long v);
  octet echoClamped([Clamp] octet v);
  double echoDouble(double v);
  unrestricted double echoUnrestrictedDouble(unrestricted double v);
  float echoFloat(float v);
  unrestricted float echoUnrestrictedFloat(unrestricted float v);
  DOMString echoString(DOMString v);
  USVString echoUsvString(USVString v);
  any echoAny(any v);
  object echoObject(object v);
  Fruit echoFruit(Fruit v);
  Echo echoEcho(Echo v);
  double? echoNullable(double? v);
  sequence<DOMString> echoSequence(sequence<DOMString> v);
  Derived echoDictionary(Derived v);
  Inner echoOptionalDictionary(optional Inner v = {});
  DOMString echoOptional(optional long a, optional DOMString b = "b", optional Fruit? c = null);
  DOMString describeBuffer(BufferSource v);
  DOMString describeSharedBuffer(AllowSharedBufferSource v);
  DOMString describeView(ArrayBufferView v);
  DOMString describeArrayBuffer(ArrayBuffer v);
  DOMString describeUnion(Mixed v);
  DOMString describeNamed(Named v);
  ArrayBuffer makeBuffer(octet fill, unsigned long length);
  DOMString transfer(BufferSource data, sequence<ArrayBuffer> transfer);

  double callSum(Sum callback, double a, DOMString b);
  undefined keep(Notify callback);
  undefined notifyLater();
  undefined ping();

  [ReelcoreRustName=pick_number] DOMString pick(double v);
  [ReelcoreRustName=pick_string] DOMString pick(DOMString v);
  [ReelcoreRustName=pick_echo] DOMString pick(Echo v, optional long n = 7);
  [ReelcoreRustName=pick_buffer] DOMString pick(BufferSource v, Inner inner, boolean flag);

  Promise<unsigned long> later(unsigned long v);
  Promise<undefined> laterFails(DOMString v);
  static Promise<DOMString> laterStatic(Derived v);
  static long add(long a, long b);

  undefined throwTypeError(DOMString message);
  undefined throwRangeError(DOMString message);
  undefined throwDomException(DOMString message);
  undefined throwValue(any value);
};

[Exposed=*]
interface NoConstructor {
  readonly attribute boolean here;
};

[Exposed=*, SecureContext]
interface Shape {
  [ReelcoreRustName=from_size] constructor(double width, optional double height = 2);
  [ReelcoreRustName=from_shape] constructor(Shape other);
  [ReelcoreRustName=from_nothing] constructor();

  readonly attribute double width;
  readonly attribute double? height;
  readonly attribute Fruit kind;
  readonly attribute any anything;
  [Default] object toJSON();

  static Shape create();
};
