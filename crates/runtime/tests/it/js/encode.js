// VideoEncoder: what goes in comes out of VideoDecoder, with its times, layers, alpha and orientation.
import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const WIDTH = 320;
const HEIGHT = 180;

/** Layout of each format's planes: subsampling in x and y, for width and height. */
const PLANES = {
  I420: [[1, 1], [2, 2], [2, 2]],
  I420A: [[1, 1], [2, 2], [2, 2], [1, 1]],
  I422: [[1, 1], [2, 1], [2, 1]],
  I444: [[1, 1], [1, 1], [1, 1]],
  I420P10: [[1, 1], [2, 2], [2, 2]],
  I444P10: [[1, 1], [1, 1], [1, 1]],
  I420AP10: [[1, 1], [2, 2], [2, 2], [1, 1]],
  I422A: [[1, 1], [2, 1], [2, 1], [1, 1]],
  I444A: [[1, 1], [1, 1], [1, 1], [1, 1]],
  I444AP10: [[1, 1], [1, 1], [1, 1], [1, 1]],
};

/** A picture that moves: waves, each plane another one; smooth enough for any encoder, never still. */
function picture(format, width, height, time) {
  const deep = format.endsWith("P10");
  const planes = PLANES[format].map(([h, v], plane) => {
    const w = Math.ceil(width / h);
    const rows = Math.ceil(height / v);
    const data = deep ? new Uint16Array(w * rows) : new Uint8Array(w * rows);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < w; x++) {
        const wave = Math.sin((x * h + time * 3) / (17 + plane)) + Math.cos((y * v - time * 2) / (13 + 2 * plane));
        data[y * w + x] = (128 + 50 * wave) * (deep ? 4 : 1);
      }
    }
    return new Uint8Array(data.buffer);
  });
  const bytes = new Uint8Array(planes.reduce((sum, plane) => sum + plane.length, 0));
  let at = 0;
  for (const plane of planes) {
    bytes.set(plane, at);
    at += plane.length;
  }
  return bytes;
}

function frameOf(index, { format = "I420", width = WIDTH, height = HEIGHT, ...init } = {}) {
  return new VideoFrame(picture(format, width, height, index), {
    format,
    codedWidth: width,
    codedHeight: height,
    timestamp: Math.round((index * 1e6) / 30),
    duration: 33333,
    ...init,
  });
}

/** PSNR in dB of two buffers of 8 or 10 bits. */
function psnr(a, b, deep = false) {
  equal(a.length, b.length);
  const [x, y] = deep ? [new Uint16Array(a.buffer), new Uint16Array(b.buffer)] : [a, b];
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] - y[i]) ** 2;
  const peak = deep ? 1023 : 255;
  return sum === 0 ? 99 : 10 * Math.log10((peak * peak * x.length) / sum);
}

/** The planes of a buffer, one after the other and tightly packed. */
function planesOf(bytes, format, width, height) {
  const deep = format.endsWith("P10");
  const samples = deep ? new Uint16Array(bytes.buffer) : bytes;
  let at = 0;
  return PLANES[format].map(([h, v]) => {
    const [w, rows] = [Math.ceil(width / h), Math.ceil(height / v)];
    const data = samples.subarray(at, (at += w * rows));
    return { data, width: w, height: rows, peak: deep ? 1023 : 255 };
  });
}

/**
 * The mean structural similarity of two planes, in windows of 8x8: 1 where they are the same, about 0 where one says nothing of the
 * other, however near their values are.
 */
