// 20,000 random sequences of calls on decoders, against what the specification promises of any sequence.
import { assert, equal, finish, test } from "./harness.js";
import { Run, sequences } from "./random_run.js";

const SEQUENCES = 20_000;
const media = (name) => new URL(`../../../../../examples/media/${name}`, import.meta.url);

async function clip(name) {
  const demuxer = new Reelcore.Demuxer(media(name));
  const track = (await demuxer.tracks)[0];
  const chunks = [];
  for await (const chunk of demuxer.chunks(track)) {
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    chunks.push({ type: chunk.type, timestamp: chunk.timestamp, data });
    if (chunks.length === 24) break;
  }
  return { config: track.decoderConfig, chunks };
}

class Decoding extends Run {
  constructor(clip, next, label) {
    super(next, label);
    this.clip = clip;
    this.position = 0;
    /** Added to the clip's times, so that they rise through the whole run. */
    this.offset = 0;
    this.keyRequired = true;
    this.codec = new VideoDecoder({
      output: (frame) => this.output(frame),
      error: (error) => this.errors.push(error.name),
    });
  }

  begin() {
    return { sent: new Map(), got: 0, last: -Infinity, dead: false };
  }

  missing(stretch) {
    return stretch.sent.size > 0 && `${stretch.sent.size} frames are missing`;
  }

  queueSize() {
    return this.codec.decodeQueueSize;
  }

  cut() {
    super.cut();
    this.keyRequired = true;
    this.position = 0;
  }

  output(frame) {
    const { timestamp } = frame;
    frame.close();
    if (this.codec.state === "closed") this.problem ??= "an output after close";
    const stretch = [...this.stretches, this.stretch].find((one) => one.sent.has(timestamp));
    if (stretch === undefined) this.problem ??= `an output at ${timestamp} that nobody asked for, or twice`;
    else {
      if (stretch.dead) this.problem ??= `an output at ${timestamp} after a reset`;
      if (timestamp <= stretch.last) this.problem ??= `${timestamp} after ${stretch.last}`;
      stretch.sent.delete(timestamp);
      stretch.last = timestamp;
      stretch.got++;
    }
  }

  configure() {
    const closed = this.model === "closed";
    this.call(() => this.codec.configure(this.clip.config), closed ? "InvalidStateError" : null);
    if (closed) return;
    this.model = "configured";
    // What was decoded before is still delivered.
    this.cut();
  }

  decode(from) {
    const chunk = this.clip.chunks[from];
    // From the start again: no two chunks of a run have the same time.
    if (from === 0) this.offset += 1_000_000_000;
    const timestamp = this.offset + chunk.timestamp;
    const made = new EncodedVideoChunk({ ...chunk, timestamp });
    const wanted = this.model !== "configured"
      ? "InvalidStateError"
      : this.keyRequired && chunk.type !== "key"
      ? "DataError"
      : null;
    this.call(() => this.codec.decode(made), wanted);
    if (wanted !== null) return;
    this.keyRequired = false;
    this.stretch.sent.set(timestamp, true);
    this.position = from + 1;
  }

  async step() {
    const choice = this.next(100);
    if (choice < 22) this.configure();
    else if (choice < 62) {
      for (let count = 1 + this.next(6); count > 0; count--) {
        this.decode(this.position % this.clip.chunks.length);
        if (this.model !== "configured") break;
      }
    } else if (choice < 66) {
      // Anywhere in the clip: refused where a key chunk is due, and else only a key chunk follows on.
      const from = this.next(this.clip.chunks.length);
      if (this.keyRequired || this.model !== "configured") this.decode(from);
      else this.decode(0);
    } else if (choice < 76) this.flush();
    else if (choice < 84) this.reset();
    else if (choice < 87) this.close();
    else if (choice < 94) await this.turn();
    else await this.flushes.at(-1)?.promise;
  }
}

for (const name of ["av1-16x16.mp4", "h264-16x16.mp4"]) {
  const stream = await clip(name);
  await test(`no sequence of calls on a decoder of ${name} breaks a promise of the specification`, async () => {
    const outputs = await sequences(SEQUENCES / 2, (next, label) => new Decoding(stream, next, label));
    assert(outputs > SEQUENCES, `only ${outputs} frames`);
    equal(Reelcore.counters().frames_alive, 0);
  });
}

finish();
