// Response and fetch. https://fetch.spec.whatwg.org/#response-class and https://fetch.spec.whatwg.org/#fetch-method
//
// The runtime has no network: fetch() reads file:, data: and blob: URLs, and whatever the embedder's URL mapper answers.

(function () {
const { core, primordials } = __bootstrap;
const { op_runtime_fetch, op_runtime_location } = core.ops;
const {
  ArrayPrototypeIncludes,
  JSONStringify,
  MathMax,
  MathMin,
  Number,
  ObjectPrototypeIsPrototypeOf,
  Promise,
  PromisePrototypeThen,
  RangeError,
  RegExpPrototypeExec,
  RegExpPrototypeTest,
  SafeArrayIterator,
  SafeRegExp,
  StringPrototypeStartsWith,
  Symbol,
  SymbolFor,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");
const { add: addAbort, remove: removeAbort } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const { blobFromObjectUrl } = core.loadExtScript("ext:deno_web/09_file.js");
const { markNotSerializable } = core.loadExtScript("ext:deno_web/13_message_port.js");
const { createHeaders, fillHeaders, getHeader, headerList, Headers } = core.loadExtScript(
  "ext:reelcore_runtime/headers.js",
);
const { _request, _signal, initializeRequest, Request } = core.loadExtScript(
  "ext:reelcore_runtime/request.js",
);
const { _body, _headers, Body, BytesSource, extract, mixinBody, ResourceSource, setBody } = core.loadExtScript(
  "ext:reelcore_runtime/body.js",
);

const REASON_PHRASE = new SafeRegExp("^[\\t \\x21-\\x7E\\x80-\\xFF]*$");
// https://fetch.spec.whatwg.org/#null-body-status
const NULL_BODY_STATUS = [101, 103, 204, 205, 304];
// https://fetch.spec.whatwg.org/#redirect-status
const REDIRECT_STATUS = [301, 302, 303, 307, 308];

const _response = Symbol("response");

webidl.converters.ResponseInit = webidl.createDictionaryConverter("ResponseInit", [
  { key: "headers", converter: webidl.converters.HeadersInit },
  {
    key: "status",
    converter: webidl.converters["unsigned short"],
    defaultValue: 200,
  },
  { key: "statusText", converter: webidl.converters.ByteString, defaultValue: "" },
]);

// https://fetch.spec.whatwg.org/#initialize-a-response
function initializeResponse(response, init, body) {
  // 1. If init["status"] is not in the range 200 to 599, inclusive, then throw a RangeError.
  if (init.status < 200 || init.status > 599) {
    throw new RangeError(`The status of a response must be from 200 to 599, got ${init.status}`);
  }
  // 2. If init["statusText"] does not match the reason-phrase token production, then throw a TypeError.
  if (!RegExpPrototypeTest(REASON_PHRASE, init.statusText)) {
    throw new TypeError(`Invalid status text: "${init.statusText}"`);
  }
  // 3. Set response's response's status to init["status"].
  response[_response].status = init.status;
  // 4. Set response's response's status message to init["statusText"].
  response[_response].statusText = init.statusText;
  // 5. If init["headers"] exists, then fill response's headers with init["headers"].
  if (init.headers !== undefined) {
    fillHeaders(response[_headers], init.headers);
  }
  // 6. If body is non-null, then:
  if (body !== null) {
    // 6.1. If response's status is a null body status, then throw a TypeError.
    if (ArrayPrototypeIncludes(NULL_BODY_STATUS, init.status)) {
      throw new TypeError(`A response with status ${init.status} can not have a body`);
    }
    // 6.2. Set response's body to body's body. 6.3. If body's type is non-null and the header list does not contain
    // `Content-Type`, then append it.
    setBody(response, body);
  }
}

class Response {
  [_response] = { type: "default", url: null, redirected: false, status: 200, statusText: "" };
  [_headers] = null;
  [_body] = null;

  // https://fetch.spec.whatwg.org/#dom-response
  constructor(body = null, init = undefined) {
    if (body === webidl.brand) {
      this[webidl.brand] = webidl.brand;
      return;
    }
    const prefix = "Failed to construct 'Response'";
    init = webidl.converters.ResponseInit(init, prefix, "Argument 2");
    this[webidl.brand] = webidl.brand;
    // 2. Set this's headers to a new Headers object whose guard is "response".
    this[_headers] = createHeaders([], "response");
    // 3. to 5. Extract the body, and initialize.
    const bodyWithType = body === null || body === undefined ? null : extract(body);
    initializeResponse(this, init, bodyWithType);
  }

  // https://fetch.spec.whatwg.org/#dom-response-error
  static error() {
    const response = new Response(webidl.brand);
    response[_response] = { type: "error", url: null, redirected: false, status: 0, statusText: "" };
    response[_headers] = createHeaders([], "immutable");
    return response;
  }

  // https://fetch.spec.whatwg.org/#dom-response-redirect
  static redirect(url, status = 302) {
    const prefix = "Failed to execute 'redirect' on 'Response'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    url = webidl.converters.USVString(url, prefix, "Argument 1");
    status = webidl.converters["unsigned short"](status, prefix, "Argument 2");
    // 1. and 2. Parse url; a failure is a TypeError.
    const location = new URL(url, op_runtime_location(false)).href;
    // 3. If status is not a redirect status, then throw a RangeError.
    if (!ArrayPrototypeIncludes(REDIRECT_STATUS, status)) {
      throw new RangeError(`${prefix}: ${status} is not a redirect status`);
    }
    const response = new Response(webidl.brand);
    response[_response].status = status;
    response[_headers] = createHeaders([["location", location]], "immutable");
    return response;
  }

  // https://fetch.spec.whatwg.org/#dom-response-json
  static json(data, init = undefined) {
    const prefix = "Failed to execute 'json' on 'Response'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    init = webidl.converters.ResponseInit(init, prefix, "Argument 2");
    // 1. Let bytes be the result of running serialize a JavaScript value to JSON bytes on data.
    const text = JSONStringify(data);
    if (text === undefined) {
      throw new TypeError(`${prefix}: the value has no JSON form`);
    }
    const response = new Response(webidl.brand);
    response[_headers] = createHeaders([], "response");
    initializeResponse(response, init, {
      body: new Body(null, new BytesSource(core.encode(text))),
      type: "application/json",
    });
    return response;
  }

  get type() {
    webidl.assertBranded(this, ResponsePrototype);
    return this[_response].type;
  }

  // https://fetch.spec.whatwg.org/#dom-response-url: the URL without its fragment, or the empty string.
  get url() {
    webidl.assertBranded(this, ResponsePrototype);
    const url = this[_response].url;
    if (url === null) {
      return "";
    }
    const parsed = new URL(url);
    parsed.hash = "";
    return parsed.href;
  }

  get redirected() {
    webidl.assertBranded(this, ResponsePrototype);
    return this[_response].redirected;
  }

  get status() {
    webidl.assertBranded(this, ResponsePrototype);
    return this[_response].status;
  }

  get ok() {
    webidl.assertBranded(this, ResponsePrototype);
    return this[_response].status >= 200 && this[_response].status <= 299;
  }

  get statusText() {
    webidl.assertBranded(this, ResponsePrototype);
    return this[_response].statusText;
  }

  get headers() {
    webidl.assertBranded(this, ResponsePrototype);
    return this[_headers];
  }

  // https://fetch.spec.whatwg.org/#dom-response-clone
  clone() {
    webidl.assertBranded(this, ResponsePrototype);
    // 1. If this is unusable, then throw a TypeError.
    if (this[_body] !== null && this[_body].unusable) {
      throw new TypeError("A response whose body is used or locked can not be cloned");
    }
    // 2. and 3. Clone the response, and give it headers with this's guard.
    const clone = new Response(webidl.brand);
    clone[_response] = { ...this[_response] };
    clone[_headers] = createHeaders(headerList(this[_headers]), this[_response].guard ?? "response");
    clone[_body] = this[_body] === null ? null : this[_body].clone();
    return clone;
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, inspectOptions) {
    return inspect(
      createFilteredInspectProxy({
        object: this,
        evaluate: ObjectPrototypeIsPrototypeOf(ResponsePrototype, this),
        keys: ["body", "bodyUsed", "headers", "ok", "redirected", "status", "statusText", "url"],
      }),
      inspectOptions,
    );
  }
}
webidl.configureInterface(Response);
const ResponsePrototype = Response.prototype;
mixinBody(ResponsePrototype);
markNotSerializable(ResponsePrototype);
markNotSerializable(Headers.prototype);

/** A Response that fetch() made: its headers are immutable, its URL is known. */
function createFetched(url, status, statusText, headers, body) {
  const response = new Response(webidl.brand);
  response[_response] = { type: "basic", url, redirected: false, status, statusText, guard: "immutable" };
  response[_headers] = createHeaders(headers, "immutable");
  response[_body] = body;
  return response;
}

// https://fetch.spec.whatwg.org/#simple-range-header-value, with white space allowed
const RANGE = new SafeRegExp("^bytes[\\t ]*=[\\t ]*([0-9]*)[\\t ]*-[\\t ]*([0-9]*)$");

/** The first and the last byte that `range` asks of `length` bytes; null where it is malformed or they are not there. */
function byteRange(range, length) {
  const match = RegExpPrototypeExec(RANGE, range);
  if (match === null || (match[1] === "" && match[2] === "")) {
    return null;
  }
  let first = match[1] === "" ? null : Number(match[1]);
  let last = match[2] === "" ? null : Number(match[2]);
  if (first === null) {
    // So many at the end.
    first = MathMax(length - last, 0);
    last = length - 1;
  } else if (last !== null && first > last) {
    return null;
  }
  last = last === null ? length - 1 : MathMin(last, length - 1);
  return first > last ? null : [first, last];
}

// https://fetch.spec.whatwg.org/#scheme-fetch: blob
async function fetchBlob(url, method, range) {
  // 2. If request's method is not `GET` or blobURLEntry is null, then return a network error.
  if (method !== "GET") {
    throw new TypeError(`Failed to fetch "${url}": ${method} is not supported of blob: URLs, only GET`);
  }
  const blob = blobFromObjectUrl(url);
  if (blob === null) {
    throw new TypeError(`Failed to fetch "${url}": no such blob URL`);
  }
  const type = blob.type === "" ? [] : [["content-type", blob.type]];
  // 8. If request's header list does not contain `Range`: all of it.
  if (range === null) {
    return createFetched(url, 200, "OK", [["content-length", `${blob.size}`], ...new SafeArrayIterator(type)], new Body(blob.stream(), null));
  }
  // 9. Otherwise the part, or a network error.
  const part = byteRange(range, blob.size);
  if (part === null) {
    throw new TypeError(`Failed to fetch "${url}": the range "${range}" is not one of its ${blob.size} bytes`);
  }
  const { 0: first, 1: last } = part;
  const headers = [
    ["content-length", `${last - first + 1}`],
    ["content-range", `bytes ${first}-${last}/${blob.size}`],
    ...new SafeArrayIterator(type),
  ];
  const body = new Body(blob.slice(first, last + 1, blob.type).stream(), null);
  return createFetched(url, 206, "Partial Content", headers, body);
}

/** What `opened`, the promise of the op, gives; rejected with the signal's reason as soon as it is aborted. */
function untilAborted(opened, signal) {
  if (signal === null) {
    return opened;
  }
  return new Promise((resolve, reject) => {
    let aborted = false;
    const onAbort = () => {
      aborted = true;
      core.unrefOpPromise(opened);
      reject(signal.reason);
    };
    signal[addAbort](onAbort);
    PromisePrototypeThen(opened, (answer) => {
      signal[removeAbort](onAbort);
      if (aborted && answer.rid !== null) {
        core.tryClose(answer.rid);
      }
      resolve(answer);
    }, (error) => {
      signal[removeAbort](onAbort);
      reject(error);
    });
  });
}

// https://fetch.spec.whatwg.org/#dom-global-fetch
async function fetch(input, init = undefined) {
  const prefix = "Failed to execute 'fetch'";
  webidl.requiredArguments(arguments.length, 1, prefix);
  // 2. Let requestObject be the result of invoking the initial value of Request as constructor.
  const request = new Request(webidl.brand);
  initializeRequest(request, input, init, prefix);
  const { method, url } = request[_request];
  const signal = request[_signal];
  const headers = headerList(request[_headers]);
  // 4. If requestObject's signal is aborted, then reject with its reason.
  signal?.throwIfAborted();
  if (method !== "GET" && method !== "HEAD") {
    throw new TypeError(`Failed to fetch "${url}": ${method} is not supported, only GET and HEAD`);
  }
  if (StringPrototypeStartsWith(url, "blob:")) {
    return fetchBlob(url, method, getHeader(headers, "range"));
  }

  const opened = op_runtime_fetch(url, method === "HEAD", getHeader(headers, "range"));
  const answer = await untilAborted(opened, signal);
  if (signal?.aborted) {
    if (answer.rid !== null) {
      core.tryClose(answer.rid);
    }
    throw signal.reason;
  }
  const body = answer.rid === null ? null : new Body(null, new ResourceSource(answer.rid, signal));
  return createFetched(url, answer.status, answer.statusText, answer.headers, body);
}

return { _response, fetch, Response };
})();
