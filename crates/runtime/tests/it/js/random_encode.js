// 20,000 random sequences of calls on encoders, against what the specification promises of any sequence.
import { assert, equal, finish, test } from "./harness.js";
import { Run, sequences } from "./random_run.js";

/** Between the times of two stretches, so that the time of a chunk says which it belongs to. */
const APART = 1_000_000_000;

class Encoding extends Run {
  constructor(next, label) {
    super(next, label);
    this.dequeued = 0;
    this.pending = null;
  }

  begin() {
    this.number = (this.number ?? -1) + 1;
    return { start: this.number * APART, sent: [], got: 0, dead: false };
  }

  queueSize() {
    return this.codec.encodeQueueSize;
  }

  listen(codec) {
    this.codec = codec;
    codec.addEventListener("dequeue", (event) => {
      this.dequeued++;
      if (event.target !== codec || event.bubbles || event.cancelable) this.problem ??= "an unusual dequeue event";
    });
  }

  /** The stretch of an output's time. */
  found(timestamp) {
    if (this.codec.state === "closed") this.problem ??= "an output after close";
    const stretch = [...this.stretches, this.stretch].find(({ start }) => timestamp >= start && timestamp < start + APART);
    if (stretch === undefined) this.problem ??= `an output at ${timestamp} that nobody asked for`;
    else if (stretch.dead) this.problem ??= `an output at ${timestamp} after a reset`;
    return stretch;
  }

  configure() {
    const closed = this.model === "closed";
    this.current = this.configs[this.next(this.configs.length)];
    this.call(() => this.codec.configure(this.current), closed ? "InvalidStateError" : null);
    if (!closed) this.model = "configured";
  }

  /** Gives `input` to the encoder, which keeps what it needs of it: it is closed at once. */
  give(input, options) {
    const configured = this.model === "configured";
    const before = this.queueSize();
    this.call(() => this.codec.encode(input, options), configured ? null : "InvalidStateError");
    const after = this.queueSize();
    // A message that can run runs at once, and those before it: the queue may be no longer for it, or empty.
    const most = configured ? before + 1 : before;
    if (after < 0 || after > most || (!configured && after !== before)) this.fail(`a queue of ${before} became one of ${after}`);
    input.close();
    if (configured && this.next(16) === 0) this.call(() => this.codec.encode(input), "TypeError");
    return configured;
  }

  async step() {
    const choice = this.next(100);
    if (choice < 22) this.configure();
    else if (choice < 64) {
      for (let count = 1 + this.next(5); count > 0; count--) this.encode();
    } else if (choice < 74) this.flush();
    else if (choice < 82) this.reset();
    else if (choice < 85) this.close();
    else if (choice < 93) await this.turn();
    else await this.flushes.at(-1)?.promise;
  }

  end() {
    if (this.queueSize() !== 0) this.fail(`${this.queueSize()} inputs are queued after the last flush`);
    this.begun = [...this.stretches, this.stretch].some((stretch) => stretch.got > 0);
    super.end();
  }

  async run() {
    await super.run();
    if (this.begun && this.dequeued === 0) this.fail("inputs were taken, and no dequeue event came");
  }
}

class Video extends Encoding {
  constructor(codec, next, label) {
    super(next, label);
    const base = { codec, bitrate: 100_000, framerate: 30, latencyMode: "realtime" };
    this.configs = [
      { ...base, width: 16, height: 16 },
      { ...base, width: 16, height: 16, bitrate: 50_000 },
      { ...base, width: 32, height: 16 },
      { ...base, width: 16, height: 16, scalabilityMode: "L1T2" },
    ];
    /** The next chunk starts a stream. */
    this.fresh = true;
    this.listen(
      new VideoEncoder({
        output: (chunk, metadata) => this.output(chunk, metadata),
        error: (error) => this.errors.push(`${error.name}: ${error.message}`),
      }),
    );
  }

  missing(stretch) {
    return stretch.sent.length > stretch.got && `${stretch.sent.length - stretch.got} chunks are missing`;
  }

