// Structured clones, messages and transfers of media objects: what arrives, and that nothing is kept of what does not.
import { assert, equal, finish, test, throws } from "./harness.js";

const alive = () => Reelcore.counters().frames_alive;
const video = (timestamp = 0) =>
  new VideoFrame(new Uint8Array(4), { format: "RGBA", codedWidth: 1, codedHeight: 1, timestamp });
const audio = () =>
  new AudioData({
    format: "u8", sampleRate: 8000, numberOfFrames: 1, numberOfChannels: 1, timestamp: 0, data: new Uint8Array(1),
  });
const chunks = () => {
  const init = { type: "key", timestamp: 0, data: new Uint8Array(3) };
  return [new EncodedVideoChunk(init), new EncodedAudioChunk(init)];
};
const message = (port) => new Promise((resolve) => port.onmessage = (event) => resolve(event.data));
const unclonable = () => {};

/** Runs `body` with a frame that it may leave open, after which none may be left. */
async function leavesNothing(what, body) {
  const before = alive();
  const frame = video();
  await body(frame);
  frame.close();
  equal(alive(), before, what);
}

await test("a clone that fails keeps no frame", async () => {
  await leavesNothing("structuredClone", (frame) => {
    throws(() => structuredClone([frame, unclonable]), "DataCloneError");
  });
  await leavesNothing("a getter that throws", (frame) => {
    const value = { frame, get later() { throw new RangeError("mine"); } };
    throws(() => structuredClone(value), "RangeError", "mine");
  });
  await leavesNothing("postMessage", (frame) => {
    const { port1 } = new MessageChannel();
    throws(() => port1.postMessage([frame, unclonable]), "DataCloneError");
    throws(() => port1.postMessage([frame, unclonable], [frame]), "DataCloneError");
    port1.close();
  });
  await leavesNothing("what the host clones", async (frame) => {
    throws(() => performance.mark("mark", { detail: [frame, unclonable] }), "DataCloneError");
    const { detail } = performance.mark("mark", { detail: { frame } });
    equal(detail.frame.format, "RGBA");
    detail.frame.close();
    performance.clearMarks();
    await null;
  });
});

await test("a message that nobody can receive keeps no frame", async () => {
  await leavesNothing("the other port is closed", (frame) => {
    const { port1, port2 } = new MessageChannel();
    port2.close();
    port1.postMessage({ frame });
    port1.postMessage({ frame }, { transfer: [] });
    const buffer = new ArrayBuffer(1);
    port1.postMessage({ frame, buffer }, [buffer]);
    port1.postMessage(frame, [frame]);
    port1.close();
  });
  await leavesNothing("this port is closed", (frame) => {
    const { port1 } = new MessageChannel();
    port1.close();
    port1.postMessage(frame);
  });
  await leavesNothing("a getter closes the port", (frame) => {
    for (const transfer of [[], [frame]]) {
      const { port1 } = new MessageChannel();
      port1.postMessage({ frame, get last() { port1.close(); } }, transfer);
    }
  });
  await leavesNothing("the port goes with a message that is lost", (frame) => {
    const inner = new MessageChannel();
    const outer = new MessageChannel();
    inner.port1.postMessage({ frame });
    frame.close();
    outer.port2.close();
    outer.port1.postMessage(null, [inner.port2]);
    inner.port1.close();
    outer.port1.close();
  });
  await leavesNothing("no other channel has the name", (frame) => {
    const channel = new BroadcastChannel("nobody");
    for (let i = 0; i < 3; i++) channel.postMessage(frame);
    throws(() => channel.postMessage([frame, unclonable]), "TypeError");
    channel.close();
  });
});

await test("frames that a message clones and frames that it transfers arrive together", async () => {
  const { port1, port2 } = new MessageChannel();
  const received = message(port2);
  const [cloned, moved] = [video(1), video(2)];
  const buffer = new ArrayBuffer(8);
  const [chunk] = chunks();
  // Serializing runs getters, which may serialise.
  const between = structuredClone(cloned);
  const value = {
    cloned,
    get inner() { return structuredClone([between, cloned])[0]; },
    again: cloned,
    moved,
    buffer,
    chunk,
  };
  port1.postMessage(value, { transfer: [buffer, moved] });
  equal([cloned.format, moved.format, buffer.byteLength], ["RGBA", null, 0]);
  const data = await received;
  assert(data.cloned === data.again);
  equal([data.cloned.timestamp, data.inner.timestamp, data.moved.timestamp], [1, 1, 2]);
  equal([data.buffer.byteLength, data.chunk.byteLength], [8, 3]);
  port1.close();
  // The message has its own, whatever becomes of the others.
  for (const frame of [cloned, between, data.cloned]) frame.close();
  equal(data.inner.format, "RGBA");
});

