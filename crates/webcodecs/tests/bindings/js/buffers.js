const e = new Echo();
const bytes = new Uint8Array([1, 2, 3, 4]);
const shared = new SharedArrayBuffer(4);
new Uint8Array(shared).set([5, 5, 5, 5]);

assertEquals(e.describeBuffer(bytes.buffer), "4 bytes, sum 10, own");
assertEquals(e.describeBuffer(bytes), "4 bytes, sum 10, own");
assertEquals(e.describeBuffer(bytes.subarray(1, 3)), "2 bytes, sum 5, own");
assertEquals(e.describeBuffer(new DataView(bytes.buffer, 3)), "1 bytes, sum 4, own");
assertEquals(e.describeBuffer(new Uint16Array(bytes.buffer, 2)), "2 bytes, sum 7, own");
assertEquals(e.describeBuffer(new Float64Array(2)), "16 bytes, sum 0, own");
assertEquals(e.describeBuffer(new BigInt64Array(1)), "8 bytes, sum 0, own");
assertEquals(e.describeBuffer(new ArrayBuffer(0)), "0 bytes, sum 0, own");
assertEquals(e.describeBuffer(new Uint8Array(0)), "0 bytes, sum 0, own");
assertEquals(e.describeView(bytes.subarray(2)), "2 bytes, sum 7, own");
assertEquals(e.describeArrayBuffer(bytes.buffer), "4 bytes");
assertEquals(e.describeSharedBuffer(shared), "4 bytes, sum 20, shared");
assertEquals(e.describeSharedBuffer(new Uint8Array(shared, 1, 2)), "2 bytes, sum 10, shared");
assertEquals(e.describeSharedBuffer(bytes), "4 bytes, sum 10, own");

for (const bad of [{}, null, undefined, 1, "abcd", [1, 2], Object.create(ArrayBuffer.prototype)]) {
  assertThrows(() => e.describeBuffer(bad), TypeError, "parameter 1 is not of type 'BufferSource'");
  assertThrows(() => e.describeSharedBuffer(bad), TypeError, "is not of type 'AllowSharedBufferSource'");
  assertThrows(() => e.describeView(bad), TypeError, "is not of type 'ArrayBufferView'");
  assertThrows(() => e.describeArrayBuffer(bad), TypeError, "is not of type 'ArrayBuffer'");
}
assertThrows(() => e.describeView(bytes.buffer), TypeError);
assertThrows(() => e.describeArrayBuffer(bytes), TypeError);
assertThrows(() => e.describeArrayBuffer(shared), TypeError);
// Shared memory only where it is allowed.
assertThrows(() => e.describeBuffer(shared), TypeError);
assertThrows(() => e.describeBuffer(new Uint8Array(shared)), TypeError, "must not be shared");
assertThrows(() => e.describeView(new Uint8Array(shared)), TypeError, "must not be shared");
// Resizable and growable buffers never.
const resizable = new ArrayBuffer(4, { maxByteLength: 8 });
const growable = new SharedArrayBuffer(4, { maxByteLength: 8 });
for (const bad of [resizable, new Uint8Array(resizable), new Uint8Array(resizable, 0, 2)]) {
  assertThrows(() => e.describeBuffer(bad), TypeError, "must not be resizable");
}
for (const bad of [growable, new Uint8Array(growable)]) {
  assertThrows(() => e.describeSharedBuffer(bad), TypeError, "must not be resizable");
}
assertThrows(() => e.describeArrayBuffer(resizable), TypeError, "must not be resizable");

// A detached buffer has no bytes.
const detached = new Uint8Array([1, 2]);
detached.buffer.transfer();
assertEquals(e.describeBuffer(detached), "0 bytes, sum 0, own");
assertEquals(e.describeBuffer(detached.buffer), "0 bytes, sum 0, own");

assertEquals(new Uint8Array(e.makeBuffer(7, 3)), new Uint8Array([7, 7, 7]));
assertEquals(e.makeBuffer(7, 0).byteLength, 0);

// Transfer: the same memory if the data's buffer is listed, else a copy; every buffer of the list is detached.
const make = (length = 100) => new Uint8Array(length).fill(9);
const part = make().subarray(10, 13);
assertEquals(e.transfer(part, [part.buffer]), "same memory: [9, 9, 9]");
assertEquals(part.length, 0);
assertEquals(part.buffer.detached, true);
const copied = make(2);
const other = make();
assertEquals(e.transfer(copied, []), "copy: [9, 9]");
assertEquals(e.transfer(copied, [other.buffer]), "copy: [9, 9]");
assertEquals(copied.buffer.detached, false);
assertEquals(other.buffer.detached, true);
const whole = make(3);
assertEquals(e.transfer(whole.buffer, [make().buffer, whole.buffer]), "same memory: [9, 9, 9]");
assertEquals(whole.buffer.detached, true);
const empty = new ArrayBuffer(0);
assertEquals(e.transfer(empty, [empty]).endsWith(": []"), true);
assertEquals(empty.detached, true);

const again = make(2);
assertThrows(() => e.transfer(again, [again.buffer, make().buffer, again.buffer]), "DataCloneError");
assertThrows(() => e.transfer(again, [whole.buffer]), "DataCloneError");
assertEquals(again.buffer.detached, false);
assertThrows(() => e.transfer(again, [shared]), TypeError);
assertThrows(() => e.transfer(again, [again]), TypeError);
const many = Array.from({ length: 5000 }, () => new ArrayBuffer(1));
assertEquals(e.transfer(again, many), "copy: [9, 9]");
assertEquals(many.every((buffer) => buffer.detached), true);
// WebAssembly's memory cannot be detached; nothing else is then, either.
const memory = new WebAssembly.Memory({ initial: 1 });
assertThrows(() => e.transfer(again, [again.buffer, memory.buffer]), TypeError, "cannot be detached");
assertEquals(again.buffer.detached, false);
