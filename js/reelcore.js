// Reelcore's own namespace: what servers need beside WebCodecs. Not part of any specification.

import { core, primordials } from "ext:core/mod.js";
import {
  op_reelcore_counters,
  op_reelcore_demuxer_close,
  op_reelcore_demuxer_info,
  op_reelcore_demuxer_open_bytes,
  op_reelcore_demuxer_open_file,
  op_reelcore_demuxer_open_stream,
  op_reelcore_demuxer_reader,
  op_reelcore_demuxer_tracks,
  op_reelcore_reader_fill,
  op_reelcore_reader_seek,
  op_reelcore_reader_take,
  op_reelcore_stream_end,
  op_reelcore_stream_new,
  op_reelcore_stream_push,
  op_reelcore_stream_wanted,
} from "ext:core/ops";

const {
  ArrayBufferIsView,
  ArrayBufferPrototypeGetByteLength,
  ArrayBufferPrototypeSlice,
  ArrayPrototypeFilter,
  ArrayPrototypeIncludes,
  ArrayPrototypeJoin,
  ArrayPrototypeMap,
  ErrorCaptureStackTrace,
  ObjectDefineProperty,
  ObjectFreeze,
  ObjectFromEntries,
  ObjectPrototypeIsPrototypeOf,
  PromisePrototypeThen,
  SafeArrayIterator,
  StringPrototypeIncludes,
  StringPrototypeSplit,
  SymbolDispose,
  SymbolToStringTag,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetByteOffset,
  TypedArrayPrototypeGetSymbolToStringTag,
  DataViewPrototypeGetBuffer,
  DataViewPrototypeGetByteLength,
  DataViewPrototypeGetByteOffset,
  NumberIsFinite,
  TypeError,
  Uint8Array,
} = primordials;

const { BlobPrototype } = core.loadExtScript("ext:deno_web/09_file.js");
const { URLPrototype } = core.loadExtScript("ext:deno_web/00_url.js");

// The errors of the operations above. The names are ours: a runtime may have registered DOMExceptions under others.
for (const name of new SafeArrayIterator([
  "EncodingError",
  "InvalidStateError",
  "NotAllowedError",
  "NotFoundError",
  "NotReadableError",
  "NotSupportedError",
  "OperationError",
])) {
  core.registerErrorBuilder(`Reelcore.${name}`, (message) => {
    const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
    return new DOMException(message, name);
  });
}

/** Where the script is now: the frames that are not this file's. */
function callSite() {
  const holder = { __proto__: null };
  ErrorCaptureStackTrace(holder, callSite);
  const lines = StringPrototypeSplit(holder.stack, "\n");
  const ours = (line) => StringPrototypeIncludes(line, "ext:webcodecs/");
  return ArrayPrototypeJoin(ArrayPrototypeFilter(lines, (line, index) => index > 0 && !ours(line)), "\n");
}

/** `promise`, whose error then says at which line of the script it was asked for. */
function located(promise, site) {
  return PromisePrototypeThen(promise, undefined, (error) => {
    ObjectDefineProperty(error, "stack", {
      __proto__: null,
      configurable: true,
      writable: true,
      value: `${error.name}: ${error.message}\n${site}`,
    });
    throw error;
  });
}

/** A file URL's path on this machine. */
function filePath(url) {
  if (url.protocol !== "file:") throw new TypeError(`Demuxer: ${url.href} is not a file: URL`);
  return decodeURIComponent(url.pathname);
}

function isArrayBuffer(value) {
  try {
    ArrayBufferPrototypeGetByteLength(value);
    return true;
  } catch {
    return false;
  }
}

/** The buffer, offset and length of a view. */
function viewRange(view) {
  if (TypedArrayPrototypeGetSymbolToStringTag(view) === undefined) {
    return [DataViewPrototypeGetBuffer(view), DataViewPrototypeGetByteOffset(view), DataViewPrototypeGetByteLength(view)];
  }
  return [
    TypedArrayPrototypeGetBuffer(view),
    TypedArrayPrototypeGetByteOffset(view),
    TypedArrayPrototypeGetByteLength(view),
  ];
}

/** A view's bytes, not copied. */
function viewBytes(view) {
  const { 0: buffer, 1: offset, 2: length } = viewRange(view);
  return new Uint8Array(buffer, offset, length);
}

