// Decodes streams through Reelcore.Demuxer, VideoDecoder and copyTo, and compares the checksum of each frame.
//   conformance.js LIST
// LIST is JSON: [{ name, file, layout: "I420" | "NV12", md5: [...], rect, untimed }]; without rect, the visible one. Prints, as JSON, what is wrong with each.
import { md5 } from "./md5.js";

for (const [text, sum] of [["", "d41d8cd98f00b204e9800998ecf8427e"], ["a".repeat(119), "8a7bd0732ed6a28ce75f6dabc90e1613"]]) {
  if (md5(new TextEncoder().encode(text)) !== sum) throw new Error("md5 is wrong");
}

/** I420 with its two chroma planes interleaved, both tightly packed. */
function nv12(i420, width, height) {
  const luma = width * height;
  const chroma = Math.ceil(width / 2) * Math.ceil(height / 2);
  const out = i420.slice();
  for (let i = 0; i < chroma; i++) {
    out[luma + 2 * i] = i420[luma + i];
    out[luma + 2 * i + 1] = i420[luma + chroma + i];
  }
  return out;
}

/** What is wrong with a stream; null when nothing is. */
async function check({ file, layout, md5: wanted, rect, untimed }) {
  const demuxer = new Reelcore.Demuxer(file);
  const [track] = await demuxer.tracks;
  const support = await VideoDecoder.isConfigSupported(track.decoderConfig);
  if (!support.supported) return `unsupported: ${track.decoderConfig.codec}`;
  const [times, copies, sums] = [[], [], []];
  let failure = null;
  const decoder = new VideoDecoder({
    output(frame) {
      times.push(frame.timestamp);
      const index = copies.length;
      if (frame.format !== "I420") failure ??= `frame ${index} is ${frame.format}`;
      const options = { rect: rect ?? frame.visibleRect };
      const { width, height } = options.rect;
      // Tightly packed: what the reference checksums are of.
      const bytes = new Uint8Array(frame.allocationSize(options));
      copies.push(frame.copyTo(bytes, options).then(() => {
        sums[index] = md5(layout === "NV12" ? nv12(bytes, width, height) : bytes);
        frame.close();
      }));
    },
    error(error) {
      failure ??= `${error.name}: ${error.message}`;
    },
  });
  decoder.configure(track.decoderConfig);
  const sent = new Set();
  try {
    for await (let chunk of demuxer.chunks(track)) {
      if (untimed) {
        const data = new Uint8Array(chunk.byteLength);
        chunk.copyTo(data);
        chunk = new EncodedVideoChunk({ type: chunk.type, timestamp: sent.size, data });
      }
      if (sent.has(chunk.timestamp)) return `two chunks at ${chunk.timestamp}`;
      sent.add(chunk.timestamp);
      decoder.decode(chunk);
      // As a player does: never far ahead of the decoder.
      while (decoder.state === "configured" && decoder.decodeQueueSize > 32) {
        await new Promise((done) => decoder.addEventListener("dequeue", done, { once: true }));
      }
    }
    await decoder.flush();
  } catch (error) {
    failure ??= `${error.name}: ${error.message}`;
  }
  await Promise.all(copies);
  if (decoder.state !== "closed") decoder.close();
  if (failure !== null) return `after ${sums.length} frames: ${failure}`;
  if (sums.length !== wanted.length) return `${sums.length} frames, not ${wanted.length}`;
  const different = wanted.flatMap((sum, index) => sum === sums[index] ? [] : [index]);
  if (different.length > 0) return `${different.length} of ${wanted.length} frames differ, first ${different[0]}`;
  for (let i = 0; i < times.length; i++) {
    if (!sent.has(times[i])) return `frame ${i} is at ${times[i]}, where no chunk was`;
    if (i > 0 && times[i] <= times[i - 1]) return `frame ${i} at ${times[i]} after ${times[i - 1]}`;
  }
  return null;
}

const results = {};
for (const stream of JSON.parse(await Deno.readTextFile(Deno.args[0]))) {
  results[stream.name] = await check(stream).catch((error) => `${error.name}: ${error.message}`);
}
console.log(JSON.stringify(results));