  output(chunk, metadata) {
    const stretch = this.found(chunk.timestamp);
    if (stretch === undefined) return;
    // One chunk for each frame, in the order in which they were given.
    const sent = stretch.sent[stretch.got++];
    if (sent?.timestamp !== chunk.timestamp) this.problem ??= `a chunk at ${chunk.timestamp} for the frame at ${sent?.timestamp}`;
    else if (sent.duration !== chunk.duration) this.problem ??= `${chunk.duration} us for a frame of ${sent.duration}`;
    else if (sent.keyFrame && chunk.type !== "key") this.problem ??= "a frame that was to be key is not";
    const { decoderConfig } = metadata;
    if (sent?.first && (chunk.type !== "key" || !decoderConfig)) this.problem ??= "a stream begins without key or config";
    if (decoderConfig && decoderConfig.codedWidth !== sent?.width) {
      this.problem ??= `a width of ${decoderConfig.codedWidth}, not ${sent?.width}`;
    }
    if (chunk.byteLength === 0) this.problem ??= "an empty chunk";
  }

  forget() {
    super.forget();
    this.fresh = true;
  }

  encode() {
    const side = [16, 24][this.next(2)];
    const keyFrame = this.next(6) === 0;
    const timestamp = this.stretch.start + 33_333 * this.stretch.sent.length;
    const duration = [null, 33_333][this.next(2)];
    const init = { format: "I420", codedWidth: side, codedHeight: 16, timestamp, ...(duration && { duration }) };
    const frame = new VideoFrame(new Uint8Array(side * 24).fill(this.next(256)), init);
    if (!this.give(frame, { keyFrame })) return;
    this.stretch.sent.push({ timestamp, duration, keyFrame, first: this.fresh, width: this.current.width });
    this.fresh = false;
  }
}

class Audio extends Encoding {
  constructor(config, more, next, label) {
    super(next, label);
    this.configs = [config];
    /** Microseconds of delay and padding that a stretch may get. */
    this.more = more;
    this.rate = config.sampleRate;
    this.listen(
      new AudioEncoder({
        output: (chunk) => this.output(chunk),
        error: (error) => this.errors.push(`${error.name}: ${error.message}`),
      }),
    );
  }

  begin() {
    return Object.assign(super.begin(), { frames: 0, end: null });
  }

  missing(stretch) {
    const end = stretch.start + (stretch.frames * 1e6) / this.rate;
    const got = stretch.end ?? stretch.start;
    const more = stretch.frames > 0 ? this.more : 0;
    return (got < end - 1 || got > end + 1 + more) && `sound to ${end}, of which there is some to ${got}, is wrong`;
  }

  output(chunk) {
    const stretch = this.found(chunk.timestamp);
    if (stretch === undefined) return;
    if (chunk.type !== "key") this.problem ??= `a chunk of type ${chunk.type}`;
    // Each follows on the last one.
    const at = stretch.end ?? stretch.start;
    if (Math.abs(chunk.timestamp - at) > 1) this.problem ??= `a chunk at ${chunk.timestamp}, not at ${at}`;
    stretch.end = chunk.timestamp + chunk.duration;
    stretch.got++;
  }

  configure() {
    super.configure();
    // What was put in before comes out, padded, and a new count begins.
    if (this.model === "configured") this.cut();
  }

  encode() {
    const frames = 1 + this.next(2500);
    const { sampleRate, numberOfChannels } = this.configs[0];
    const timestamp = this.stretch.start + Math.round((this.stretch.frames * 1e6) / sampleRate);
    const data = new Int16Array(frames * numberOfChannels).fill(this.next(1000));
    const init = { format: "s16", sampleRate, numberOfChannels, numberOfFrames: frames, timestamp, data };
    if (this.give(new AudioData(init))) this.stretch.frames += frames;
  }
}

for (const [codec, count] of [["vp8", 5000], ["avc1.42001E", 5000], ["vp09.00.10.08", 1500], ["av01.0.04M.08", 500]]) {
  await test(`no sequence of calls on a VideoEncoder of ${codec} breaks a promise of the specification`, async () => {
    const outputs = await sequences(count, (next, label) => new Video(codec, next, `${codec}, ${label}`));
    assert(outputs > count, `only ${outputs} chunks`);
    equal(Reelcore.counters().frames_alive, 0);
  });
}

for (const [codec, count, more] of [["opus", 4000, 40_000], ["pcm-s16", 3000, 0], ["mp4a.40.2", 500, 64_000], ["flac", 500, 0]]) {
  await test(`no sequence of calls on an AudioEncoder of ${codec} breaks a promise of the specification`, async () => {
    const config = { codec, sampleRate: 48000, numberOfChannels: 2 };
    const outputs = await sequences(count, (next, label) => new Audio(config, more, next, `${codec}, ${label}`));
    assert(outputs > count, `only ${outputs} chunks`);
  });
}

finish();
