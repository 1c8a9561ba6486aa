// 20,000 random sequences of calls on decoders, against what the specification promises of any sequence.
import { assert, equal, finish, test } from "./harness.js";

const SEQUENCES = 20_000;
const AT_ONCE = 64;
const media = (name) => new URL(`../../../../../examples/media/${name}`, import.meta.url);

/** xorshift32: the sequences are the same on every machine. */
function random(seed) {
  let state = seed | 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

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

/** One decoder, what was asked of it, and what it has given. */
class Run {
  constructor(clip, next, label) {
    Object.assign(this, { clip, next, label });
    /** The stretch of chunks since the last configure, flush or reset. */
    this.stretch = this.begin();
    this.stretches = [];
    this.position = 0;
    /** Added to the clip's times, so that they rise through the whole run. */
    this.offset = 0;
    this.errors = [];
    this.model = "unconfigured";
    this.keyRequired = true;
    this.flushes = [];
    this.decoder = new VideoDecoder({
      output: (frame) => this.output(frame),
      error: (error) => this.errors.push(error.name),
    });
  }

  begin() {
    return { sent: new Map(), got: 0, last: -Infinity, dead: false };
  }

  fail(message) {
    throw new Error(`${this.label}: ${message}`);
  }

  output(frame) {
    const { timestamp } = frame;
    frame.close();
    if (this.decoder.state === "closed") this.problem ??= "an output after close";
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

  call(what, wanted) {
    let thrown = null;
    try {
      what();
    } catch (error) {
      thrown = error.name;
    }
    if (thrown !== wanted) this.fail(`expected ${wanted}, got ${thrown}`);
  }

  configure() {
    const closed = this.model === "closed";
    this.call(() => this.decoder.configure(this.clip.config), closed ? "InvalidStateError" : null);
    if (closed) return;
    this.model = "configured";
    this.keyRequired = true;
    // What was decoded before is still delivered.
    this.stretches.push(this.stretch);
    this.stretch = this.begin();
    this.position = 0;
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
    this.call(() => this.decoder.decode(made), wanted);
    if (wanted !== null) return;
    this.keyRequired = false;
    this.stretch.sent.set(timestamp, true);
    this.position = from + 1;
  }

  flush() {
    const record = { settled: 0, outcome: null };
    const configured = this.model === "configured";
    const [stretch, before] = [this.stretch, [...this.stretches]];
    record.promise = this.decoder.flush().then(
      () => {
        record.settled++;
        record.outcome = "done";
        // Everything decoded before the flush has come out.
        for (const one of [...before, stretch]) {
          if (!one.dead && one.sent.size > 0) this.problem ??= `${one.sent.size} frames are missing after a flush`;
        }
      },
      (error) => {
        record.settled++;
        record.outcome = error.name;
      },
    );
    record.wanted = configured ? ["done"] : ["InvalidStateError"];
    this.flushes.push(record);
    if (!configured) return;
    this.keyRequired = true;
    this.stretches.push(this.stretch);
    this.stretch = this.begin();
    this.position = 0;
  }

  forget() {
    for (const one of [...this.stretches, this.stretch]) one.dead = true;
    for (const record of this.flushes) {
      // Those that are not settled by now are rejected; the others have their outcome.
      if (record.settled === 0 && record.wanted[0] === "done") record.wanted = ["done", "AbortError"];
    }
    this.stretches.push(this.stretch);
    this.stretch = this.begin();
    this.position = 0;
    this.keyRequired = true;
  }

  reset() {
    const closed = this.model === "closed";
    this.call(() => this.decoder.reset(), closed ? "InvalidStateError" : null);
    if (closed) return;
    this.model = "unconfigured";
    this.forget();
    if (this.decoder.decodeQueueSize !== 0) this.fail("inputs are queued after a reset");
  }

  close() {
    const closed = this.model === "closed";
    this.call(() => this.decoder.close(), closed ? "InvalidStateError" : null);
    if (closed) return;
    this.model = "closed";
    this.forget();
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
    }
    else if (choice < 76) this.flush();
    else if (choice < 84) this.reset();
    else if (choice < 87) this.close();
    else if (choice < 94) await new Promise((done) => setTimeout(done, 0));
    else await this.flushes.at(-1)?.promise;
    if (this.decoder.state !== this.model && this.errors.length === 0) {
      this.fail(`the state is ${this.decoder.state}, not ${this.model}`);
    }
    if (this.problem) this.fail(this.problem);
  }

  async run() {
    const steps = 3 + this.next(10);
    for (let i = 0; i < steps && this.errors.length === 0; i++) await this.step();
    if (this.model === "configured" && this.errors.length === 0) this.flush();
    await Promise.all(this.flushes.map((record) => record.promise));
    if (this.problem) this.fail(this.problem);
    if (this.decoder.state !== "closed") this.decoder.close();
    // A turn more: nothing may come now.
    await new Promise((done) => setTimeout(done, 0));
    if (this.problem) this.fail(this.problem);
    for (const record of this.flushes) {
      if (record.settled !== 1) this.fail(`a flush was settled ${record.settled} times`);
      if (this.errors.length === 0 && !record.wanted.includes(record.outcome)) {
        this.fail(`a flush ended with ${record.outcome}, not ${record.wanted}`);
      }
    }
    return this.errors;
  }
}

for (const name of ["av1-16x16.mp4", "h264-16x16.mp4"]) {
  const stream = await clip(name);
  await test(`no sequence of calls on a decoder of ${name} breaks a promise of the specification`, async () => {
    let [begun, outputs] = [0, 0];
    const work = async () => {
      while (begun < SEQUENCES / 2) {
        const seed = ++begun;
        const next = random(seed * 7919);
        const run = new Run(stream, next, `sequence ${seed}`);
        const errors = await run.run();
        for (const one of [...run.stretches, run.stretch]) outputs += one.got;
        equal(errors, [], `sequence ${seed}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    assert(outputs > SEQUENCES, `only ${outputs} frames`);
    equal(Reelcore.counters().frames_alive, 0);
  });
}

finish();
