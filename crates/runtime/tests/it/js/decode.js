// VideoDecoder over real files: order, timestamps, promises, errors, memory.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const media = (name) => new URL(`../../../../../examples/media/${name}`, import.meta.url);

async function load(name) {
  const demuxer = new Reelcore.Demuxer(media(name));
  const track = (await demuxer.tracks).find((track) => track.type === "video");
  const chunks = [];
  for await (const chunk of demuxer.chunks(track)) chunks.push(chunk);
  return { demuxer, track, config: track.decoderConfig, chunks };
}

function decoder(output, error = (e) => { throw e; }) {
  return new VideoDecoder({ output, error });
}

for (const name of ["h264-aac.mp4", "h264-fragmented.mp4", "h264-rotated.mp4", "av1.mp4", "av1-10bit.mp4", "h264-16x16.mp4"]) {
  await test(`${name}: one frame a chunk, in order, with the chunks' own times`, async () => {
    const { config, chunks } = await load(name);
    const frames = [];
    const d = decoder((frame) => {
      frames.push([frame.timestamp, frame.duration]);
      frame.close();
    });
    d.configure(config);
    for (const chunk of chunks) d.decode(chunk);
    await d.flush();
    const wanted = chunks.map((c) => [c.timestamp, c.duration]).sort((a, b) => a[0] - b[0]);
    equal(frames, wanted);
    equal(d.decodeQueueSize, 0);
    d.close();
  });
}

await test("what a frame says of itself", async () => {
  const { config, chunks } = await load("h264-rotated.mp4");
  const frames = [];
  const d = decoder((frame) => frames.push(frame));
  d.configure(config);
  d.decode(chunks[0]);
  await d.flush();
  const [frame] = frames;
  equal(frame.rotation, 90);
  equal(frame.format, "I420");
  equal([frame.displayWidth, frame.displayHeight], [frame.visibleRect.height, frame.visibleRect.width]);
  assert(frame.colorSpace instanceof VideoColorSpace);
  assert(frame.colorSpace === frame.colorSpace, "[[color space]] is one object");
  frame.close();
  equal(frame.format, null);
  throws(() => frame.clone(), "InvalidStateError");
  throws(() => frame.allocationSize(), "InvalidStateError");
  await rejects(frame.copyTo(new Uint8Array(1)), "InvalidStateError");
});

await test("10 bits stay 10 bits", async () => {
  const { config, chunks } = await load("av1-10bit.mp4");
  let format;
  const d = decoder((frame) => {
    format ??= frame.format;
    frame.close();
  });
  d.configure(config);
  for (const chunk of chunks) d.decode(chunk);
  await d.flush();
  equal(format, "I420P10");
});

await test("AV1 frames are decoded into their own memory, and give it back", async () => {
  const { config, chunks } = await load("av1.mp4");
  const before = Reelcore.counters();
  const frames = [];
  const d = decoder((frame) => frames.push(frame));
  d.configure(config);
  for (const chunk of chunks.slice(0, 30)) d.decode(chunk);
  await d.flush();
  d.close();
  const during = Reelcore.counters();
  equal(during.cpu_copies, before.cpu_copies);
  assert(during.frames_alive - before.frames_alive >= 30);
  const copy = frames[0].clone();
  for (const frame of frames) frame.close();
  equal(Reelcore.counters().frames_alive - before.frames_alive, 1);
  const pixels = new Uint8Array(copy.allocationSize());
  await copy.copyTo(pixels);
  assert(new Set(pixels).size > 10, "a picture");
  copy.close();
  equal(Reelcore.counters().frames_alive, before.frames_alive);
});

