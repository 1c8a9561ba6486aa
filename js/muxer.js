// Reelcore.Muxer: encoded chunks into a container. Not part of any specification.

import { core, primordials } from "ext:core/mod.js";
import {
  op_reelcore_muxer_bytes,
  op_reelcore_muxer_configure,
  op_reelcore_muxer_declare,
  op_reelcore_muxer_drain,
  op_reelcore_muxer_end,
  op_reelcore_muxer_finish,
  op_reelcore_muxer_new,
  op_reelcore_muxer_refuse,
  op_reelcore_muxer_take,
  op_reelcore_muxer_write_audio,
  op_reelcore_muxer_write_video,
} from "ext:core/ops";
import { callSite, filePath, located, ownBytes } from "ext:webcodecs/support.js";

const {
  ObjectEntries,
  ObjectPrototypeIsPrototypeOf,
  PromisePrototypeThen,
  PromiseResolve,
  String,
  SymbolToStringTag,
  TypeError,
} = primordials;

const { URLPrototype } = core.loadExtScript("ext:deno_web/00_url.js");

/** The members of a decoder config that a container needs, with a copy of its description. */
function trackConfig(video, config, options) {
  const { colorSpace, description } = config;
  return {
    video,
    codec: `${config.codec}`,
    description: description === undefined ? null : ownBytes(description, []),
    codedWidth: config.codedWidth ?? null,
    codedHeight: config.codedHeight ?? null,
    displayAspectWidth: config.displayAspectWidth ?? null,
    displayAspectHeight: config.displayAspectHeight ?? null,
    primaries: colorSpace?.primaries ?? null,
    transfer: colorSpace?.transfer ?? null,
    matrix: colorSpace?.matrix ?? null,
    fullRange: colorSpace?.fullRange ?? null,
    rotation: config.rotation ?? null,
    flip: config.flip ?? null,
    framerate: options.framerate ?? null,
    alpha: options.alpha === true,
    sampleRate: config.sampleRate ?? null,
    numberOfChannels: config.numberOfChannels ?? null,
    language: options.language ?? null,
    name: options.name ?? null,
  };
}

/** A track to write: what `addVideoTrack()` and `addAudioTrack()` give. */
class MuxerTrack {
  #muxer;
  #index;
  #video;
  #options;

  constructor(muxer, index, video, config, options) {
    this.#muxer = muxer;
    this.#index = index;
    this.#video = video;
    this.#options = options;
    if (config !== undefined) this.#configure(config);
  }