/** The bytes of a buffer or view as a buffer of our own; without a copy if it is transferred. */
function ownBytes(source, transfer) {
  let buffer = source;
  let offset = 0;
  let length;
  if (ArrayBufferIsView(source)) {
    ({ 0: buffer, 1: offset, 2: length } = viewRange(source));
  } else {
    length = ArrayBufferPrototypeGetByteLength(source);
  }
  if (ArrayPrototypeIncludes(transfer, buffer)) return new Uint8Array(buffer, offset, length);
  // The script may change its buffer while packets are read from it: they need a copy.
  if (!isArrayBuffer(buffer)) {
    const copy = new Uint8Array(length);
    copy.set(new Uint8Array(buffer, offset, length));
    return copy;
  }
  return new Uint8Array(ArrayBufferPrototypeSlice(buffer, offset, offset + length));
}

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

function openStream(stream) {
  const reader = stream.getReader();
  const handle = op_reelcore_stream_new();
  const opened = op_reelcore_demuxer_open_stream(handle);
  feed(handle, reader);
  return opened;
}

function open(source, transfer) {
  if (typeof source === "string") return op_reelcore_demuxer_open_file(source);
  if (ObjectPrototypeIsPrototypeOf(URLPrototype, source)) {
    return op_reelcore_demuxer_open_file(filePath(source));
  }
  if (ObjectPrototypeIsPrototypeOf(BlobPrototype, source)) {
    return PromisePrototypeThen(
      source.arrayBuffer(),
      (buffer) => op_reelcore_demuxer_open_bytes(new Uint8Array(buffer)),
    );
  }
  if (ArrayBufferIsView(source) || isArrayBuffer(source)) {
    return op_reelcore_demuxer_open_bytes(ownBytes(source, transfer));
  }
  // Here and not above: streams are long, and a program that has none starts without them.
  const { ReadableStreamPrototype } = core.loadExtScript("ext:deno_web/06_streams.js");
  if (ObjectPrototypeIsPrototypeOf(ReadableStreamPrototype, source)) return openStream(source);
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
  #handle;
  #tracks;
  #position = 0;

  constructor(source, options = { __proto__: null }) {
    const opened = located(open(source, options?.transfer ?? []), callSite());
    this.#handle = opened;
    this.#tracks = PromisePrototypeThen(opened, (handle) =>
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
    return PromisePrototypeThen(this.#handle, (handle) => {
      const { 0: container, 1: duration, 2: tags } = op_reelcore_demuxer_info(handle);
      return { container, duration, tags: ObjectFromEntries(tags) };
    });
  }

  /**
   * Moves to `time` (microseconds): `chunks()` without a `start` then begins at the last key
   * packet at or before it. Gives the time of that packet in `track` (by default the first video track,
   * else the first track), or null if it has none.
   */
  async seek(time, track) {
    checkTime(time, "time");
    const site = callSite();
    const tracks = await this.#tracks;
    track ??= tracks.find((track) => track.type === "video") ?? tracks[0];
    this.#position = time;
    if (track === undefined) return null;
    const reader = op_reelcore_demuxer_reader(await this.#handle, this.#index(tracks, track));
    return await located(op_reelcore_reader_seek(reader, time), site);
  }

  /**
   * The packets of a track in decode order, as EncodedVideoChunk or EncodedAudioChunk.
   * `start` (microseconds) begins at the last key packet at or before it.
   */
  async *chunks(track, options = { __proto__: null }) {
    const start = checkTime(options?.start ?? this.#position, "start");
    const site = callSite();
    const handle = await this.#handle;
    const index = this.#index(await this.#tracks, track);
    const reader = op_reelcore_demuxer_reader(handle, index);
    if (start !== 0) await located(op_reelcore_reader_seek(reader, start), site);
    while ((await located(op_reelcore_reader_fill(reader), site)) > 0) {
      for (let chunk = op_reelcore_reader_take(reader); chunk !== null; chunk = op_reelcore_reader_take(reader)) {
        yield chunk;
      }
    }
  }

  /**
   * Lets go of the source, once it is open: everything but `tracks` then fails with an InvalidStateError. Iterations
   * that have begun go on.
   */
  close() {
    PromisePrototypeThen(this.#handle, op_reelcore_demuxer_close, () => {});
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

export const Reelcore = ObjectFreeze({ __proto__: null, Demuxer, counters });
