// VideoFrame, AudioData and chunks: construction, copies, clones, transfers.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const I420 = { format: "I420", codedWidth: 4, codedHeight: 2, timestamp: 5 };
const bytes = () => Uint8Array.from({ length: 12 }, (_, i) => i + 1);

await test("every pixel format can be made, sized and copied back", async () => {
  const chroma = { 420: [2, 2], 422: [2, 1], 444: [1, 1] };
  const [width, height] = [5, 3];
  for (const [name, [h, v]] of Object.entries(chroma)) {
    for (const alpha of ["", "A"]) {
      for (const depth of ["", "P10", "P12"]) {
        const format = `I${name}${alpha}${depth}`;
        const sample = depth ? 2 : 1;
        const luma = width * height * sample;
        const size = luma * (alpha ? 2 : 1) + 2 * Math.ceil(width / h) * Math.ceil(height / v) * sample;
        const data = Uint8Array.from({ length: size }, (_, i) => (depth && i % 2 ? 1 : i));
        const frame = new VideoFrame(data, { format, codedWidth: width, codedHeight: height, timestamp: 0 });
        equal([frame.format, frame.allocationSize()], [format, size]);
        const copy = new Uint8Array(size);
        await frame.copyTo(copy);
        equal([...copy], [...data]);
        equal(frame.allocationSize({ format: "RGBA" }), width * height * 4);
        await frame.copyTo(new Uint8Array(width * height * 4), { format: "RGBA" });
        frame.close();
      }
    }
  }
});

await test("white, black and grey come out of YUV as such", async () => {
  const data = Uint8Array.from([235, 16, 126, 126, 235, 16, 126, 126, 128, 128, 128, 128]);
  const frame = new VideoFrame(data, I420);
  const rgba = new Uint8Array(32);
  const layout = await frame.copyTo(rgba, { format: "RGBA" });
  equal(layout, [{ offset: 0, stride: 16 }]);
  equal([...rgba.subarray(0, 12)], [255, 255, 255, 255, 0, 0, 0, 255, 128, 128, 128, 255]);
});

await test("a copy that is large enough for a worker is right as well", async () => {
  const [codedWidth, codedHeight] = [640, 480];
  const data = new Uint8Array(codedWidth * codedHeight * 4);
  for (let i = 0; i < data.length; i++) data[i] = (i * 7) & 255;
  const frame = new VideoFrame(data, { format: "RGBA", codedWidth, codedHeight, timestamp: 0 });
  const target = new Uint8Array(data.length);
  const pending = frame.copyTo(target);
  frame.close();
  equal(await pending, [{ offset: 0, stride: codedWidth * 4 }]);
  assert(target.every((value, i) => value === data[i]));
  const bgra = new Uint8Array(data.length + 3);
  const other = new VideoFrame(data, { format: "RGBA", codedWidth, codedHeight, timestamp: 0 });
  await other.copyTo(bgra.subarray(3), { format: "BGRA" });
  equal([bgra[3], bgra[4], bgra[5], bgra[6]], [data[2], data[1], data[0], data[3]]);
});

await test("a transferred buffer is taken without a copy, others are copied", () => {
  const copies = () => Reelcore.counters().cpu_copies;
  const data = bytes();
  const before = copies();
  const frame = new VideoFrame(data, { ...I420, transfer: [data.buffer] });
  equal([data.byteLength, copies()], [0, before]);
  frame.close();
  const twice = bytes();
  throws(() => new VideoFrame(twice, { ...I420, transfer: [twice.buffer, twice.buffer] }), "DataCloneError");
  equal(twice.byteLength, 12);
});

await test("only the visible rectangle of a buffer is kept", async () => {
  const data = bytes();
  for (const transfer of [[], [data.buffer]]) {
    const frame = new VideoFrame(data, { ...I420, visibleRect: { x: 2, y: 0, width: 2, height: 2 }, transfer });
    equal([frame.codedWidth, frame.codedHeight, frame.visibleRect.x, frame.displayWidth], [2, 2, 0, 2]);
    const copy = new Uint8Array(frame.allocationSize());
    await frame.copyTo(copy);
    equal([...copy], [3, 4, 7, 8, 10, 12]);
  }
});