  #configure(config) {
    const found = trackConfig(this.#video, config, this.#options);
    this.#muxer((handle) => {
      try {
        op_reelcore_muxer_configure(handle, this.#index, found);
      } catch (error) {
        // Nobody has this promise: the error is that of whatever comes next.
        op_reelcore_muxer_refuse(handle, error.message);
      }
    });
  }

  /**
   * Writes a chunk, in decoding order: an EncodedVideoChunk or EncodedAudioChunk, with the metadata that the encoder
   * gave, of which a decoderConfig holds from this chunk on. The promise is fulfilled when there is room for more.
   */
  write(chunk, metadata = { __proto__: null }) {
    const site = callSite();
    if (metadata?.decoderConfig !== undefined) this.#configure(metadata.decoderConfig);
    const write = this.#video ? op_reelcore_muxer_write_video : op_reelcore_muxer_write_audio;
    return located(this.#muxer((handle) => write(handle, this.#index, chunk)), site);
  }

  /** Says that no chunk follows: other tracks need not wait for this one. */
  end() {
    const site = callSite();
    return located(this.#muxer((handle) => op_reelcore_muxer_end(handle, this.#index)), site);
  }

  get [SymbolToStringTag]() {
    return "MuxerTrack";
  }
}

/**
 * Writes encoded chunks into a container.
 *
 * `format` is a container's name (`mp4`, `webm`, ...). `target` is a path, a file: URL or a WritableStream of bytes;
 * without one `finish()` gives the file as a Uint8Array. Options: `tags`, and for MP4 `fastStart` (default true),
 * `fragmented`, `fragmentDuration` (microseconds), for Matroska `live`.
 */
export class Muxer {
  #handle;
  #writer = null;
  #tail;
  /** What the next drain will have done. */
  #next = null;
  #tracks = 0;
  #memory = false;

  constructor(format, target = undefined, options = { __proto__: null }) {
    const settings = {
      tags: ObjectEntries(options.tags ?? {}),
      fastStart: options.fastStart ?? null,
      fragmented: options.fragmented === true,
      fragmentDuration: options.fragmentDuration ?? null,
      live: options.live === true,
      target: "file",
      path: "",
    };
    if (target === undefined || target === null) {
      settings.target = "memory";
      this.#memory = true;
    } else if (typeof target === "string" || ObjectPrototypeIsPrototypeOf(URLPrototype, target)) {
      settings.path = filePath(target);
    } else {
      // Here and not above: streams are long, and a program that has none starts without them.
      const { WritableStream } = core.loadExtScript("ext:deno_web/06_streams.js");
      if (!ObjectPrototypeIsPrototypeOf(WritableStream.prototype, target)) {
        throw new TypeError("Muxer: the target must be a path, a file: URL or a WritableStream");
      }
      settings.target = "stream";
      this.#writer = target.getWriter();
    }
    this.#handle = located(op_reelcore_muxer_new(String(format), settings), callSite());
    this.#tail = this.#handle;
    // Whoever awaits a method gets the error. Nothing has been written then: the stream is its owner's again.
    PromisePrototypeThen(this.#tail, undefined, () => this.#writer?.releaseLock());
  }

  #add(video, config, options) {
    const index = this.#tracks++;
    this.#call((handle) => op_reelcore_muxer_declare(handle));
    return new MuxerTrack((call) => this.#call(call), index, video, config, options);
  }

  /**
   * Adds a video track. `config` is a VideoDecoderConfig; without one the first chunk's metadata must have it, and what that
   * says is taken over `config`. Options: `framerate`, `alpha`, `language`, `name`.
   */
  addVideoTrack(config = undefined, options = { __proto__: null }) {
    return this.#add(true, config, options);
  }

  /** Adds an audio track, as `addVideoTrack()`; `config` is an AudioDecoderConfig. */
  addAudioTrack(config = undefined, options = { __proto__: null }) {
    return this.#add(false, config, options);
  }

  /** Queues a call, and gives a promise for all that is queued so far. */
  #call(call) {
    const queued = PromisePrototypeThen(this.#handle, call);
    // One drain carries out all calls that come before it begins.
    if (this.#next === null) {
      this.#next = PromisePrototypeThen(this.#tail, () => {
        this.#next = null;
        return this.#drain();
      });
      this.#tail = this.#next;
      PromisePrototypeThen(this.#tail, undefined, () => {});
    }
    const drained = this.#next;
    const done = PromisePrototypeThen(queued, () => drained);
    PromisePrototypeThen(done, undefined, () => {});
    return done;
  }

  async #drain() {
    const handle = await this.#handle;
    try {
      await op_reelcore_muxer_drain(handle);
    } catch (error) {
      // What the stream says to that is its own business.
      if (this.#writer !== null) PromisePrototypeThen(this.#writer.abort(error), undefined, () => {});
      throw error;
    }
    if (this.#writer === null) return;
    for (let piece = op_reelcore_muxer_take(handle); piece !== null; piece = op_reelcore_muxer_take(handle)) {
      // Not `ready`: with a high water mark of 0 a stream never says so, and takes what is written none the less.
      await this.#writer.write(piece);
    }
  }

  /** Completes the file. Gives its bytes if there is no target. */
  async finish() {
    const site = callSite();
    await located(this.#call((handle) => op_reelcore_muxer_finish(handle)), site);
    if (this.#writer !== null) await this.#writer.close();
    if (this.#memory) return op_reelcore_muxer_bytes(await PromiseResolve(this.#handle));
    return undefined;
  }

  get [SymbolToStringTag]() {
    return "Muxer";
  }
}
