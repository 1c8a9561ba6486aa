// Reelcore's own namespace: what servers need beside WebCodecs. Not part of any specification.

import { core, primordials } from "ext:core/mod.js";
import {
  op_reelcore_counters,
  op_reelcore_demuxer_close,
  op_reelcore_demuxer_info,
  op_reelcore_demuxer_new,
  op_reelcore_demuxer_open_bytes,
  op_reelcore_demuxer_open_file,
  op_reelcore_demuxer_open_stream,
  op_reelcore_demuxer_reader,
  op_reelcore_demuxer_tracks,
  op_reelcore_reader_close,
  op_reelcore_reader_config,
  op_reelcore_reader_fill,
  op_reelcore_reader_seek,
  op_reelcore_reader_take,
  op_reelcore_scale,
  op_reelcore_scale_take,
  op_reelcore_stream_end,
  op_reelcore_stream_new,
  op_reelcore_stream_push,
  op_reelcore_stream_wanted,
} from "ext:core/ops";
import { Muxer } from "ext:webcodecs/muxer.js";
import { callSite, filePath, isArrayBuffer, located, ownBytes, viewBytes } from "ext:webcodecs/support.js";

const {
  ArrayBufferIsView,
  ArrayPrototypeMap,
  ObjectFreeze,
  ObjectFromEntries,
  ObjectPrototypeIsPrototypeOf,
  PromisePrototypeThen,
  SymbolDispose,
  SymbolToStringTag,
  NumberIsFinite,
  NumberIsInteger,
  TypeError,
  Uint8Array,
} = primordials;

const { BlobPrototype } = core.loadExtScript("ext:deno_web/09_file.js");
const { URLPrototype } = core.loadExtScript("ext:deno_web/00_url.js");

/** Feeds a stream to the demuxer as it asks for more; cancels it when nobody reads any more. */
async function feed(handle, reader) {
  try {
    for (;;) {
      const wanted = op_reelcore_stream_wanted(handle);
      // A demuxer that nobody reads from does not keep the program running.
      core.unrefOpPromise(wanted);
      if (!await wanted) {
        await reader.cancel();
        return;
      }
      const { value, done } = await reader.read();
      if (done) {
        op_reelcore_stream_end(handle, null);
        return;
      }
      if (!ArrayBufferIsView(value)) {
        const error = new TypeError("Demuxer: the stream must give Uint8Arrays");
        op_reelcore_stream_end(handle, error.message);
        await reader.cancel(error);
        return;
      }
      op_reelcore_stream_push(handle, viewBytes(value));
    }
  } catch (error) {
    // Whoever reads packets gets the reason.
    op_reelcore_stream_end(handle, `the stream failed: ${error?.message ?? error}`);
  }
}

/** Begins to open `source` for `handle`: a promise, and of a stream its reader, which is cancelled in the end. */
function open(handle, source, transfer) {
  if (typeof source === "string" || ObjectPrototypeIsPrototypeOf(URLPrototype, source)) {
    return { opened: op_reelcore_demuxer_open_file(handle, filePath(source)) };
  }
  if (ObjectPrototypeIsPrototypeOf(BlobPrototype, source)) {
    const bytes = (buffer) => op_reelcore_demuxer_open_bytes(handle, new Uint8Array(buffer));
    return { opened: PromisePrototypeThen(source.arrayBuffer(), bytes) };
  }
  if (ArrayBufferIsView(source) || isArrayBuffer(source)) {
    return { opened: op_reelcore_demuxer_open_bytes(handle, ownBytes(source, transfer)) };
  }
  // Here and not above: streams are long, and a program that has none starts without them.
  const { ReadableStreamPrototype } = core.loadExtScript("ext:deno_web/06_streams.js");
  if (ObjectPrototypeIsPrototypeOf(ReadableStreamPrototype, source)) {
    const reader = source.getReader();
    const stream = op_reelcore_stream_new();
    const opened = op_reelcore_demuxer_open_stream(handle, stream);
    feed(stream, reader);
    return { opened, reader };
  }
  throw new TypeError(
    "Demuxer: the source must be a path, a file: URL, a Blob, a BufferSource or a ReadableStream",
  );
}

