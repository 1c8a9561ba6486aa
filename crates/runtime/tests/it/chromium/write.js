// Writes a file with each muxer into the folder of its first argument, and what a player has to find in each as JSON to
// standard output.
const [folder] = Deno.args;
const [width, height, rate, seconds] = [320, 180, 25, 2];
const sampleRate = 48000;

/** A bar that moves over grey, green at first and then blue; everything else is transparent where alpha is kept. */
function picture(index, alpha) {
  const pixels = new Uint8Array(width * height * 4);
  const x = (index * 5) % width;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const bar = (column + width - x) % width < 80;
      const at = (row * width + column) * 4;
      pixels.set(bar ? [0, index < rate ? 200 : 0, index < rate ? 0 : 200, 255] : [90, 90, 90, alpha ? 0 : 255], at);
    }
  }
  return new VideoFrame(pixels, {
    format: alpha ? "RGBA" : "RGBX",
    codedWidth: width,
    codedHeight: height,
    timestamp: Math.round((index * 1e6) / rate),
    duration: 1e6 / rate,
  });
}

async function encodeVideo(track, config, change) {
  const encoder = new VideoEncoder({
    output: (chunk, metadata) => void track.write(chunk, metadata),
    error: (error) => { throw error; },
  });
  const alpha = config.alpha === "keep";
  encoder.configure({ width, height, framerate: rate, bitrate: 600_000, ...config });
  for (let index = 0; index < rate * seconds; index++) {
    if (change !== undefined && index === rate) {
      await encoder.flush();
      encoder.configure({ framerate: rate, bitrate: 600_000, ...config, ...change });
    }
    const frame = picture(index, alpha);
    encoder.encode(frame, { keyFrame: index % rate === 0 });
    frame.close();
  }
  await encoder.flush();
  await track.end();
}

async function encodeAudio(track, config) {
  const channels = config.numberOfChannels ?? 2;
  const encoder = new AudioEncoder({
    output: (chunk, metadata) => void track.write(chunk, metadata),
    error: (error) => { throw error; },
  });
  encoder.configure({ sampleRate, numberOfChannels: channels, bitrate: 96_000, ...config });
  const size = 4800;
  for (let start = 0; start < sampleRate * seconds; start += size) {
    const data = new Float32Array(size * channels);
    for (let index = 0; index < data.length; index++) {
      const frame = start + (index % size);
      data[index] = 0.3 * Math.sin((2 * Math.PI * 440 * frame) / sampleRate);
    }
    const audio = new AudioData({
      format: "f32-planar",
      sampleRate,
      numberOfFrames: size,
      numberOfChannels: channels,
      timestamp: (start / sampleRate) * 1e6,
      data,
    });
    encoder.encode(audio);
    audio.close();
  }
  await encoder.flush();
  await track.end();
}

const files = [];

async function file(name, format, { options, video, audio, change, live }) {
  const path = `${folder}/${name}`;
  let target = path;
  let stream;
  if (live) {
    // A sink that cannot seek.
    const output = await Deno.open(path, { write: true, create: true, truncate: true });
    target = output.writable;
    stream = output;
  }
  const muxer = new Reelcore.Muxer(format, target, options);
  const work = [];
  if (video) {
    const track = muxer.addVideoTrack(undefined, { framerate: rate, alpha: video.alpha === "keep" });
    work.push(encodeVideo(track, video, change));
  }
  if (audio) work.push(encodeAudio(muxer.addAudioTrack(), audio));
  await Promise.all(work);
  await muxer.finish();
  files.push({
    name,
    width: video ? width : 0,
    height: video ? height : 0,
    frames: video ? rate * seconds : 0,
    // The size that the pictures have in the end.
    last: change ? [change.width, change.height] : [width, height],
    // Lengths of pipes are not known before their end.
    duration: live ? null : seconds,
    alpha: video?.alpha === "keep",
  });
}

const h264 = { codec: "avc1.42c01e", avc: { format: "avc" } };
const aac = { codec: "mp4a.40.2" };
const vp9 = { codec: "vp09.00.10.08" };
const opus = { codec: "opus" };
const av1 = { codec: "av01.0.04M.08", latencyMode: "realtime" };

await file("h264-aac.mp4", "mp4", { video: h264, audio: aac });
await file("index-behind.mp4", "mp4", { options: { fastStart: false }, video: h264, audio: aac });
await file("fragments.mp4", "fmp4", { options: { fragmentDuration: 500_000 }, video: h264, audio: aac });
await file("av1-opus.mp4", "mp4", { video: av1, audio: opus });
await file("vp9-flac.mp4", "mp4", { video: vp9, audio: { codec: "flac" } });
await file("two-sizes.mp4", "mp4", { video: h264, change: { width: 240, height: 136 } });
await file("two-sizes-fragments.mp4", "fmp4", { video: h264, change: { width: 240, height: 136 } });
await file("vp9-opus.webm", "webm", { video: vp9, audio: opus });
await file("vp8-vorbis.webm", "webm", { video: { codec: "vp8" }, audio: { codec: "vorbis" } });
await file("av1.webm", "webm", { video: av1 });
await file("alpha.webm", "webm", { video: { ...vp9, alpha: "keep" } });
await file("live.webm", "webm", { video: vp9, audio: opus, live: true });
await file("h264-aac.mkv", "matroska", { video: h264, audio: aac });
await file("opus.ogg", "ogg", { audio: opus });
await file("vorbis.ogg", "ogg", { audio: { codec: "vorbis" } });
await file("flac.ogg", "ogg", { audio: { codec: "flac" } });
await file("pcm.wav", "wav", { audio: { codec: "pcm-s16" } });
await file("float.wav", "wav", { audio: { codec: "pcm-f32" } });
await file("aac.aac", "adts", { audio: aac });
await file("flac.flac", "flac", { audio: { codec: "flac" } });

// No encoder of MP3 is in every build: a track that is there already.
{
  const source = new Reelcore.Demuxer(new URL("../../../../fuzzing/seeds/demux/xing.mp3", import.meta.url));
  const muxer = new Reelcore.Muxer("mp3", `${folder}/mp3.mp3`);
  const track = muxer.addAudioTrack();
  for await (const { chunk, metadata } of source.packets(0)) await track.write(chunk, metadata);
  await muxer.finish();
  files.push({ name: "mp3.mp3", width: 0, height: 0, frames: 0, last: [0, 0], duration: 0.3, alpha: false });
}
console.log(JSON.stringify(files));
