// WebAssembly.compileStreaming() and instantiateStreaming(), as far as they are the host's.
// https://webassembly.github.io/spec/web-api/#streaming-modules

(function () {
const { core, primordials } = __bootstrap;
const { op_wasm_streaming_feed, op_wasm_streaming_set_url } = core.ops;
const { ObjectPrototypeIsPrototypeOf, RegExpPrototypeTest, SafeRegExp, TypeError } = primordials;
const { _response, Response } = core.loadExtScript("ext:reelcore_runtime/fetch.js");
const { getHeader, headerList } = core.loadExtScript("ext:reelcore_runtime/headers.js");
const { _body, _headers } = core.loadExtScript("ext:reelcore_runtime/body.js");

const ResponsePrototype = Response.prototype;
// No parameters, not even empty ones; white space around is HTTP's.
const MIME_TYPE = new SafeRegExp("^[\\t\\n\\r ]*application/wasm[\\t\\n\\r ]*$", "i");

/**
 * https://webassembly.github.io/spec/web-api/#compile-a-potential-webassembly-response, from the value on that V8 has waited
 * for. `rid` is where V8 takes the module's bytes, and what it is told of an error becomes the rejection.
 */
async function compilePotentialResponse(value, rid) {
  try {
    // 2.1. Let response be unwrappedSource's response.
    if (!ObjectPrototypeIsPrototypeOf(ResponsePrototype, value)) {
      throw new TypeError("WebAssembly is streamed from a Response or a promise of one");
    }
    const { status, url } = value[_response];
    // 2.2. Let mimeType be the result of getting `Content-Type` from response's header list. 2.3., 2.4. Its white space goes.
    const mimeType = getHeader(headerList(value[_headers]), "content-type");
    // 2.5. If mimeType is not a byte-case-insensitive match for `application/wasm`, reject with a TypeError.
    if (mimeType === null || !RegExpPrototypeTest(MIME_TYPE, mimeType)) {
      const found = mimeType === null ? "none" : `"${mimeType}"`;
      throw new TypeError(`WebAssembly has the MIME type "application/wasm", the response has ${found}`);
    }
    // 2.6. If response is not CORS-same-origin: there is no network. 2.7. If response's status is not an ok status, reject with
    // a TypeError.
    if (status < 200 || status > 299) {
      throw new TypeError(`The response has the status ${status}, expected one from 200 to 299`);
    }
    if (url !== null) op_wasm_streaming_set_url(rid, url);
    // 2.8. Consume response's body as an ArrayBuffer, and compile it.
    const body = value[_body];
    if (body !== null) {
      if (body.unusable) throw new TypeError("Body already consumed or locked");
      op_wasm_streaming_feed(rid, await body.consume());
    }
  } catch (error) {
    core.abortWasmStreaming(rid, error);
    return;
  }
  // The end of the module.
  core.close(rid);
}

return { compilePotentialResponse };
})();
