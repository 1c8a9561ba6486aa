// Types of `Reelcore`, the namespace of js/reelcore.js and js/muxer.js, beside those of generated/webcodecs.d.ts. Times are microseconds.

declare namespace Reelcore {
  /** A path, a file: URL, or bytes. Files are read as needed; of a stream the last 64 MiB are kept. */
  type DemuxerSource = string | URL | Blob | AllowSharedBufferSource | ReadableStream<ArrayBufferView>;

  interface DemuxerOptions {
    /** Buffers whose memory is taken over instead of copied. They are detached. */
    transfer?: ArrayBuffer[];
  }

  interface DemuxerInfo {
    /** The container's name: "mp4", "webm", ... */
    container: string;
    /** Microseconds, or null where it is unknown. */
    duration: number | null;
    /** Texts by name: title, artist, ... */
    tags: Record<string, string>;
  }

  interface Encryption {
    /** "cenc", "cbcs", ... */
    readonly scheme: string | null;
    /** 32 hexadecimal digits. */
    readonly defaultKeyId: string | null;
    /** The codec string of what is encrypted. */
    readonly codec: string | null;
    /** Protection system specific headers: of MP4 whole `pssh` boxes, of Matroska and WebM the bare ContentEncKeyID. */
    readonly pssh: readonly Uint8Array[];
  }

  interface TrackBase {
    /** The place in `tracks`. */
    readonly index: number;
    /** The container's own number. */
    readonly id: number;
    /** The codec string: that of WebCodecs, or that of RFC 6381 where WebCodecs has none ("ac-3"). Null where there is neither. */
    readonly codec: string | null;
    readonly language: string | null;
    /** A name for people, or null where the container gives none. */
    readonly name: string | null;
    /** Microseconds, or null where it is unknown. */
    readonly duration: number | null;
    /** The number of packets, or null where it is unknown. */
    readonly samples: number | null;
    /** How the packets are encrypted, or null in clear. */
    readonly encryption: Encryption | null;
  }

  interface VideoTrack extends TrackBase {
    readonly type: "video";
    /** With `displayAspectWidth` and `displayAspectHeight` only where the container says them, and not the stream alone. */
    readonly decoderConfig: VideoDecoderConfig | null;
  }

  interface AudioTrack extends TrackBase {
    readonly type: "audio";
    /** Of a codec that WebCodecs does not name, such as "ac-3", `configure()` refuses it: `isConfigSupported()` tells. */
    readonly decoderConfig: AudioDecoderConfig | null;
  }

  interface OtherTrack extends TrackBase {
    readonly type: "other";
    readonly decoderConfig: null;
  }

  type Track = VideoTrack | AudioTrack | OtherTrack;

  interface ChunksOptions {
    /** Begins where `seek()` to this time would; by default at the first packet, or where `seek()` was last. */
    start?: number;
  }

  interface Packet<Chunk, Config> {
    chunk: Chunk;
    /** `decoderConfig` is null where there is no codec string, or the packets are encrypted. */
    metadata: { decoderConfig?: Config | null };
  }

  /** Reads tracks and packets out of a container. */
  class Demuxer {
    constructor(source: DemuxerSource, options?: DemuxerOptions);
    /** The tracks, in the container's order. */
    readonly tracks: Promise<readonly Track[]>;
    readonly info: Promise<DemuxerInfo>;
    /**
     * Moves to the last key packet at or before a time, or the first one; gives its time in `track`, by default the first of video,
     * else of audio, or null where there is none. Chunks of sound begin before it, by what a decoder needs.
     */
    seek(time: number, track?: Track | number): Promise<number | null>;
    /**
     * The packets of a track in decode order. Of chunks whose pictures an edit list leaves out VideoDecoder gives none; their times
     * may be those of others. They are all for the track's `decoderConfig`: where that changes in the
     * middle of the track, a NotSupportedError ends them, and `packets()` goes on.
     */
    chunks(track: VideoTrack, options?: ChunksOptions): AsyncGenerator<EncodedVideoChunk, void, void>;
    chunks(track: AudioTrack, options?: ChunksOptions): AsyncGenerator<EncodedAudioChunk, void, void>;
    chunks(
      track: Track | number,
      options?: ChunksOptions,
    ): AsyncGenerator<EncodedVideoChunk | EncodedAudioChunk, void, void>;
    /** As `chunks()`, with the decoder config beside the first chunk and beside each from which another holds. */
    packets(
      track: VideoTrack,
      options?: ChunksOptions,
    ): AsyncGenerator<Packet<EncodedVideoChunk, VideoDecoderConfig>, void, void>;
    packets(
      track: AudioTrack,
      options?: ChunksOptions,
    ): AsyncGenerator<Packet<EncodedAudioChunk, AudioDecoderConfig>, void, void>;
    packets(
      track: Track | number,
      options?: ChunksOptions,
    ): AsyncGenerator<
      Packet<EncodedVideoChunk, VideoDecoderConfig> | Packet<EncodedAudioChunk, AudioDecoderConfig>,
      void,
      void
    >;
    /** Lets go of the source at once. What waits, and iterations that have begun, end with an AbortError. */
    close(): void;
    [Symbol.dispose](): void;
    readonly [Symbol.toStringTag]: string;
  }