function ssim({ data: a, width, height, peak }, { data: b }) {
  equal(a.length, b.length);
  const [c1, c2] = [(0.01 * peak) ** 2, (0.03 * peak) ** 2];
  let [sum, windows] = [0, 0];
  for (let top = 0; top + 8 <= height; top += 8) {
    for (let left = 0; left + 8 <= width; left += 8) {
      let [x, y, xx, yy, xy] = [0, 0, 0, 0, 0];
      for (let row = top; row < top + 8; row++) {
        for (let at = row * width + left; at < row * width + left + 8; at++) {
          x += a[at];
          y += b[at];
          xx += a[at] * a[at];
          yy += b[at] * b[at];
          xy += a[at] * b[at];
        }
      }
      const [mx, my] = [x / 64, y / 64];
      const [vx, vy, cov] = [xx / 64 - mx * mx, yy / 64 - my * my, xy / 64 - mx * my];
      sum += ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2));
      windows++;
    }
  }
  return sum / windows;
}

/** Encodes frames; gives chunks with their metadata. */
async function encode(config, frames, options = () => undefined) {
  const outputs = [];
  let failed;
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => outputs.push({ chunk, metadata }),
    error: (error) => (failed = error),
  });
  encoder.configure(config);
  let index = 0;
  for (const frame of frames) {
    encoder.encode(frame, options(index++));
    frame.close();
  }
  try {
    await encoder.flush();
  } catch (error) {
    throw failed ?? error;
  }
  encoder.close();
  return outputs;
}

/** Decodes what encode() gave; gives { timestamp, format, bytes, ... } of each frame. */
async function decode(outputs, config = outputs[0].metadata.decoderConfig) {
  const frames = [];
  let failed;
  const copies = [];
  const decoder = new VideoDecoder({
    output(frame) {
      const bytes = new Uint8Array(frame.allocationSize());
      const { timestamp, duration, format, rotation, flip, displayWidth, displayHeight } = frame;
      const colorSpace = frame.colorSpace.toJSON();
      const size = [frame.visibleRect.width, frame.visibleRect.height];
      frames.push({ timestamp, duration, format, rotation, flip, displayWidth, displayHeight, colorSpace, size, bytes });
      copies.push(frame.copyTo(bytes).then(() => frame.close()));
    },
    error: (error) => (failed = error),
  });
  decoder.configure(config);
  for (const { chunk, metadata } of outputs) {
    if (metadata.decoderConfig && metadata.decoderConfig !== config) decoder.configure(metadata.decoderConfig);
    decoder.decode(chunk);
  }
  try {
    await decoder.flush();
  } catch (error) {
    throw failed ?? error;
  }
  await Promise.all(copies);
  decoder.close();
  return frames;
}

const range = (count) => Array.from({ length: count }, (_, index) => index);

const STREAMS = [
  { codec: "vp8", format: "I420" },
  { codec: "vp09.00.10.08", format: "I420" },
  { codec: "vp09.01.10.08.03", format: "I444" },
  { codec: "vp09.02.10.10", format: "I420P10" },
  { codec: "vp09.03.10.10.03", format: "I444P10" },
  { codec: "avc1.42001E", format: "I420" },
  { codec: "avc1.64001E", format: "I420" },
  { codec: "avc1.42001E", format: "I420", avc: { format: "annexb" } },
  { codec: "av01.0.04M.08", format: "I420" },
  { codec: "av01.0.04M.10", format: "I420P10" },
  { codec: "av01.1.04M.08.0.000", format: "I444" },
];

