for (const Chunk of [EncodedVideoChunk, EncodedAudioChunk]) {
  const data = new Uint8Array([1, 2, 3, 4, 5]);
  const chunk = new Chunk({ type: "key", timestamp: -10, duration: 20, data: data.subarray(1, 4) });
  assertEquals([chunk.type, chunk.timestamp, chunk.duration, chunk.byteLength], ["key", -10, 20, 3]);
  const target = new Uint8Array(5);
  assertEquals(chunk.copyTo(target.subarray(1)), undefined);
  assertEquals(target, new Uint8Array([0, 2, 3, 4, 0]));
  // A copy: what the script does to its buffer later is not seen.
  data.fill(9);
  chunk.copyTo(target);
  assertEquals(target, new Uint8Array([2, 3, 4, 4, 0]));
  const shared = new SharedArrayBuffer(3);
  chunk.copyTo(shared);
  assertEquals(new Uint8Array(shared), new Uint8Array([2, 3, 4]));
  assertEquals(new Chunk({ type: "delta", timestamp: 0, data: shared }).byteLength, 3);

  assertThrows(() => chunk.copyTo(new Uint8Array(2)), TypeError, "the destination has 2 bytes, the chunk has 3");
  assertThrows(() => chunk.copyTo(), TypeError, "1 argument required");
  assertThrows(() => chunk.copyTo([]), TypeError);
  const detached = new Uint8Array(3);
  detached.buffer.transfer();
  assertThrows(() => chunk.copyTo(detached), TypeError);

  const bare = new Chunk({ type: "delta", timestamp: 2 ** 53 - 1, data: new ArrayBuffer(0) });
  assertEquals([bare.type, bare.timestamp, bare.duration, bare.byteLength], ["delta", 2 ** 53 - 1, null, 0]);
  bare.copyTo(new ArrayBuffer(0));

  // Members are read in order; each is checked.
  const log = [];
  new Chunk(spy({ type: "key", timestamp: 0, data: new ArrayBuffer(1) }, log));
  assertEquals(log, ["data", "duration", "timestamp", "transfer", "type"]);
  const good = { type: "key", timestamp: 0, data: new ArrayBuffer(1) };
  for (const [change, message] of [
    [{ type: undefined }, "'type'"],
    [{ type: "keyframe" }, "'type'"],
    [{ timestamp: undefined }, "'timestamp'"],
    [{ timestamp: NaN }, "'timestamp'"],
    [{ timestamp: 2 ** 53 }, "'timestamp'"],
    [{ duration: -1 }, "'duration'"],
    [{ duration: null, data: 5 }, "'data'"],
    [{ data: undefined }, "'data'"],
    [{ data: "x" }, "'data'"],
    [{ transfer: 1 }, "'transfer'"],
    [{ transfer: [new Uint8Array(1)] }, "'transfer'"],
  ]) {
    assertThrows(() => new Chunk({ ...good, ...change }), TypeError, message);
  }
  assertEquals(new Chunk({ ...good, timestamp: 1.9, duration: 2.9 }).timestamp, 1);

  const moved = new Uint8Array([6, 7, 8]);
  const { buffer } = moved;
  const transferred = new Chunk({ type: "key", timestamp: 0, data: moved.subarray(1), transfer: [buffer] });
  assertEquals(buffer.detached, true);
  const out = new Uint8Array(2);
  transferred.copyTo(out);
  assertEquals(out, new Uint8Array([7, 8]));
  assertThrows(() => new Chunk({ ...good, transfer: [buffer] }), "DataCloneError");
  const twice = new ArrayBuffer(2);
  assertThrows(() => new Chunk({ ...good, data: twice, transfer: [twice, twice] }), "DataCloneError");
  assertEquals(twice.detached, false);
}