  type MuxerFormat =
    | "mp4"
    | "fmp4"
    | "webm"
    | "matroska"
    | "ogg"
    | "wav"
    | "adts"
    | "flac"
    | "mp3"
    | "ivf"
    | "mpegts";

  interface MuxerOptions {
    /** Texts by name: title, artist, ... */
    tags?: Record<string, string>;
    /** MP4: the index comes first. The default is true. */
    fastStart?: boolean;
    /** MP4: fragments. */
    fragmented?: boolean;
    /** MP4: fragments of at least so many microseconds; a second by default. */
    fragmentDuration?: number;
    /** Matroska: no lengths and no index. */
    live?: boolean;
  }

  interface TrackOptions {
    /** Of pictures: frames a second. */
    framerate?: number;
    /** Of pictures: chunks have alpha beside them, which WebM and Matroska keep. By default the first chunk tells. */
    alpha?: boolean;
    /** Of ISO 639-2, as "deu". MP4, Matroska and WebM keep other forms, such as "en-US"; elsewhere they are left out. */
    language?: string;
    name?: string;
  }

  interface MuxerTrack<Chunk, Metadata> {
    /**
     * Writes a chunk, in decoding order. Fulfilled when there is room for more. `metadata.decoderConfig` holds from it on: of the
     * first chunk over what the track was added with.
     */
    write(chunk: Chunk, metadata?: Metadata): Promise<void>;
    /** No chunk follows: other tracks need not wait. */
    end(): Promise<void>;
    readonly [Symbol.toStringTag]: string;
  }

  type MuxerVideoTrack = MuxerTrack<EncodedVideoChunk, EncodedVideoChunkMetadata>;
  type MuxerAudioTrack = MuxerTrack<EncodedAudioChunk, EncodedAudioChunkMetadata>;

  /** Writes encoded chunks into a container: a file, a stream, or memory where there is no target. */
  class Muxer {
    constructor(
      format: MuxerFormat,
      target?: string | URL | WritableStream<Uint8Array> | null,
      options?: MuxerOptions,
    );
    /** Without a config the first chunk's metadata must have it. */
    addVideoTrack(config?: VideoDecoderConfig, options?: TrackOptions): MuxerVideoTrack;
    addAudioTrack(config?: AudioDecoderConfig, options?: TrackOptions): MuxerAudioTrack;
    /** Completes the file. Gives its bytes if there is no target. */
    finish(): Promise<Uint8Array | undefined>;
    readonly [Symbol.toStringTag]: string;
  }

  /** What the process has done so far. */
  interface Counters {
    /** Video frames that are alive. */
    frames_alive: number;
    /** Bytes that buffer pools hold. */
    pool_bytes: number;
    /** Copies of pixels or samples between CPU buffers, and the bytes that they wrote. */
    cpu_copies: number;
    cpu_copy_bytes: number;
    /** Transfers from CPU memory to a GPU. */
    uploads: number;
    upload_bytes: number;
    /** Transfers from a GPU to CPU memory. */
    downloads: number;
    download_bytes: number;
    /** Times a worker thread was woken for a codec. */
    worker_wakeups: number;
    /** Chunks that a second worker decoded while the first one decoded those before them. */
    parallel_inputs: number;
  }

  function counters(): Counters;

  /** What frames hold on a device. */
  interface GPUMemory {
    /** Textures of frames, in use or idle, and their bytes. */
    textures: number;
    texture_bytes: number;
    /** Those that wait for reuse. */
    idle_textures: number;
    idle_bytes: number;
    /** Textures made, and textures taken from the pool, so far. */
    created: number;
    reused: number;
    /** Buffers for read-back, in use or idle. */
    buffers: number;
    buffer_bytes: number;
    /** Objects that wgpu knows, of all devices and with those of the script. */
    wgpu_textures: number;
    wgpu_views: number;
    wgpu_buffers: number;
    wgpu_bind_groups: number;
    wgpu_command_buffers: number;
    /** Bytes that the device's allocator has handed out, where the backend counts them. */
    allocated_bytes?: number;
  }

  function gpuMemory(device: GPUDevice): GPUMemory;

  interface ScaleOptions {
    /** Pixels. */
    width: number;
    height: number;
  }

  /** The visible part of a frame at another size: planar YUV, without alpha. Both frames are the caller's to close. */
  function scale(frame: VideoFrame, options: ScaleOptions): Promise<VideoFrame>;
}