for (const { format, ...rest } of STREAMS) {
  for (const latencyMode of ["quality", "realtime"]) {
    await test(`${JSON.stringify(rest)} ${latencyMode}: the picture comes back, each with its own time`, async () => {
      const config = { width: WIDTH, height: HEIGHT, bitrate: 1_500_000, framerate: 30, latencyMode, ...rest };
      const support = await VideoEncoder.isConfigSupported(config);
      assert(support.supported, `${rest.codec} is not supported`);
      const count = 12;
      const outputs = await encode(config, range(count).map((index) => frameOf(index, { format })));
      equal(outputs.map(({ chunk }) => chunk.timestamp), range(count).map((n) => Math.round((n * 1e6) / 30)));
      equal(outputs.map(({ chunk }) => chunk.duration), range(count).map(() => 33333));
      equal(outputs[0].chunk.type, "key");
      equal(outputs.filter(({ metadata }) => metadata.decoderConfig).length, 1);
      const { decoderConfig } = outputs[0].metadata;
      equal([decoderConfig.codedWidth, decoderConfig.codedHeight], [WIDTH, HEIGHT]);
      equal(decoderConfig.description !== undefined, rest.codec.startsWith("avc") && !rest.avc);
      const frames = await decode(outputs);
      equal(frames.length, count);
      frames.forEach((frame, index) => {
        equal(frame.format, format);
        equal(frame.timestamp, outputs[index].chunk.timestamp);
        const wanted = picture(format, WIDTH, HEIGHT, index);
        const quality = psnr(frame.bytes, wanted, format.endsWith("P10"));
        assert(quality > 30, `frame ${index}: ${quality.toFixed(1)} dB`);
        if (!format.startsWith("I444")) return;
        // Each plane by itself: chroma that is grey, shifted or swapped is near enough for PSNR of the whole.
        const found = planesOf(frame.bytes, format, WIDTH, HEIGHT);
        planesOf(wanted, format, WIDTH, HEIGHT).forEach((plane, n) => {
          const alike = ssim(plane, found[n]);
          assert(alike > 0.99, `plane ${n} of frame ${index}: ${alike.toFixed(3)}`);
        });
      });
    });
  }
}

const SIMPLE = ["vp8", "vp09.00.10.08", "avc1.42001E", "av01.0.04M.08"];
const base = (codec, more = {}) => ({
  codec,
  width: WIDTH,
  height: HEIGHT,
  bitrate: 1_000_000,
  framerate: 30,
  latencyMode: "realtime",
  ...more,
});

for (const codec of SIMPLE) {
  await test(`${codec}: frames that must be key frames are, and others are not`, async () => {
    const options = (index) => (index === 5 ? { keyFrame: true } : undefined);
    const outputs = await encode(base(codec), range(10).map((n) => frameOf(n)), options);
    const keys = range(10).filter((n) => outputs[n].chunk.type === "key");
    equal(keys, [0, 5]);
    // Decoding can start there.
    const frames = await decode(outputs.slice(5), outputs[0].metadata.decoderConfig);
    equal(frames.length, 5);
    assert(psnr(frames[0].bytes, picture("I420", WIDTH, HEIGHT, 5)) > 28);
  });

  await test(`${codec}: a new size in mid-stream starts with a key frame and a new decoder config`, async () => {
    const outputs = [];
    const encoder = new VideoEncoder({ output: (chunk, metadata) => outputs.push({ chunk, metadata }), error() {} });
    encoder.configure(base(codec));
    for (const n of range(4)) encoder.encode(frameOf(n));
    encoder.configure(base(codec, { width: 160, height: 96, bitrate: 300_000 }));
    for (const n of range(4)) encoder.encode(frameOf(n + 4));
    await encoder.flush();
    encoder.close();
    equal(outputs.length, 8);
    equal(outputs.map(({ chunk }) => chunk.type === "key"), range(8).map((n) => n % 4 === 0));
    const configs = outputs.map(({ metadata }) => metadata.decoderConfig);
    equal(configs.map((config) => config && [config.codedWidth, config.codedHeight]).filter(Boolean), [
      [WIDTH, HEIGHT],
      [160, 96],
    ]);
    const frames = await decode(outputs);
    equal(frames.map(({ size }) => size[0]), [320, 320, 320, 320, 160, 160, 160, 160]);
    // Scaled, not cropped: the wave is the same, half as long.
    const half = new Uint8Array(160 * 96);
    const full = picture("I420", WIDTH, HEIGHT, 4);
    for (let y = 0; y < 96; y++) for (let x = 0; x < 160; x++) half[y * 160 + x] = full[Math.floor(y * 1.875) * WIDTH + x * 2];
    assert(psnr(frames[4].bytes.subarray(0, 160 * 96), half) > 22);
  });

  await test(`${codec}: a second configuration that changes nothing for decoders says nothing`, async () => {
    const outputs = [];
    const encoder = new VideoEncoder({ output: (chunk, metadata) => outputs.push({ chunk, metadata }), error() {} });
    encoder.configure(base(codec));
    encoder.encode(frameOf(0));
    encoder.configure(base(codec, { bitrate: 500_000 }));
    encoder.encode(frameOf(1));
    await encoder.flush();
    encoder.close();
    equal(outputs.map(({ metadata }) => metadata.decoderConfig !== undefined), [true, false]);
  });

  for (const [scalabilityMode, pattern] of [["L1T2", [0, 1]], ["L1T3", [0, 2, 1, 2]]]) {
    await test(`${codec} ${scalabilityMode}: without its upper layers the stream still decodes`, async () => {
      const outputs = await encode(base(codec, { scalabilityMode }), range(16).map((n) => frameOf(n)));
      const layers = outputs.map(({ metadata }) => metadata.svc.temporalLayerId);
      equal(layers, range(16).map((n) => pattern[n % pattern.length]));
      for (let top = 0; top < Math.max(...pattern) + 1; top++) {
        const kept = outputs.filter((_, n) => layers[n] <= top);
        const frames = await decode(kept);
        equal(frames.map((frame) => frame.timestamp), kept.map(({ chunk }) => chunk.timestamp));
        for (const frame of frames) {
          const index = Math.round((frame.timestamp * 30) / 1e6);
          const quality = psnr(frame.bytes, picture("I420", WIDTH, HEIGHT, index));
          assert(quality > 25, `layer ${top}, frame ${index}: ${quality.toFixed(1)} dB`);
        }
      }
    });
  }
}