await test("frames that nobody closes or keeps are collected", async () => {
  const { config, chunks } = await load("av1-16x16.mp4");
  const before = Reelcore.counters().frames_alive;
  await (async () => {
    const d = decoder(() => {});
    d.configure(config);
    for (const chunk of chunks) d.decode(chunk);
    await d.flush();
    d.close();
  })();
  for (let i = 0; i < 50 && Reelcore.counters().frames_alive > before; i++) {
    new ArrayBuffer(256 << 20);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert(Reelcore.counters().frames_alive - before < chunks.length / 2, "nothing was collected");
});

await test("after reset() nothing arrives, and its flush is rejected", async () => {
  const { config, chunks } = await load("h264-aac.mp4");
  let outputs = 0;
  const d = decoder((frame) => {
    outputs++;
    frame.close();
    if (outputs === 1) d.reset();
  });
  d.configure(config);
  for (const chunk of chunks) d.decode(chunk);
  await rejects(d.flush(), "AbortError");
  await new Promise((resolve) => setTimeout(resolve, 50));
  equal(outputs, 1);
  equal(d.state, "unconfigured");
  throws(() => d.decode(chunks[0]), "InvalidStateError");
});

await test("a throwing output callback is reported, and the next one is called", async () => {
  const { config, chunks } = await load("av1-16x16.mp4");
  let outputs = 0;
  let reported = 0;
  const onError = (event) => {
    reported++;
    event.preventDefault();
  };
  addEventListener("error", onError);
  const d = decoder((frame) => {
    frame.close();
    outputs++;
    throw new Error("from the callback");
  });
  d.configure(config);
  d.decode(chunks[0]);
  d.decode(chunks[1]);
  await d.flush();
  removeEventListener("error", onError);
  equal([outputs, reported], [2, 2]);
});

await test("dequeue fires, as an event and as a handler", async () => {
  const { config, chunks } = await load("av1-16x16.mp4");
  let events = 0;
  const d = decoder((frame) => frame.close());
  d.ondequeue = function (event) {
    equal([this, event.target, event.type], [d, d, "dequeue"]);
    events++;
  };
  d.addEventListener("dequeue", () => events++);
  d.configure(config);
  for (const chunk of chunks) d.decode(chunk);
  assert(d.decodeQueueSize > 0);
  await d.flush();
  assert(events >= 2);
  equal(typeof d.ondequeue, "function");
  d.ondequeue = 5;
  equal(d.ondequeue, null);
});

await test("bad configurations are TypeErrors, unknown codecs are not supported", async () => {
  const d = decoder(() => {});
  for (const bad of [
    undefined,
    {},
    { codec: "" },
    { codec: " " },
    { codec: "av01.0.04M.08", codedWidth: 0, codedHeight: 16 },
    { codec: "av01.0.04M.08", codedWidth: 16 },
    { codec: "av01.0.04M.08", codedWidth: -1, codedHeight: 16 },
    { codec: "av01.0.04M.08", displayAspectWidth: 1 },
    { codec: "av01.0.04M.08", hardwareAcceleration: "maybe" },
    { codec: "av01.0.04M.08", description: 5 },
    { codec: "av01.0.04M.08", rotation: NaN },
    { codec: "av01.0.04M.08", colorSpace: { primaries: "red" } },
  ]) {
    throws(() => d.configure(bad), "TypeError");
    await rejects(VideoDecoder.isConfigSupported(bad), "TypeError");
  }
  equal(d.state, "unconfigured");
  for (const codec of ["bogus", "vp9", "avc1.58001e", "opus", "video/mp4", " avc1.42001e"]) {
    const { supported, config } = await VideoDecoder.isConfigSupported({ codec });
    equal([supported, config.codec], [false, codec]);
    let failure;
    const one = decoder(() => {}, (error) => failure = error);
    one.configure({ codec });
    await rejects(one.flush(), "NotSupportedError");
    equal([failure.name, one.state], ["NotSupportedError", "closed"]);
    assert(failure instanceof DOMException);
  }
});

await test("bad data is an EncodingError, and the decoder is closed", async () => {
  const { config, chunks } = await load("h264-aac.mp4");
  for (const data of [new Uint8Array(), new Uint8Array(1000).fill(255), new Uint8Array([0, 0, 0, 200, 101, 1, 2])]) {
    let failure;
    const d = decoder((frame) => frame.close(), (error) => failure = error);
    d.configure(config);
    d.decode(new EncodedVideoChunk({ type: "key", timestamp: 0, data }));
    await rejects(d.flush(), "EncodingError");
    equal([failure.name, d.state], ["EncodingError", "closed"]);
  }
  const d = decoder(() => {});
  d.configure(config);
  const delta = chunks.find((chunk) => chunk.type === "delta");
  throws(() => d.decode(delta), "DataError");
});

await test("reconfiguring in mid-stream loses no frame", async () => {
  const h264 = await load("h264-16x16.mp4");
  const av1 = await load("av1-16x16.mp4");
  let frames = 0;
  const d = decoder((frame) => {
    frames++;
    frame.close();
  });
  d.configure(h264.config);
  for (const chunk of h264.chunks.slice(0, 20)) d.decode(chunk);
  d.configure(av1.config);
  for (const chunk of av1.chunks.slice(0, 20)) d.decode(chunk);
  await d.flush();
  equal(frames, 40);
});

await test("a chunk's bytes are used as they were, whatever the script does later", async () => {
  const { config, chunks } = await load("av1-16x16.mp4");
  const bytes = new Uint8Array(chunks[0].byteLength);
  chunks[0].copyTo(bytes);
  const own = new Uint8Array(bytes);
  const chunk = new EncodedVideoChunk({ type: "key", timestamp: 7, data: own, transfer: [own.buffer] });
  equal(own.byteLength, 0);
  let timestamp;
  const d = decoder((frame) => {
    timestamp = frame.timestamp;
    frame.close();
  });
  d.configure(config);
  d.decode(chunk);
  await d.flush();
  equal(timestamp, 7);
});

finish();
