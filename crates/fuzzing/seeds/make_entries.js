// Makes the seeds of MP4 with two sample entries, which the ffmpeg command does not write: reelcore run make_entries.js FOLDER
const [folder] = Deno.args;
for (const [format, name] of [["mp4", "two-entries.mp4"], ["fmp4", "two-entries-fragmented.mp4"]]) {
  const muxer = new Reelcore.Muxer(format, `${folder}/${name}`, { fragmentDuration: 200_000 });
  const track = muxer.addVideoTrack();
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => void track.write(chunk, metadata),
    error: (error) => { throw error; },
  });
  let count = 0;
  for (const [width, height] of [[64, 48], [32, 32]]) {
    encoder.configure({ codec: "avc1.42e00c", avc: { format: "avc" }, width, height, framerate: 25, bitrate: 50_000 });
    for (let index = 0; index < 3; index++) {
      const frame = new VideoFrame(new Uint8Array(width * height * 3 / 2).fill(90 + 20 * count), {
        format: "I420",
        codedWidth: width,
        codedHeight: height,
        timestamp: 40_000 * count++,
        duration: 40_000,
      });
      encoder.encode(frame);
      frame.close();
    }
    await encoder.flush();
  }
  await muxer.finish();
}