for (const [codec, member, low, high, most] of [
  ["vp09.00.10.08", "vp9", 40, 220, 255],
  ["avc1.42001E", "avc", 15, 45, 51],
  ["av01.0.04M.08", "av1", 40, 220, 255],
]) {
  await test(`${codec}: the quantizer of a frame decides its size`, async () => {
    const config = { ...base(codec), bitrateMode: "quantizer" };
    delete config.bitrate;
    const options = (n) => ({ keyFrame: true, [member]: { quantizer: n % 2 ? high : low } });
    const outputs = await encode(config, range(6).map((n) => frameOf(n)), options);
    const sizes = outputs.map(({ chunk }) => chunk.byteLength);
    for (const n of [0, 2, 4]) assert(sizes[n] > 2 * sizes[n + 1], `sizes ${sizes}`);
    equal((await encode(config, [frameOf(0)], () => ({ [member]: { quantizer: most } }))).length, 1);
    const wrong = () => ({ [member]: { quantizer: most + 1 } });
    await rejects(encode(config, [frameOf(0)], wrong), "EncodingError");
  });
}

await test("planes that are broken are not alike", () => {
  // What the bounds above and below are good for.
  const [luma, chroma] = planesOf(picture("I444", WIDTH, HEIGHT, 0), "I444", WIDTH, HEIGHT);
  equal(ssim(luma, luma), 1);
  const shifted = { ...chroma, data: chroma.data.map((_, n) => chroma.data[Math.max(n - 4, 0)]) };
  const grey = { ...chroma, data: new Uint8Array(chroma.data.length).fill(128) };
  const inverted = { ...chroma, data: chroma.data.map((value) => 256 - value) };
  for (const broken of [shifted, grey, inverted, luma]) {
    const alike = ssim(chroma, broken);
    assert(alike < 0.99, `${alike}`);
  }
});

