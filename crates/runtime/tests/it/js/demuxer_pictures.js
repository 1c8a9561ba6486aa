// Reelcore.Demuxer and VideoDecoder together: which pictures are shown, and at what size.
import { assert, equal, finish, test } from "./harness.js";

const file = await Deno.readFile(new URL("../../../../../examples/media/h264-aac.mp4", import.meta.url));

/** What a decoder of a track gives: times and display sizes. */
async function pictures(demuxer, track) {
  const found = [];
  let failed;
  const decoder = new VideoDecoder({
    output(frame) {
      found.push([frame.timestamp, `${frame.displayWidth}x${frame.displayHeight}`]);
      frame.close();
    },
    error: (error) => failed = error,
  });
  decoder.configure(track.decoderConfig);
  let chunks = 0;
  for await (const chunk of demuxer.chunks(track)) {
    decoder.decode(chunk);
    chunks++;
  }
  await decoder.flush();
  decoder.close();
  if (failed) throw failed;
  return { found, chunks };
}

await test("pictures that an edit list leaves out are decoded and do not come out", async () => {
  const bytes = file.slice();
  const view = new DataView(bytes.buffer);
  // Behind the name: version and flags, a count, then how long, and from where in the media.
  const at = bytes.findIndex((_, i) => String.fromCharCode(...bytes.subarray(i, i + 4)) === "elst");
  view.setUint32(at + 12, 500);
  view.setInt32(at + 16, view.getInt32(at + 16) + 15_000);
  const demuxer = new Reelcore.Demuxer(bytes);
  const [track] = await demuxer.tracks;
  const { found, chunks } = await pictures(demuxer, track);
  const times = found.map(([time]) => time);
  assert(times.length >= 12 && times.length <= 13, `${times}`);
  assert(times.every((time) => time > -42_000 && time < 500_000), `${times}`);
  assert(chunks > times.length, "some lead in to the edit");
});

await test("pictures that become smaller in mid-stream are not stretched to the first ones' shape", async () => {
  const parts = [];
  for (const height of [48, 32]) {
    const encoder = new VideoEncoder({
      output(chunk) {
        const part = new Uint8Array(chunk.byteLength);
        chunk.copyTo(part);
        parts.push(part);
      },
      error: (error) => parts.push(Promise.reject(error)),
    });
    encoder.configure({ codec: "avc1.42001e", width: 64, height, avc: { format: "annexb" } });
    for (const timestamp of [0, 40_000]) {
      const init = { format: "I420", codedWidth: 64, codedHeight: height, timestamp };
      const frame = new VideoFrame(new Uint8Array((64 * height * 3) / 2).fill(90 + timestamp / 1000), init);
      encoder.encode(frame);
      frame.close();
    }
    await encoder.flush();
    encoder.close();
  }
  const demuxer = new Reelcore.Demuxer(await new Blob(await Promise.all(parts)).arrayBuffer());
  const [track] = await demuxer.tracks;
  equal([track.decoderConfig.codedHeight, track.decoderConfig.displayAspectHeight], [48, undefined]);
  const { found } = await pictures(demuxer, track);
  equal(found.map(([, size]) => size), ["64x48", "64x48", "64x32", "64x32"]);
});

finish();
