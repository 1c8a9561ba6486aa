// Makes a contact sheet of a video: nine pictures at evenly spaced times, in one PNG.
//
//   reelcore run examples/contact-sheet.js [VIDEO [OUT.png]]
//
// Everything but `Reelcore.Demuxer` and `Deno` is the Web's own: VideoDecoder, VideoFrame.copyTo,
// CompressionStream.

import { drawText } from "./lib/font.js";
import { encodePng } from "./lib/png.js";
import { ProgressBar } from "./lib/progress.js";

const COLUMNS = 3;
const TILES = 9;
const TILE_WIDTH = 320;
const GAP = 4;

const source = Deno.args[0] ?? new URL("./media/h264-aac.mp4", import.meta.url);
const target = Deno.args[1] ?? "contact-sheet.png";

const demuxer = new Reelcore.Demuxer(source);
const track = (await demuxer.tracks).find((track) => track.type === "video");
if (!track) {
  console.error(`${source}: no video track`);
  Deno.exit(1);
}
const config = track.decoderConfig;
const { supported } = config ? await VideoDecoder.isConfigSupported(config) : { supported: false };
if (!supported) {
  console.error(`${source}: no decoder for ${config?.codec ?? "an unknown codec"}`);
  Deno.exit(1);
}

const progress = new ProgressBar("Decoding", TILES);
let decoded = 0;
let size = "";
const began = performance.now();

const duration = track.duration ?? await lastTime();
const tiles = [];
for (let i = 0; i < TILES; i++) {
  const time = Math.round((duration * (i + 0.5)) / TILES);
  const frame = await frameAt(time);
  size = `${frame.displayWidth}x${frame.displayHeight}`;
  const tile = await toTile(frame);
  drawText(tile, 6, tile.height - 20, `${(frame.timestamp / 1e6).toFixed(2)}s`);
  frame.close();
  tiles.push(tile);
  progress.update(i + 1);
}
const seconds = (performance.now() - began) / 1000;
progress.done();

await Deno.writeFile(target, await encodePng(assemble(tiles)));
console.log(
  `${config.codec}  ${size}  ${decoded} frames decoded  ` +
    `${Math.round(decoded / seconds)} frames per second  -> ${target}`,
);

/** When the last frame ends, by the packets: streams without a container do not say it. */
async function lastTime() {
  let end = 0;
  for await (const chunk of demuxer.chunks(track)) end = Math.max(end, chunk.timestamp + (chunk.duration ?? 0));
  return end;
}

/** The frame that is shown at `time` (microseconds); the caller closes it. */
async function frameAt(time) {
  const { promise: failed, reject } = Promise.withResolvers();
  let shown = null;
  let past = false;
  const decoder = new VideoDecoder({
    // Frames come in presentation order: the last one at or before `time` is the one shown then.
    output(frame) {
      decoded++;
      if (shown === null || (frame.timestamp <= time && !past)) {
        shown?.close();
        shown = frame;
      } else {
        past = true;
        frame.close();
      }
    },
    error: reject,
  });
  decoder.configure(config);

  const decode = async () => {
    // Starts at the last key frame at or before `time`.
    for await (const chunk of demuxer.chunks(track, { start: time })) {
      decoder.decode(chunk);
      // Keeps the decoder busy without handing it the whole file.
      while (decoder.decodeQueueSize > 4) {
        await new Promise((resolve) => decoder.addEventListener("dequeue", resolve, { once: true }));
      }
      if (past) return;
    }
    await decoder.flush();
  };
  await Promise.race([decode(), failed]);
  if (decoder.state !== "closed") decoder.close();
  if (shown === null) throw new Error(`no frame at ${time} microseconds`);
  return shown;
}

/** The frame as RGBA pixels, upright, scaled to the tile's width by averaging. */
async function toTile(frame) {
  const { width, height } = frame.visibleRect;
  const pixels = new Uint8Array(frame.allocationSize({ format: "RGBA" }));
  await frame.copyTo(pixels, { format: "RGBA" });

  const tile = {
    width: TILE_WIDTH,
    height: Math.max(1, Math.round((TILE_WIDTH * frame.displayHeight) / frame.displayWidth)),
  };
  tile.data = new Uint8Array(tile.width * tile.height * 4);
  // A tile's corner in the stored image: undo the mirroring, then the rotation.
  const stored = (u, v) => {
    if (frame.flip) u = 1 - u;
    switch (frame.rotation) {
      case 90: return [v, 1 - u];
      case 180: return [1 - u, 1 - v];
      case 270: return [1 - v, u];
      default: return [u, v];
    }
  };
  for (let y = 0; y < tile.height; y++) {
    for (let x = 0; x < tile.width; x++) {
      const [u0, v0] = stored(x / tile.width, y / tile.height);
      const [u1, v1] = stored((x + 1) / tile.width, (y + 1) / tile.height);
      const left = Math.floor(Math.min(u0, u1) * width + 1e-6);
      const top = Math.floor(Math.min(v0, v1) * height + 1e-6);
      const right = Math.min(width, Math.max(left + 1, Math.round(Math.max(u0, u1) * width)));
      const bottom = Math.min(height, Math.max(top + 1, Math.round(Math.max(v0, v1) * height)));
      const sum = [0, 0, 0];
      for (let sy = top; sy < bottom; sy++) {
        for (let sx = left; sx < right; sx++) {
          const at = (sy * width + sx) * 4;
          for (let c = 0; c < 3; c++) sum[c] += pixels[at + c];
        }
      }
      const count = (right - left) * (bottom - top);
      const at = (y * tile.width + x) * 4;
      for (let c = 0; c < 3; c++) tile.data[at + c] = sum[c] / count;
      tile.data[at + 3] = 255;
    }
  }
  return tile;
}

/** The tiles in rows of three, on a dark ground. */
function assemble(tiles) {
  const { width: w, height: h } = tiles[0];
  const rows = Math.ceil(tiles.length / COLUMNS);
  const sheet = { width: COLUMNS * (w + GAP) + GAP, height: rows * (h + GAP) + GAP };
  sheet.data = new Uint8Array(sheet.width * sheet.height * 4);
  new Uint32Array(sheet.data.buffer).fill(0xff202020);
  tiles.forEach((tile, i) => {
    const left = GAP + (i % COLUMNS) * (w + GAP);
    const top = GAP + Math.floor(i / COLUMNS) * (h + GAP);
    for (let y = 0; y < h; y++) {
      sheet.data.set(tile.data.subarray(y * w * 4, (y + 1) * w * 4), ((top + y) * sheet.width + left) * 4);
    }
  });
  return sheet;
}