/** A page of text that scrolls: sharp edges, few colours, and the same shapes again and again. */
function page(index) {
  const bytes = new Uint8Array((WIDTH * HEIGHT * 3) / 2).fill(128);
  const glyphs = [0x7c82, 0x3e41, 0x1824, 0x5a99, 0x66db];
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const line = y + 2 * index;
      const glyph = glyphs[(((x >> 3) * 7 + (line >> 3) * 3) >>> 0) % glyphs.length];
      bytes[y * WIDTH + x] = line % 8 < 6 && (glyph >> ((x & 7) + (line & 7))) & 1 ? 20 : 235;
    }
  }
  return bytes;
}

for (const [codec, member] of [["av01.0.04M.08", "av1"], ["vp09.00.10.08", "vp9"]]) {
  await test(`${codec}: the content hint decides the tools`, async () => {
    const streams = {};
    for (const contentHint of [undefined, "motion", "detail", "text"]) {
      const config = { ...base(codec, { contentHint }), bitrateMode: "quantizer" };
      delete config.bitrate;
      const frames = range(6).map((n) => {
        const init = { format: "I420", codedWidth: WIDTH, codedHeight: HEIGHT, timestamp: n * 33333 };
        return new VideoFrame(page(n), init);
      });
      const outputs = await encode(config, frames, () => ({ [member]: { quantizer: 120 } }));
      const decoded = await decode(outputs);
      const quality = Math.min(...decoded.map(({ bytes }, n) => psnr(bytes, page(n))));
      assert(quality > 25, `${contentHint}: ${quality.toFixed(1)} dB`);
      const bytes = outputs.reduce((sum, { chunk }) => sum + chunk.byteLength, 0);
      streams[contentHint] = { quality, bytes };
    }
    // The tools for screens (palettes, copies within the picture) make text much smaller, and no worse.
    for (const hint of ["detail", "text"]) {
      const [screen, camera] = [streams[hint], streams.motion];
      assert(screen.bytes < 0.7 * camera.bytes, `${hint}: ${screen.bytes} bytes, motion: ${camera.bytes}`);
      assert(screen.quality >= camera.quality, `${hint}: ${screen.quality} dB, motion: ${camera.quality}`);
    }
    equal(streams.undefined, streams.motion, "no hint:");
  });
}

await test("alpha is kept as side data, and comes back", async () => {
  for (const [codec, format] of [
    ["vp8", "I420A"],
    ["vp09.00.10.08", "I420A"],
    ["vp09.01.10.08.02", "I422A"],
    ["vp09.01.10.08.03", "I444A"],
    ["vp09.02.10.10", "I420AP10"],
    ["vp09.03.10.10.03", "I444AP10"],
  ]) {
    const config = base(codec, { alpha: "keep" });
    const outputs = await encode(config, range(6).map((n) => frameOf(n, { format })));
    assert(outputs.every(({ metadata }) => metadata.alphaSideData.byteLength > 0));
    const frames = await decode(outputs);
    equal(frames.length, 6);
    frames.forEach((frame, n) => {
      equal(frame.format, format);
      const wanted = picture(format, WIDTH, HEIGHT, n);
      const planes = planesOf(frame.bytes, format, WIDTH, HEIGHT);
      planesOf(wanted, format, WIDTH, HEIGHT).forEach((plane, index) => {
        const alike = ssim(plane, planes[index]);
        assert(alike > 0.98, `${codec}, plane ${index} of frame ${n}: ${alike.toFixed(3)}`);
        const error = plane.data.reduce((sum, value, at) => sum + (value - planes[index].data[at]) ** 2, 0);
        const quality = 10 * Math.log10((plane.peak ** 2 * plane.data.length) / Math.max(error, 1));
        assert(quality > 28, `${codec}, plane ${index} of frame ${n}: ${quality.toFixed(1)} dB`);
      });
    });
    // It is side data: the stream itself is one that every decoder takes.
    const plain = outputs.map(({ chunk, metadata }) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      const { type, timestamp } = chunk;
      return { chunk: new EncodedVideoChunk({ type, timestamp, data }), metadata };
    });
    equal((await decode(plain))[0].format, format.replace("A", ""));
  }
  const refused = base("avc1.42001E", { alpha: "keep" });
  equal((await VideoEncoder.isConfigSupported(refused)).supported, false);
});

