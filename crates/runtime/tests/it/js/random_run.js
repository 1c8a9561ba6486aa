// What random sequences of calls have in common, whatever the codec: the model of its state, its flushes, and what comes out.
import { equal } from "./harness.js";

export const AT_ONCE = 64;

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

/**
 * One codec, what was asked of it, and what it has given. Who extends it makes `codec`, has `begin()` for a stretch of inputs, of which
 * `dead` says that nothing may come of it any more, `missing(stretch)` for what has not come, `queueSize()` and `step()`.
 */
export class Run {
  constructor(next, label) {
    Object.assign(this, { next, label });
    this.model = "unconfigured";
    this.errors = [];
    this.flushes = [];
    /** The stretch of inputs since the last flush or reset (of decoders: or configure), and those before. */
    this.stretch = this.begin();
    this.stretches = [];
  }

  fail(message) {
    throw new Error(`${this.label}: ${message}`);
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

  /** What follows is of its own. */
  cut() {
    this.stretches.push(this.stretch);
    this.stretch = this.begin();
  }

  flush() {
    const record = { settled: 0, outcome: null };
    const configured = this.model === "configured";
    const before = [...this.stretches, this.stretch];
    record.promise = this.codec.flush().then(
      () => {
        record.settled++;
        record.outcome = "done";
        // Everything that was put in before the flush has come out.
        for (const stretch of before) {
          const missing = stretch.dead ? null : this.missing(stretch);
          if (missing) this.problem ??= `${missing} after a flush`;
        }
      },
      (error) => {
        record.settled++;
        record.outcome = error.name;
      },
    );
    record.wanted = configured ? ["done"] : ["InvalidStateError"];
    this.flushes.push(record);
    if (configured) this.cut();
    return configured;
  }

  forget() {
    for (const stretch of [...this.stretches, this.stretch]) stretch.dead = true;
    for (const record of this.flushes) {
      // Those that are not settled by now are rejected; the others have their outcome.
      if (record.settled === 0 && record.wanted[0] === "done") record.wanted = ["done", "AbortError"];
    }
    this.cut();
  }

  reset() {
    const closed = this.model === "closed";
    this.call(() => this.codec.reset(), closed ? "InvalidStateError" : null);
    if (closed) return;
    this.model = "unconfigured";
    this.forget();
    if (this.queueSize() !== 0) this.fail("inputs are queued after a reset");
  }

  close() {
    const closed = this.model === "closed";
    this.call(() => this.codec.close(), closed ? "InvalidStateError" : null);
    if (closed) return;
    this.model = "closed";
    this.forget();
  }

  async turn() {
    await new Promise((done) => setTimeout(done, 0));
  }

  async run() {
    const steps = 3 + this.next(10);
    for (let i = 0; i < steps && this.errors.length === 0; i++) {
      await this.step();
      if (this.codec.state !== this.model && this.errors.length === 0) {
        this.fail(`the state is ${this.codec.state}, not ${this.model}`);
      }
      if (this.problem) this.fail(this.problem);
    }
    if (this.model === "configured" && this.errors.length === 0) this.flush();
    await Promise.all(this.flushes.map((record) => record.promise));
    if (this.problem) this.fail(this.problem);
    if (this.codec.state !== "closed") this.end();
    // A turn more: nothing may come now.
    await this.turn();
    if (this.problem) this.fail(this.problem);
    for (const record of this.flushes) {
      if (record.settled !== 1) this.fail(`a flush was settled ${record.settled} times`);
      if (this.errors.length === 0 && !record.wanted.includes(record.outcome)) {
        this.fail(`a flush ended with ${record.outcome}, not ${record.wanted}`);
      }
    }
    equal(this.errors, [], this.label);
  }

  /** After the last flush, before the codec is closed. */
  end() {
    this.codec.close();
  }
}

/** Runs `count` sequences, some at once; gives how much came out. `make` makes the run of a source of random numbers and a label. */
export async function sequences(count, make) {
  let [begun, outputs] = [0, 0];
  const work = async () => {
    while (begun < count) {
      const seed = ++begun;
      const run = make(random(seed * 7919), `sequence ${seed}`);
      await run.run();
      for (const stretch of [...run.stretches, run.stretch]) outputs += stretch.got;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return outputs;
}