function checkTime(time, name) {
  if (typeof time !== "number" || !NumberIsFinite(time)) {
    throw new TypeError(`Demuxer: ${name} must be a finite number of microseconds`);
  }
  return time;
}

/**
 * Reads tracks and packets out of a container.
 *
 * `source` is a path, a file: URL, a Blob, a BufferSource or a ReadableStream of bytes. Files are read as needed, never
 * as a whole. Of a stream the last 64 MiB are kept: read its tracks side by side.
 */
class Demuxer {
  #handle = op_reelcore_demuxer_new();
  #tracks;
  /** The reader of a stream, which `close()` cancels. */
  #stream;
  /** Where `seek()` went; undefined before the first one. */
  #position;
  #closed = false;

  constructor(source, options = { __proto__: null }) {
    const handle = this.#handle;
    const { opened, reader } = open(handle, source, options?.transfer ?? []);
    this.#stream = reader;
    this.#tracks = PromisePrototypeThen(located(opened, callSite()), () =>
      ObjectFreeze(ArrayPrototypeMap(op_reelcore_demuxer_tracks(handle), (track) => ObjectFreeze(track))));
    // Whoever awaits `tracks`, `info` or a method gets the error; nobody needs to await all of them.
    PromisePrototypeThen(this.#tracks, undefined, () => {});
  }

  /** The tracks, in the container's order. Each has a `decoderConfig` if its codec has a codec string. */
  get tracks() {
    return this.#tracks;
  }

  /** The container's name, its duration in microseconds (null if unknown) and its tags by name. */
  get info() {
    return this.#info();
  }

  async #info() {
    this.#checkOpen();
    await this.#tracks;
    const { 0: container, 1: duration, 2: tags } = op_reelcore_demuxer_info(this.#handle);
    return { container, duration, tags: ObjectFromEntries(tags) };
  }

  /** What is asked of a closed demuxer fails alike, whether it had opened or not. */
  #checkOpen() {
    if (!this.#closed) return;
    const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
    throw new DOMException("the Demuxer is closed", "InvalidStateError");
  }