await test("pictures that are larger than the cap are not supported, and refused before there is a frame", async () => {
  const size = (width, height) => base("av01.0.04M.08", { width, height });
  equal((await VideoEncoder.isConfigSupported(size(16384, 16384))).supported, true);
  const huge = size(32768, 16384);
  equal((await VideoEncoder.isConfigSupported(huge)).supported, false);
  const error = await new Promise((resolve, reject) => {
    const encoder = new VideoEncoder({ output: reject, error: resolve });
    encoder.configure(huge);
  });
  equal(error.name, "NotSupportedError");
  assert(error.message.includes("max_frame_pixels"), error.message);
});

await test("frames of any format and size are converted and scaled", async () => {
  const rgba = new Uint8Array(64 * 48 * 4);
  for (let i = 0; i < rgba.length; i += 4) rgba.set([200, 30, 60, 255], i);
  for (const format of ["RGBA", "BGRX"]) {
    const init = { format, codedWidth: 64, codedHeight: 48, timestamp: 0 };
    const outputs = await encode(base("vp8"), [new VideoFrame(rgba, init)]);
    const { colorSpace } = outputs[0].metadata.decoderConfig;
    equal([colorSpace.matrix, colorSpace.fullRange], ["bt709", false]);
    const decoder = new VideoDecoder({
      async output(frame) {
        const pixels = new Uint8Array(frame.allocationSize({ format: "RGBA" }));
        await frame.copyTo(pixels, { format: "RGBA" });
        frame.close();
        const wanted = format === "RGBA" ? [200, 30, 60] : [60, 30, 200];
        const middle = 4 * (WIDTH * 90 + 160);
        wanted.forEach((value, n) => assert(Math.abs(pixels[middle + n] - value) < 12, `${pixels.subarray(middle, middle + 3)}`));
      },
      error(error) {
        throw error;
      },
    });
    decoder.configure(outputs[0].metadata.decoderConfig);
    decoder.decode(outputs[0].chunk);
    await decoder.flush();
    decoder.close();
  }
  const nv12 = new VideoFrame(new Uint8Array((64 * 48 * 3) / 2).fill(128), {
    format: "NV12",
    codedWidth: 64,
    codedHeight: 48,
    timestamp: 0,
  });
  const [frame] = await decode(await encode(base("vp09.00.10.08"), [nv12]));
  assert(frame.bytes.every((value) => Math.abs(value - 128) < 4));
});

await test("decoderConfig.colorSpace has no null in it: muxers refuse that, and go without colours that nobody knows", async () => {
  const gray = (colorSpace, height, timestamp = 0) => {
    const init = { format: "I420", codedWidth: 64, codedHeight: height, timestamp, colorSpace };
    return new VideoFrame(new Uint8Array(64 * height * 1.5).fill(128), init);
  };
  const told = ({ metadata }) => metadata.decoderConfig?.colorSpace ?? "none";
  const first = async (codec, colorSpace, height = 48) => {
    const outputs = await encode({ codec, width: 64, height }, [gray(colorSpace, height)]);
    const [frame] = await decode(outputs);
    return [told(outputs[0]), frame.colorSpace];
  };
  const hdr = { fullRange: false, matrix: "bt2020-ncl", primaries: "bt2020", transfer: "pq" };
  for (const codec of ["vp8", "vp09.00.10.08", "avc1.64001f", "av01.0.04M.08"]) {
    equal((await first(codec, {}))[0], "none");
    equal((await first(codec, { fullRange: false }))[0], "none");
    const [wide, decoded] = await first(codec, { primaries: "bt2020", transfer: "pq" });
    equal(wide, hdr, codec);
    for (const [member, value] of Object.entries(hdr)) equal(decoded[member], value, `${codec} ${member}`);
    // VP8's stream says nothing of it.
    const [range, full] = await first(codec, { fullRange: true });
    equal(range === "none", codec !== "vp8", codec);
    equal(full.fullRange, true, codec);
  }
  const jpeg = { fullRange: true, matrix: "smpte170m", primaries: "bt709", transfer: "bt709" };
  equal((await first("vp8", { fullRange: true }))[0], jpeg);
  equal((await first("vp8", { fullRange: true }, 720))[0], { ...jpeg, matrix: "bt709" });
  // What comes to the same is told once.
  const spaces = [{ primaries: "bt2020", transfer: "pq" }, hdr];
  const outputs = await encode({ codec: "vp8", width: 64, height: 48 }, spaces.map((space, n) => gray(space, 48, n)), () => ({ keyFrame: true }));
  equal(outputs.map(told), [hdr, "none"]);
});