await test("a message without media is the host's, its arguments and errors included", async () => {
  const { port1, port2 } = new MessageChannel();
  const all = [];
  const third = new Promise((resolve) => {
    port2.onmessage = ({ data, ports }) => {
      all.push([data, ports.length]);
      if (all.length === 3) resolve();
    };
  });
  port1.postMessage("text");
  let reads = 0;
  const inner = new MessageChannel();
  port1.postMessage({ n: 1 }, { get transfer() { reads++; return new Set([inner.port1]); } });
  port1.postMessage({ n: 2 }, null);
  await third;
  equal([all, reads], [[["text", 0], [{ n: 1 }, 1], [{ n: 2 }, 0]], 1]);
  throws(() => port1.postMessage(), "TypeError");
  throws(() => port1.postMessage(0, 1), "TypeError");
  throws(() => port1.postMessage(0, [1]), "TypeError");
  throws(() => port1.postMessage(0, [port1]), "DataCloneError");
  throws(() => port1.postMessage(0, [inner.port1]), "DataCloneError", "detached");
  throws(() => port1.postMessage.call({}, 0), "TypeError");
  throws(() => port1.postMessage(new URL("a:b")), "DataCloneError");
  equal([port1.postMessage.name, structuredClone.name], ["postMessage", "structuredClone"]);
  port1.close();
});

await test("every channel of a name gets an object of its own", async () => {
  const before = alive();
  const [from, ...to] = [1, 2, 3].map(() => new BroadcastChannel("media"));
  for (const value of [video(), audio(), ...chunks()]) {
    const received = Promise.all(to.map(message));
    from.postMessage({ value });
    const [a, b] = (await received).map((data) => data.value);
    assert(a !== b && a.constructor === value.constructor && b.constructor === value.constructor, value.constructor.name);
    if (value.close) {
      value.close();
      a.close();
      assert(b.format !== null, "closing one closed the other");
      b.close();
      throws(() => from.postMessage(value), "DataCloneError");
    }
  }
  for (const channel of [from, ...to]) channel.close();
  equal(alive(), before);
});

await test("a transfer that is refused leaves what is listed open", async () => {
  const before = alive();
  for (const make of [video, audio]) {
    const object = make();
    const closed = make();
    closed.close();
    const [chunk] = chunks();
    const buffer = new ArrayBuffer(1);
    const { port1 } = new MessageChannel();
    const detached = new MessageChannel().port1;
    detached.close();
    const lists = [
      [object, object], [object, closed], [object, chunk], [object, {}], [object, buffer, buffer], [object, detached],
      [object, new VideoColorSpace()], [object, new SharedArrayBuffer(1)],
    ];
    for (const transfer of lists) {
      throws(() => structuredClone(object, { transfer }), "DataCloneError");
      throws(() => port1.postMessage(object, transfer), "DataCloneError");
      throws(() => port1.postMessage(object, { transfer }), "DataCloneError");
    }
    equal(buffer.byteLength, 1);
    assert(object.format !== null);
    // An array is a dictionary without that member here, and no list.
    const clone = structuredClone(object, [object]);
    assert(object.format !== null);
    clone.close();
    structuredClone(object, { transfer: [object] }).close();
    assert(object.format === null);
    port1.close();
  }
  equal(alive(), before);
});

await test("objects that are not serializable are refused, not emptied", async () => {
  const ignore = { output() {}, error() {} };
  const codecs = [VideoDecoder, VideoEncoder, AudioDecoder, AudioEncoder].map((codec) => new codec(ignore));
  const { port1 } = new MessageChannel();
  for (const object of [new VideoColorSpace(), ...codecs]) {
    throws(() => structuredClone(object), "DataCloneError");
    throws(() => structuredClone({ deep: [object] }), "DataCloneError");
    throws(() => structuredClone(object, { transfer: [object] }), "DataCloneError");
    throws(() => port1.postMessage(object), "DataCloneError");
  }
  for (const codec of codecs) codec.close();
  port1.close();
});

finish();
