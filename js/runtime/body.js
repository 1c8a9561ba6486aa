// Bodies of responses. https://fetch.spec.whatwg.org/#bodies and https://fetch.spec.whatwg.org/#body-mixin

(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayBufferIsView,
  ArrayBufferPrototypeSlice,
  ArrayBufferPrototypeGetByteLength,
  DataViewPrototypeGetBuffer,
  DataViewPrototypeGetByteLength,
  DataViewPrototypeGetByteOffset,
  FunctionPrototypeCall,
  SafeFinalizationRegistry,
  JSONParse,
  ObjectDefineProperties,
  ObjectPrototypeIsPrototypeOf,
  PromiseReject,
  PromisePrototypeThen,
  Symbol,
  TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetByteOffset,
  TypedArrayPrototypeGetSymbolToStringTag,
  TypeError,
  Uint8Array,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const streams = core.loadExtScript("ext:deno_web/06_streams.js");
const { Blob, BlobPrototype } = core.loadExtScript("ext:deno_web/09_file.js");
const { URLSearchParamsPrototype } = core.loadExtScript("ext:deno_web/00_url.js");
const { add: addAbort, remove: removeAbort } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const mimesniff = core.loadExtScript("ext:deno_web/01_mimesniff.js");
const { fillHeaders, getHeader, headerList } = core.loadExtScript("ext:reelcore_runtime/headers.js");

/** Bytes read from a file for one pull of a stream. */
const CHUNK_SIZE = 64 * 1024;

const { pipeThrough } = streams.ReadableStream.prototype;

const _body = Symbol("body");
const _headers = Symbol("headers");

/** The source of a body whose bytes are in memory. They are never written to once they are here. */
class BytesSource {
  #bytes;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  async bytes() {
    // A copy: the script owns what it gets, and a clone of the body may still read these.
    return copyBytes(this.#bytes);
  }

  stream() {
    const bytes = this.#bytes;
    return new streams.ReadableStream({
      type: "bytes",
      start(controller) {
        if (TypedArrayPrototypeGetByteLength(bytes) > 0) {
          // A copy: enqueue() takes the buffer away.
          controller.enqueue(copyBytes(bytes));
        }
        controller.close();
      },
    });
  }

  clone() {
    return this;
  }
}

/** Closes the resource of a body that nobody read to its end. */
const abandoned = new SafeFinalizationRegistry((rid) => core.tryClose(rid));

/** The source of a body that is read from a resource: a file, or bytes of the embedder. */
class ResourceSource {
  #rid;
  #signal;

  constructor(rid, signal) {
    this.#rid = rid;
    this.#signal = signal;
    abandoned.register(this, rid, this);
  }

  #close() {
    abandoned.unregister(this);
    core.tryClose(this.#rid);
  }

  /** Reads to the end in one go. */
  async bytes() {
    const signal = this.#signal;
    // Ends a read that waits.
    const onAbort = () => this.#close();
    try {
      signal?.throwIfAborted();
      signal?.[addAbort](onAbort);
      const bytes = await core.readAll(this.#rid);
      signal?.throwIfAborted();
      return bytes;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.[removeAbort](onAbort);
      this.#close();
    }
  }

  /**
   * A byte stream with a high water mark of zero: it reads one chunk when its reader asks for one, and never ahead.
   */
  stream() {
    // `this` stays reachable from the stream, so that the resource lives as long as it does.
    const source = this;
    const rid = this.#rid;
    const signal = this.#signal;
    let ended = false;
    let onAbort = null;
    const end = () => {
      ended = true;
      if (onAbort !== null) {
        signal[removeAbort](onAbort);
      }
      source.#close();
    };
    return new streams.ReadableStream({
      type: "bytes",
      start(controller) {
        if (signal === null) {
          return;
        }
        onAbort = () => {
          end();
          controller.error(signal.reason);
        };
        if (signal.aborted) {
          onAbort();
        } else {
          signal[addAbort](onAbort);
        }
      },
      async pull(controller) {
        // Without a reader's own memory each chunk has a buffer of its own, no longer than itself: some scripts take the
        // buffer. The streams' automatic allocation would hand out all of what it allocates.
        const request = controller.byobRequest;
        const view = request === null ? new Uint8Array(CHUNK_SIZE) : request.view;
        let count;
        try {
          count = await core.read(rid, view);
        } catch (error) {
          if (!ended) {
            end();
            throw error;
          }
          return;
        }
        if (ended) {
          return;
        }
        if (count === 0) {
          end();
          controller.close();
        }
        if (request !== null) {
          request.respond(count);
        } else if (count > 0) {
          const whole = count === CHUNK_SIZE;
          controller.enqueue(whole ? view : new Uint8Array(ArrayBufferPrototypeSlice(TypedArrayPrototypeGetBuffer(view), 0, count)));
        }
      },
      cancel: end,
    });
  }

  clone() {
    return null;
  }
}

/**
 * https://fetch.spec.whatwg.org/#concept-body: a stream, or a source that makes one when a script asks for it (most
 * never do: they take all the bytes at once).
 */
class Body {
  #stream;
  #source;
  #used = false;

  constructor(stream, source) {
    this.#stream = stream;
    this.#source = source;
  }

  get stream() {
    if (this.#stream === null) {
      if (this.#used) {
        // The bytes are gone: what a script sees is a stream that was read to its end.
        this.#stream = new BytesSource(new Uint8Array(0)).stream();
        streams.readableStreamDisturb(this.#stream);
      } else {
        this.#stream = this.#source.stream();
      }
      this.#source = null;
    }
    return this.#stream;
  }

  // https://fetch.spec.whatwg.org/#body-unusable
  get unusable() {
    return this.#stream === null
      ? this.#used
      : streams.isReadableStreamDisturbed(this.#stream) || streams.isReadableStreamLocked(this.#stream);
  }

  get used() {
    return this.#stream === null ? this.#used : streams.isReadableStreamDisturbed(this.#stream);
  }

  /** https://fetch.spec.whatwg.org/#body-fully-read: the bytes; the body is used afterwards. */
  consume() {
    if (this.#stream === null) {
      this.#used = true;
      const source = this.#source;
      this.#source = null;
      return source.bytes();
    }
    return streams.readableStreamCollectIntoUint8Array(this.#stream);
  }

  /** A body of what is left of this one, which is used afterwards. */
  take() {
    const taken = new Body(this.#stream, this.#source);
    if (this.#stream !== null) {
      // https://streams.spec.whatwg.org/#readablestream-create-a-proxy
      const proxy = new streams.TransformStream();
      taken.#stream = FunctionPrototypeCall(pipeThrough, this.#stream, proxy);
    } else {
      this.#used = true;
      this.#source = null;
    }
    return taken;
  }

  // https://fetch.spec.whatwg.org/#concept-body-clone
  clone() {
    const source = this.#stream === null ? this.#source.clone() : null;
    if (source !== null) {
      return new Body(null, source);
    }
    const { 0: ours, 1: theirs } = streams.readableStreamTee(this.stream, true);
    this.#stream = ours;
    return new Body(theirs, null);
  }
}

/** A copy of the bytes of a BufferSource. */
function copyBytes(source) {
  if (!ArrayBufferIsView(source)) {
    return new Uint8Array(ArrayBufferPrototypeSlice(source, 0, ArrayBufferPrototypeGetByteLength(source)));
  }
  const dataView = TypedArrayPrototypeGetSymbolToStringTag(source) === undefined;
  const buffer = dataView ? DataViewPrototypeGetBuffer(source) : TypedArrayPrototypeGetBuffer(source);
  const offset = dataView ? DataViewPrototypeGetByteOffset(source) : TypedArrayPrototypeGetByteOffset(source);
  const length = dataView ? DataViewPrototypeGetByteLength(source) : TypedArrayPrototypeGetByteLength(source);
  return new Uint8Array(ArrayBufferPrototypeSlice(buffer, offset, offset + length));
}

/**
 * https://fetch.spec.whatwg.org/#concept-bodyinit-extract, for every BodyInit but FormData, which this runtime lacks.
 * Returns the Body and the MIME type it implies, or null.
 */
function extract(object, prefix = "Failed to construct 'Response'") {
  // 10. Switch on object: ReadableStream.
  if (ObjectPrototypeIsPrototypeOf(streams.ReadableStreamPrototype, object)) {
    if (streams.isReadableStreamLocked(object) || streams.isReadableStreamDisturbed(object)) {
      throw new TypeError("The stream of a body must be neither locked nor disturbed");
    }
    return { body: new Body(object, null), type: null };
  }
  // Blob: its stream, so that its parts are not gathered before somebody wants them.
  if (ObjectPrototypeIsPrototypeOf(BlobPrototype, object)) {
    return { body: new Body(object.stream(), null), type: object.type === "" ? null : object.type };
  }
  // Byte sequence (BufferSource): a copy, since a script may change it later.
  if (core.isAnyArrayBuffer(object) || ArrayBufferIsView(object)) {
    return { body: new Body(null, new BytesSource(copyBytes(object))), type: null };
  }
  if (ObjectPrototypeIsPrototypeOf(URLSearchParamsPrototype, object)) {
    return {
      body: new Body(null, new BytesSource(core.encode(object.toString()))),
      type: "application/x-www-form-urlencoded;charset=UTF-8",
    };
  }
  // Scalar value string.
  const text = webidl.converters.USVString(object, prefix, "Argument 1");
  return { body: new Body(null, new BytesSource(core.encode(text))), type: "text/plain;charset=UTF-8" };
}

// https://fetch.spec.whatwg.org/#concept-body-consume-body
function consumeBody(object, convert) {
  const body = object[_body];
  // 1. If object is unusable, then return a promise rejected with a TypeError.
  if (body !== null && body.unusable) {
    return PromiseReject(new TypeError("Body already consumed or locked"));
  }
  // 5. If object's body is null, then run successSteps given an empty byte sequence.
  const bytes = body === null ? (async () => new Uint8Array(0))() : body.consume();
  return PromisePrototypeThen(bytes, convert);
}

/** Gives a Request or a Response what `extract()` found: its body, and its type unless its headers say one. */
function setBody(object, { body, type }) {
  object[_body] = body;
  if (type !== null && getHeader(headerList(object[_headers]), "content-type") === null) {
    fillHeaders(object[_headers], [["content-type", type]]);
  }
}

// https://fetch.spec.whatwg.org/#concept-body-mime-type
function mimeType(object) {
  const value = getHeader(headerList(object[_headers]), "content-type");
  return value === null ? null : mimesniff.parseMimeType(value);
}

/** Gives `prototype` the members of the Body mixin; its objects have a Body or null at `_body`, and Headers at `_headers`. */
function mixinBody(prototype) {
  const method = (name, convert) => ({
    __proto__: null,
    // A method that returns a promise rejects where another would throw.
    value: {
      [name]() {
        try {
          webidl.assertBranded(this, prototype);
        } catch (error) {
          return PromiseReject(error);
        }
        return consumeBody(this, (bytes) => convert(bytes, this));
      },
    }[name],
    writable: true,
    enumerable: true,
    configurable: true,
  });
  ObjectDefineProperties(prototype, {
    body: {
      __proto__: null,
      get() {
        webidl.assertBranded(this, prototype);
        return this[_body] === null ? null : this[_body].stream;
      },
      enumerable: true,
      configurable: true,
    },
    bodyUsed: {
      __proto__: null,
      get() {
        webidl.assertBranded(this, prototype);
        return this[_body] !== null && this[_body].used;
      },
      enumerable: true,
      configurable: true,
    },
    arrayBuffer: method("arrayBuffer", (bytes) => {
      const buffer = TypedArrayPrototypeGetBuffer(bytes);
      const length = TypedArrayPrototypeGetByteLength(bytes);
      return ArrayBufferPrototypeGetByteLength(buffer) === length ? buffer : ArrayBufferPrototypeSlice(buffer, 0, length);
    }),
    blob: method("blob", (bytes, object) => {
      const type = mimeType(object);
      return new Blob([bytes], { type: type === null ? "" : mimesniff.serializeMimeType(type) });
    }),
    bytes: method("bytes", (bytes) => bytes),
    // https://infra.spec.whatwg.org/#parse-json-bytes-to-a-javascript-value
    json: method("json", (bytes) => JSONParse(core.decode(bytes))),
    text: method("text", (bytes) => core.decode(bytes)),
  });
}

return { _body, _headers, Body, BytesSource, extract, mixinBody, ResourceSource, setBody };
})();