await test("orientation and display size reach the decoder, and must not change in mid-stream", async () => {
  const config = base("vp8", { displayWidth: 640, displayHeight: 180 });
  const turned = (n) => frameOf(n, { rotation: 90, flip: true });
  const outputs = await encode(config, [turned(0), turned(1)]);
  const { decoderConfig } = outputs[0].metadata;
  equal([decoderConfig.rotation, decoderConfig.flip], [90, true]);
  equal([decoderConfig.displayAspectWidth, decoderConfig.displayAspectHeight], [640, 180]);
  const [frame] = await decode(outputs);
  equal([frame.rotation, frame.flip, frame.displayWidth, frame.displayHeight], [90, true, 180, 640]);
  const encoder = new VideoEncoder({ output() {}, error() {} });
  encoder.configure(config);
  encoder.encode(turned(0));
  throws(() => encoder.encode(frameOf(1)), "DataError");
  encoder.configure(config);
  encoder.encode(frameOf(1));
  await encoder.flush();
  encoder.close();
});

await test("Reelcore.scale gives another size, with the same times and orientation", async () => {
  const frame = frameOf(3, { rotation: 90 });
  const scaled = await Reelcore.scale(frame, { width: 160, height: 90 });
  frame.close();
  equal([scaled.codedWidth, scaled.codedHeight, scaled.displayWidth, scaled.displayHeight], [160, 90, 90, 160]);
  equal([scaled.timestamp, scaled.duration, scaled.rotation, scaled.format], [100000, 33333, 90, "I420"]);
  const bytes = new Uint8Array(scaled.allocationSize());
  await scaled.copyTo(bytes);
  scaled.close();
  const full = picture("I420", WIDTH, HEIGHT, 3);
  const half = new Uint8Array(160 * 90);
  for (let y = 0; y < 90; y++) {
    for (let x = 0; x < 160; x++) {
      const at = 2 * y * WIDTH + 2 * x;
      half[y * 160 + x] = (full[at] + full[at + 1] + full[at + WIDTH] + full[at + WIDTH + 1]) / 4;
    }
  }
  assert(psnr(bytes.subarray(0, 160 * 90), half) > 40);
  await rejects(Reelcore.scale(frame, { width: 1, height: 1 }), "InvalidStateError");
  await rejects(Reelcore.scale(frameOf(0), { width: 0, height: 9 }), "RangeError");
});

await test("calls in the wrong state, and frames that are closed", async () => {
  const encoder = new VideoEncoder({ output() {}, error() {} });
  throws(() => encoder.encode(frameOf(0)), "InvalidStateError");
  await rejects(encoder.flush(), "InvalidStateError");
  encoder.configure(base("vp8"));
  const frame = frameOf(0);
  frame.close();
  throws(() => encoder.encode(frame), "TypeError");
  encoder.close();
  throws(() => encoder.encode(frameOf(0)), "InvalidStateError");
  throws(() => encoder.configure(base("vp8")), "InvalidStateError");
  throws(() => new VideoEncoder({ output() {} }), "TypeError");
});

