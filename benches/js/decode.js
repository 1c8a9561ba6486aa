// Decodes a whole file and prints what it took, as JSON.
//   decode.js FILE [PASSES] [TIMES]
// The first video track, else the first of audio; each pass decodes it TIMES times in a row, with one decoder. Demuxing happens before the clock starts: this measures the decoder,
// its callbacks and close().

const [file, passes = "1", times = "1"] = Deno.args;
const demuxer = new Reelcore.Demuxer(file);
const tracks = await demuxer.tracks;
const track = tracks.find((track) => track.type === "video") ?? tracks.find((track) => track.type === "audio");
const chunks = [];
for await (const chunk of demuxer.chunks(track)) chunks.push(chunk);

async function pass() {
  // Frames of video; of audio, samples of one channel.
  let frames = 0;
  let failure = null;
  const init = {
    output(output) {
      frames += output.numberOfFrames ?? 1;
      output.close();
    },
    error(error) {
      failure = error;
    },
  };
  const decoder = track.type === "video" ? new VideoDecoder(init) : new AudioDecoder(init);
  decoder.configure(track.decoderConfig);
  const began = performance.now();
  for (let i = 0; i < Number(times); i++) {
    for (const chunk of chunks) decoder.decode(chunk);
  }
  await decoder.flush();
  const seconds = (performance.now() - began) / 1000;
  if (failure) throw failure;
  decoder.close();
  return { frames, seconds };
}

const runs = [];
for (let i = 0; i < Number(passes); i++) runs.push(await pass());
// The most memory this process has held: Linux says so in its status file.
const status = await Deno.readTextFile("/proc/self/status").catch(() => "");
const peakBytes = Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
const { sampleRate } = track.decoderConfig;
console.log(JSON.stringify({ runs, peakBytes, sampleRate, counters: Reelcore.counters() }));