await test("errors name what is wrong", async () => {
  for (const [init, part] of [
    [{ ...I420, codedWidth: 0 }, "codedWidth"],
    [{ ...I420, displayWidth: 4 }, "displayHeight"],
    [{ ...I420, visibleRect: { x: 1, y: 0, width: 2, height: 2 } }, "whole sample"],
    [{ ...I420, visibleRect: { x: 0, y: 0, width: 9, height: 2 } }, "coded size"],
    [{ ...I420, layout: [{ offset: 0, stride: 4 }] }, "planes"],
    [{ ...I420, codedHeight: 4 }, "bytes"],
    [{ ...I420, format: "I421" }, "I421"],
  ]) {
    const error = throws(() => new VideoFrame(bytes(), init), "TypeError");
    assert(error.message.includes(part), error.message);
  }
  const frame = new VideoFrame(bytes(), I420);
  throws(() => frame.allocationSize({ format: "NV12" }), "NotSupportedError");
  await rejects(frame.copyTo(new Uint8Array(11)), "TypeError");
});

await test("frames are cloned and transferred without a copy", async () => {
  const frames = Reelcore.counters().frames_alive;
  const frame = new VideoFrame(bytes(), { ...I420, duration: 9 });
  const copies = Reelcore.counters().cpu_copies;
  const clone = structuredClone({ deep: [frame] }).deep[0];
  assert(clone instanceof VideoFrame && clone !== frame);
  equal([clone.timestamp, clone.duration, clone.format, clone.codedWidth], [5, 9, "I420", 4]);
  const moved = structuredClone(frame, { transfer: [frame] });
  equal([frame.format, moved.format], [null, "I420"]);
  throws(() => structuredClone(frame), "DataCloneError");
  throws(() => structuredClone(frame, { transfer: [frame] }), "DataCloneError");

  const { port1, port2 } = new MessageChannel();
  const received = new Promise((resolve) => port2.onmessage = (event) => resolve(event.data));
  port1.postMessage([moved, clone], [moved]);
  equal(moved.format, null);
  const [first, second] = await received;
  equal([first.format, second.format, clone.format], ["I420", "I420", "I420"]);
  port1.close();
  equal(Reelcore.counters().cpu_copies, copies);
  for (const each of [first, second, clone]) each.close();
  equal(Reelcore.counters().frames_alive, frames);
});

await test("chunks and audio are cloned, audio is transferred", () => {
  const chunk = new EncodedVideoChunk({ type: "key", timestamp: 1, duration: 2, data: bytes() });
  const clone = structuredClone(chunk);
  equal([clone.type, clone.timestamp, clone.duration, clone.byteLength], ["key", 1, 2, 12]);
  throws(() => structuredClone(chunk, { transfer: [chunk] }), "DataCloneError");
  const audio = new AudioData({
    format: "s16", sampleRate: 48000, numberOfFrames: 2, numberOfChannels: 2, timestamp: 3, data: new Int16Array(4),
  });
  const moved = structuredClone(audio, { transfer: [audio] });
  equal([audio.numberOfFrames, moved.numberOfFrames, moved.timestamp], [0, 2, 3]);
});

await test("audio is converted between planes and interleaved", () => {
  const data = Int16Array.of(0x4000, -0x8000, 0x2000, 0);
  const audio = new AudioData({
    format: "s16", sampleRate: 2, numberOfFrames: 2, numberOfChannels: 2, timestamp: 0, data,
  });
  equal([audio.duration, audio.allocationSize({ planeIndex: 0 })], [1_000_000, 8]);
  const right = new Float32Array(2);
  audio.copyTo(right, { planeIndex: 1, format: "f32-planar" });
  equal([...right], [-1, 0]);
  throws(() => audio.copyTo(right, { planeIndex: 2, format: "f32-planar" }), "RangeError");
  throws(() => audio.copyTo(new Uint8Array(1), { planeIndex: 0 }), "RangeError");
  audio.close();
  throws(() => audio.allocationSize({ planeIndex: 0 }), "InvalidStateError");
});

await test("a subclass keeps its prototype, and new is required", () => {
  class Mine extends VideoFrame {
    get mine() {
      return this.timestamp;
    }
  }
  const frame = new Mine(bytes(), I420);
  assert(frame instanceof Mine && frame instanceof VideoFrame);
  equal(frame.mine, 5);
  throws(() => VideoFrame(bytes(), I420), "TypeError");
});

finish();