await test("reset ends what is under way, and the encoder can be used again", async () => {
  let outputs = 0;
  const encoder = new VideoEncoder({ output: () => outputs++, error() {} });
  encoder.configure(base("vp8"));
  for (const n of range(8)) encoder.encode(frameOf(n));
  const flushed = encoder.flush();
  encoder.reset();
  await rejects(flushed, "AbortError");
  equal([encoder.state, encoder.encodeQueueSize], ["unconfigured", 0]);
  const before = outputs;
  encoder.configure(base("vp8"));
  let chunkType;
  encoder.encode(frameOf(20));
  encoder.ondequeue = () => (chunkType = "dequeued");
  await encoder.flush();
  equal(outputs, before + 1);
  equal(chunkType, "dequeued");
  encoder.close();
});

await test("the bit rate is what was asked for, within 15 percent", async () => {
  // Noise over the waves: something that fills any rate.
  let state = 7;
  const noisy = (n) => {
    const bytes = picture("I420", WIDTH, HEIGHT, n * 2);
    for (let i = 0; i < WIDTH * HEIGHT; i++) {
      state = (state * 1103515245 + 12345) & 0x7fffffff;
      bytes[i] = Math.max(0, Math.min(255, bytes[i] + ((state >> 16) % 41) - 20));
    }
    const init = { format: "I420", codedWidth: WIDTH, codedHeight: HEIGHT, timestamp: Math.round((n * 1e6) / 30) };
    return new VideoFrame(bytes, init);
  };
  for (const codec of SIMPLE) {
    for (const bitrateMode of ["constant", "variable"]) {
      const bitrate = 800_000;
      const config = base(codec, { bitrateMode, bitrate });
      const outputs = await encode(config, range(150).map(noisy));
      const bits = outputs.reduce((sum, { chunk }) => sum + chunk.byteLength * 8, 0);
      const ratio = bits / 5 / bitrate;
      assert(ratio > 0.85 && ratio < 1.15, `${codec} ${bitrateMode}: ${ratio.toFixed(2)} of the target`);
    }
  }
});

await test("a decoder is configured with the string that the encoder was", async () => {
  for (const codec of ["avc1.42e01e", "avc1.42E01E", "vp09.00.10.08.01.01.01.01.00", "vp8", "av01.0.04M.08.0.110.01.01.01.0"]) {
    const found = [];
    const encoder = new VideoEncoder({
      output: (_, metadata) => metadata.decoderConfig && found.push(metadata.decoderConfig.codec),
      error: (error) => found.push(String(error)),
    });
    const config = { codec, width: 64, height: 64, latencyMode: "realtime" };
    encoder.configure(config);
    const frame = frameOf(0, { width: 64, height: 64 });
    encoder.encode(frame);
    // The outputs of a configuration may come when there is another.
    encoder.configure({ ...config, codec: "vp8", width: 32 });
    encoder.encode(frame);
    frame.close();
    await encoder.flush();
    encoder.close();
    equal(found, [codec, "vp8"]);
  }
  const found = [];
  const encoder = new AudioEncoder({
    output: (_, metadata) => metadata.decoderConfig && found.push(metadata.decoderConfig.codec),
    error: (error) => found.push(String(error)),
  });
  encoder.configure({ codec: "mp4a.40.02", sampleRate: 48000, numberOfChannels: 1 });
  const data = new AudioData({
    format: "f32", sampleRate: 48000, numberOfChannels: 1, numberOfFrames: 4800, timestamp: 0, data: new Float32Array(4800),
  });
  encoder.encode(data);
  data.close();
  await encoder.flush();
  encoder.close();
  equal(found, ["mp4a.40.02"]);
});

finish();