  /**
   * Moves to `time` (microseconds): `chunks()` and `packets()` without a `start` then begin at the last key
   * packet at or before it, or the first one where none is; of sound sooner, by what its decoder needs before that packet.
   * Gives the time of that packet in `track` (by default the first of video, else of audio), or null if there is none.
   */
  async seek(time, track) {
    checkTime(time, "time");
    this.#checkOpen();
    const site = callSite();
    const tracks = await this.#tracks;
    track ??= tracks.find((track) => track.type === "video") ?? tracks.find((track) => track.type === "audio");
    if (track === undefined) {
      this.#position = time;
      return null;
    }
    const reader = op_reelcore_demuxer_reader(this.#handle, this.#index(tracks, track), false);
    this.#position = time;
    try {
      return await located(op_reelcore_reader_seek(reader, time), site);
    } finally {
      op_reelcore_reader_close(reader);
    }
  }

  /**
   * The packets of a track in decode order, as EncodedVideoChunk or EncodedAudioChunk.
   * `start` (microseconds) begins where `seek()` to it would. They are all for the track's `decoderConfig`:
   * where that changes in the middle of the track, it ends with a NotSupportedError, and `packets()` goes on.
   */
  async *chunks(track, options = { __proto__: null }) {
    const site = callSite();
    const { reader } = await this.#reader(track, options, site, false);
    try {
      while ((await located(op_reelcore_reader_fill(reader), site)) > 0) {
        for (let chunk = op_reelcore_reader_take(reader); chunk !== null; chunk = op_reelcore_reader_take(reader)) {
          yield chunk;
        }
      }
    } finally {
      // However the iteration is left.
      op_reelcore_reader_close(reader);
    }
  }

  /**
   * As `chunks()`, each with metadata as an encoder's output callback gets it: `{ chunk, metadata }`. The first has
   * `metadata.decoderConfig`, and so has each from which another holds.
   */
  async *packets(track, options = { __proto__: null }) {
    const site = callSite();
    const { reader, config } = await this.#reader(track, options, site, true);
    let first = true;
    try {
      while ((await located(op_reelcore_reader_fill(reader), site)) > 0) {
        for (let chunk = op_reelcore_reader_take(reader); chunk !== null; chunk = op_reelcore_reader_take(reader)) {
          const changed = op_reelcore_reader_config(reader);
          const metadata = changed !== null
            ? { decoderConfig: changed[0] }
            : first
            ? { decoderConfig: config }
            : {};
          first = false;
          yield { chunk, metadata };
        }
      }
    } finally {
      op_reelcore_reader_close(reader);
    }
  }

  async #reader(track, options, site, changes) {
    const start = options?.start ?? this.#position;
    if (start !== undefined) checkTime(start, "start");
    this.#checkOpen();
    const tracks = await this.#tracks;
    const index = this.#index(tracks, track);
    const reader = op_reelcore_demuxer_reader(this.#handle, index, changes);
    try {
      // A reader stands at the first packet. Sound from 0 on needs all that stands before: the priming.
      const isThere = start === undefined || (start === 0 && tracks[index].type === "audio");
      if (!isThere) await located(op_reelcore_reader_seek(reader, start), site);
    } catch (error) {
      op_reelcore_reader_close(reader);
      throw error;
    }
    return { __proto__: null, reader, config: tracks[index].decoderConfig };
  }

  /**
   * Lets go of the source at once, and cancels a stream. What is waited for, and iterations that have begun, end with an
   * AbortError; everything else but `tracks` then fails with an InvalidStateError.
   */
  close() {
    this.#closed = true;
    op_reelcore_demuxer_close(this.#handle);
    // Whatever its source says to that is its own business.
    if (this.#stream) PromisePrototypeThen(this.#stream.cancel(), undefined, () => {});
  }

  [SymbolDispose]() {
    this.close();
  }

  #index(tracks, track) {
    const index = typeof track === "number" ? track : track?.index;
    // One of ours, not of another demuxer, whose numbers would name other tracks here.
    if (tracks[index] === undefined || (typeof track !== "number" && tracks[index] !== track)) {
      throw new TypeError("Demuxer: the track is not one of this demuxer's tracks");
    }
    return index;
  }

  get [SymbolToStringTag]() {
    return "Demuxer";
  }
}

/** Readings of the process-wide counters, by name. */
function counters() {
  return ObjectFromEntries(op_reelcore_counters());
}

/**
 * What frames hold on a GPUDevice, by name: textures and buffers, in use or idle, and how many objects wgpu knows (of all devices).
 */
function gpuMemory(device) {
  const { op_gpu_memory } = core.ops;
  if (op_gpu_memory === undefined) throw new TypeError("gpuMemory: this runtime has no WebGPU");
  return ObjectFromEntries(op_gpu_memory(device));
}

/**
 * The visible part of a VideoFrame at another size (pixels), as a new VideoFrame: planar YUV, without alpha, with the same
 * times, colours and orientation. Both frames are the caller's to close.
 */
async function scale(frame, options) {
  const site = callSite();
  const { width, height } = options;
  if (!NumberIsInteger(width) || !NumberIsInteger(height)) throw new TypeError("scale: width and height must be integers");
  return op_reelcore_scale_take(await located(op_reelcore_scale(frame, width, height), site));
}

export const Reelcore = ObjectFreeze({ __proto__: null, Demuxer, Muxer, counters, gpuMemory, scale });
