// Request. https://fetch.spec.whatwg.org/#request-class

(function () {
const { core, primordials } = __bootstrap;
const { op_runtime_location } = core.ops;
const {
  ArrayPrototypeIncludes,
  ObjectAssign,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptor,
  ObjectKeys,
  ObjectPrototypeIsPrototypeOf,
  RegExpPrototypeTest,
  SafeRegExp,
  StringPrototypeToUpperCase,
  Symbol,
  SymbolFor,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");
const { AbortSignalPrototype, createDependentAbortSignal } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const { URL } = core.loadExtScript("ext:deno_web/00_url.js");
const { markNotSerializable } = core.loadExtScript("ext:deno_web/13_message_port.js");
const { ReadableStreamPrototype } = core.loadExtScript("ext:deno_web/06_streams.js");
const { createHeaders, fillHeaders, headerList } = core.loadExtScript("ext:reelcore_runtime/headers.js");
const { _body, _headers, extract, mixinBody, setBody } = core.loadExtScript("ext:reelcore_runtime/body.js");

const TOKEN = new SafeRegExp("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$");
// https://fetch.spec.whatwg.org/#forbidden-method
const FORBIDDEN_METHODS = ["CONNECT", "TRACE", "TRACK"];
// https://fetch.spec.whatwg.org/#cors-safelisted-method
const SAFELISTED_METHODS = ["GET", "HEAD", "POST"];
// https://fetch.spec.whatwg.org/#concept-method-normalize
const NORMALIZED_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];

const _request = Symbol("request");
const _signal = Symbol("signal");

/**
 * The members of RequestInit that say how the network is used: name, its values (null: any text), and the default. Requests
 * have them for whoever reads them: there is no network, and no header is forbidden.
 */
const SETTINGS = [
  ["cache", ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"], "default"],
  ["credentials", ["omit", "same-origin", "include"], "same-origin"],
  ["integrity", null, ""],
  ["mode", ["navigate", "same-origin", "no-cors", "cors"], "cors"],
  ["redirect", ["follow", "error", "manual"], "follow"],
  ["referrer", null, "about:client"],
  [
    "referrerPolicy",
    [
      "",
      "no-referrer",
      "no-referrer-when-downgrade",
      "same-origin",
      "origin",
      "strict-origin",
      "origin-when-cross-origin",
      "strict-origin-when-cross-origin",
      "unsafe-url",
    ],
    "",
  ],
];
for (let i = 0; i < SETTINGS.length; i++) {
  const { 0: name, 1: values } = SETTINGS[i];
  if (values !== null) webidl.converters[`RequestInit.${name}`] = webidl.createEnumConverter(`RequestInit.${name}`, values);
}

webidl.converters.RequestDuplex = webidl.createEnumConverter("RequestDuplex", ["half"]);
webidl.converters.RequestPriority = webidl.createEnumConverter("RequestPriority", ["high", "low", "auto"]);

/** https://fetch.spec.whatwg.org/#requestinit, as far as it means something without a network. */
function convertInit(V, prefix) {
  if (V === undefined || V === null) {
    return { __proto__: null };
  }
  if (webidl.type(V) !== "Object") {
    throw webidl.makeException(TypeError, "can not be converted to a dictionary", prefix, "Argument 2");
  }
  const init = { __proto__: null };
  const context = (name) => `'${name}' of 'RequestInit'`;
  const { body, headers, method, signal } = V;
  if (body !== undefined) init.body = body;
  if (headers !== undefined) init.headers = webidl.converters.HeadersInit(headers, prefix, context("headers"));
  if (method !== undefined) init.method = webidl.converters.ByteString(method, prefix, context("method"));
  if (signal !== undefined) {
    if (signal !== null && !ObjectPrototypeIsPrototypeOf(AbortSignalPrototype, signal)) {
      throw webidl.makeException(TypeError, "is not an AbortSignal", prefix, context("signal"));
    }
    init.signal = signal;
  }
  for (let i = 0; i < SETTINGS.length; i++) {
    const { 0: name, 1: values } = SETTINGS[i];
    const value = V[name];
    if (value === undefined) continue;
    const convert = webidl.converters[values === null ? "USVString" : `RequestInit.${name}`];
    init[name] = convert(value, prefix, context(name));
  }
  const { duplex, keepalive, priority, window } = V;
  if (duplex !== undefined) init.duplex = webidl.converters.RequestDuplex(duplex, prefix, context("duplex"));
  if (keepalive !== undefined) init.keepalive = webidl.converters.boolean(keepalive);
  if (priority !== undefined) webidl.converters.RequestPriority(priority, prefix, context("priority"));
  // 10. If init["window"] exists and is non-null, then throw a TypeError.
  if (window !== undefined && window !== null) throw new TypeError(`${prefix}: ${context("window")} can only be null`);
  // 13. If init is not empty, input's referrer and its policy are not taken over.
  if (ObjectKeys(init).length > 0) {
    init.referrer ??= "about:client";
    init.referrerPolicy ??= "";
  }
  return init;
}

/** Gives a new Request what `input` and `init` say: steps 5 to 42 of https://fetch.spec.whatwg.org/#dom-request */
function initializeRequest(object, input, init, prefix) {
  const from = ObjectPrototypeIsPrototypeOf(RequestPrototype, input) ? input : null;
  const text = from === null ? webidl.converters.USVString(input, prefix, "Argument 1") : null;
  init = convertInit(init, prefix);
  const request = { __proto__: null };
  if (from === null) {
    // 5. If input is a string: let parsedURL be the result of parsing it; a failure is a TypeError, and so are credentials.
    const url = new URL(text, op_runtime_location(false));
    if (url.username !== "" || url.password !== "") {
      throw new TypeError(`${prefix}: the URL "${url.href}" has credentials`);
    }
    request.url = url.href;
    request.method = "GET";
    request.keepalive = false;
    for (let i = 0; i < SETTINGS.length; i++) request[SETTINGS[i][0]] = SETTINGS[i][2];
  } else {
    // 6. Otherwise: request is input's request, and signal its signal.
    ObjectAssign(request, from[_request]);
    object[_signal] = from[_signal];
  }
  // 14. If init["referrer"] exists: the URL that it is, or none.
  if (init.referrer !== undefined && init.referrer !== "" && init.referrer !== "about:client") {
    init.referrer = new URL(init.referrer, op_runtime_location(false)).href;
  }
  // 15. to 23. The settings.
  for (let i = 0; i < SETTINGS.length; i++) {
    const { 0: name } = SETTINGS[i];
    if (init[name] !== undefined) request[name] = init[name];
  }
  if (init.mode === "navigate") {
    throw new TypeError(`${prefix}: the mode "navigate" is not a script's`);
  }
  // 21. If request's cache mode is "only-if-cached" and its mode is not "same-origin", then throw a TypeError.
  if (request.cache === "only-if-cached" && request.mode !== "same-origin") {
    throw new TypeError(`${prefix}: the cache mode "only-if-cached" needs the mode "same-origin"`);
  }
  // 24. If init["keepalive"] exists, then set request's keepalive to it.
  if (init.keepalive !== undefined) request.keepalive = init.keepalive;
  // 25. If init["method"] exists: it is a method that is not forbidden, and is normalized.
  if (init.method !== undefined) {
    const upper = StringPrototypeToUpperCase(init.method);
    if (!RegExpPrototypeTest(TOKEN, init.method) || ArrayPrototypeIncludes(FORBIDDEN_METHODS, upper)) {
      throw new TypeError(`${prefix}: "${init.method}" is not a method that requests may have`);
    }
    request.method = ArrayPrototypeIncludes(NORMALIZED_METHODS, upper) ? upper : init.method;
  }
  // 26. If init["signal"] exists, then set signal to it.
  if (init.signal !== undefined) object[_signal] = init.signal;
  object[_request] = request;
  // 31. to 33. The headers: init's, or else input's; in the mode "no-cors" a method that is not CORS-safelisted is a TypeError.
  if (request.mode === "no-cors" && !ArrayPrototypeIncludes(SAFELISTED_METHODS, request.method)) {
    throw new TypeError(`${prefix}: the mode "no-cors" has no method "${request.method}"`);
  }
  object[_headers] = createHeaders(init.headers === undefined && from !== null ? headerList(from[_headers]) : [], "request");
  if (init.headers !== undefined) fillHeaders(object[_headers], init.headers);
  // 34. Let inputBody be input's request's body if input is a Request object; otherwise null.
  const inputBody = from === null ? null : from[_body];
  // 35. If a body is there and request's method is `GET` or `HEAD`, then throw a TypeError.
  const hasBody = init.body !== undefined && init.body !== null;
  if ((hasBody || inputBody !== null) && (request.method === "GET" || request.method === "HEAD")) {
    throw new TypeError(`${prefix}: a ${request.method} request can not have a body`);
  }
  // 36., 37. If init["body"] exists and is non-null, extract it, and say its type.
  if (hasBody) {
    // 39. If initBody is non-null, its source is null (it is a stream) and init["duplex"] does not exist, then throw a TypeError.
    if (ObjectPrototypeIsPrototypeOf(ReadableStreamPrototype, init.body) && init.duplex === undefined) {
      throw new TypeError(`${prefix}: a body that is a stream needs 'duplex': "half"`);
    }
    setBody(object, extract(init.body, prefix));
  } else if (inputBody !== null) {
    // 41. If initBody is null and inputBody is non-null: if input is unusable, then throw a TypeError; its body is this's from here on.
    if (inputBody.unusable) {
      throw new TypeError(`${prefix}: the body of the request is used or locked`);
    }
    object[_body] = inputBody.take();
  }
}

class Request {
  /** `{ url, method, keepalive }` and the settings. */
  [_request] = null;
  [_headers] = null;
  [_body] = null;
  /** The signal that ends the request, or null. */
  [_signal] = null;
  #ownSignal = null;

  // https://fetch.spec.whatwg.org/#dom-request
  constructor(input, init = undefined) {
    if (input === webidl.brand) {
      this[webidl.brand] = webidl.brand;
      return;
    }
    const prefix = "Failed to construct 'Request'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    this[webidl.brand] = webidl.brand;
    initializeRequest(this, input, init, prefix);
  }

  get method() {
    webidl.assertBranded(this, RequestPrototype);
    return this[_request].method;
  }

  get url() {
    webidl.assertBranded(this, RequestPrototype);
    return this[_request].url;
  }

  get headers() {
    webidl.assertBranded(this, RequestPrototype);
    return this[_headers];
  }

  // https://fetch.spec.whatwg.org/#dom-request-destination: that of requests of scripts.
  get destination() {
    webidl.assertBranded(this, RequestPrototype);
    return "";
  }

  get isReloadNavigation() {
    webidl.assertBranded(this, RequestPrototype);
    return false;
  }

  get isHistoryNavigation() {
    webidl.assertBranded(this, RequestPrototype);
    return false;
  }

  get keepalive() {
    webidl.assertBranded(this, RequestPrototype);
    return this[_request].keepalive;
  }

  get duplex() {
    webidl.assertBranded(this, RequestPrototype);
    return "half";
  }

  // https://fetch.spec.whatwg.org/#dom-request-signal: one of its own, which follows that of init or input.
  get signal() {
    webidl.assertBranded(this, RequestPrototype);
    return this.#ownSignal ??= createDependentAbortSignal(this[_signal] === null ? [] : [this[_signal]], "Request.signal");
  }

  // https://fetch.spec.whatwg.org/#dom-request-clone
  clone() {
    webidl.assertBranded(this, RequestPrototype);
    // 1. If this is unusable, then throw a TypeError.
    if (this[_body] !== null && this[_body].unusable) {
      throw new TypeError("A request whose body is used or locked can not be cloned");
    }
    // 2. to 6. Clone the request; its signal follows this's.
    const clone = new Request(webidl.brand);
    clone[_request] = { ...this[_request] };
    clone[_headers] = createHeaders(headerList(this[_headers]), "request");
    clone[_body] = this[_body] === null ? null : this[_body].clone();
    clone[_signal] = this[_signal];
    return clone;
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, inspectOptions) {
    return inspect(
      createFilteredInspectProxy({
        object: this,
        evaluate: ObjectPrototypeIsPrototypeOf(RequestPrototype, this),
        keys: ["bodyUsed", "headers", "method", "redirect", "url"],
      }),
      inspectOptions,
    );
  }
}
for (let i = 0; i < SETTINGS.length; i++) {
  const { 0: name } = SETTINGS[i];
  const getter = {
    get [name]() {
      webidl.assertBranded(this, RequestPrototype);
      return this[_request][name];
    },
  };
  ObjectDefineProperty(Request.prototype, name, ObjectGetOwnPropertyDescriptor(getter, name));
}
webidl.configureInterface(Request);
const RequestPrototype = Request.prototype;
mixinBody(RequestPrototype);
markNotSerializable(RequestPrototype);

return { _request, _signal, initializeRequest, Request };
})();
