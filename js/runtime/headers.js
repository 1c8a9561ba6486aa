// Headers, after https://fetch.spec.whatwg.org/#headers-class

(function () {
const { core, primordials } = __bootstrap;
const {
  ArrayIsArray,
  ArrayPrototypePush,
  ArrayPrototypeSort,
  ObjectKeys,
  ObjectPrototypeIsPrototypeOf,
  RegExpPrototypeTest,
  SafeMap,
  SafeMapIterator,
  SafeRegExp,
  StringPrototypeReplace,
  StringPrototypeToLowerCase,
  Symbol,
  SymbolFor,
  SymbolIterator,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");

// https://fetch.spec.whatwg.org/#header-name: a token of RFC 9110.
const TOKEN = new SafeRegExp("^[!#$%&'*+\\-.^_`|~A-Za-z0-9]+$");
// https://fetch.spec.whatwg.org/#header-value: no NUL, LF or CR once normalized.
const BAD_VALUE = new SafeRegExp("[\\0\\r\\n]");
// https://fetch.spec.whatwg.org/#concept-header-value-normalize
const EDGE_WHITESPACE = new SafeRegExp("^[\\t\\n\\r ]+|[\\t\\n\\r ]+$", "g");

const _list = Symbol("header list");
const _guard = Symbol("guard");
const _sorted = Symbol("sorted and combined");
const _pairs = Symbol("pairs");

webidl.converters.HeadersInit = (V, prefix, context, opts) => {
  // (sequence<sequence<ByteString>> or record<ByteString, ByteString>)
  if (webidl.type(V) === "Object") {
    if (V[SymbolIterator] !== undefined && V[SymbolIterator] !== null) {
      return webidl.converters["sequence<sequence<ByteString>>"](V, prefix, context, opts);
    }
    return webidl.converters["record<ByteString, ByteString>"](V, prefix, context, opts);
  }
  throw webidl.makeException(
    TypeError,
    "can not be converted to sequence<sequence<ByteString>> or record<ByteString, ByteString>",
    prefix,
    context,
  );
};

// https://fetch.spec.whatwg.org/#headers-validate
function validate(headers, name, value) {
  // 1. If name is not a header name or value is not a header value, then throw a TypeError.
  if (!RegExpPrototypeTest(TOKEN, name)) {
    throw new TypeError(`Invalid header name: "${name}"`);
  }
  if (RegExpPrototypeTest(BAD_VALUE, value)) {
    throw new TypeError(`Invalid value of header "${name}"`);
  }
  // 2. If headers's guard is "immutable", then throw a TypeError.
  if (headers[_guard] === "immutable") {
    throw new TypeError("Headers are immutable");
  }
}

// https://fetch.spec.whatwg.org/#concept-headers-append
function appendHeader(headers, name, value) {
  // 1. Normalize value.
  value = StringPrototypeReplace(value, EDGE_WHITESPACE, "");
  // 2. If validating (name, value) for headers returns false, then return.
  validate(headers, name, value);
  // 4. Append (name, value) to headers's header list.
  ArrayPrototypePush(headers[_list], [StringPrototypeToLowerCase(name), value]);
  headers[_sorted] = null;
}

// https://fetch.spec.whatwg.org/#concept-headers-fill
function fillHeaders(headers, object) {
  // 1. If object is a sequence, then for each header of object:
  if (ArrayIsArray(object)) {
    for (let i = 0; i < object.length; i++) {
      const header = object[i];
      // 1.1. If header's size is not 2, then throw a TypeError.
      if (header.length !== 2) {
        throw new TypeError(`Invalid header: expected a pair, got ${header.length} items`);
      }
      // 1.2. Append (header[0], header[1]) to headers.
      appendHeader(headers, header[0], header[1]);
    }
    return;
  }
  // 2. Otherwise, object is a record, then for each key -> value of object, append (key, value) to headers.
  const keys = ObjectKeys(object);
  for (let i = 0; i < keys.length; i++) {
    appendHeader(headers, keys[i], object[keys[i]]);
  }
}

// https://fetch.spec.whatwg.org/#concept-header-list-get
function getHeader(list, name) {
  name = StringPrototypeToLowerCase(name);
  let result = null;
  for (let i = 0; i < list.length; i++) {
    if (list[i][0] === name) {
      result = result === null ? list[i][1] : `${result}, ${list[i][1]}`;
    }
  }
  return result;
}

// https://fetch.spec.whatwg.org/#concept-header-list-sort-and-combine
function sortAndCombine(list) {
  const combined = new SafeMap();
  const cookies = [];
  for (let i = 0; i < list.length; i++) {
    const { 0: name, 1: value } = list[i];
    if (name === "set-cookie") {
      ArrayPrototypePush(cookies, [name, value]);
    } else {
      combined.set(name, combined.has(name) ? `${combined.get(name)}, ${value}` : value);
    }
  }
  const headers = [];
  for (const { 0: name, 1: value } of new SafeMapIterator(combined)) {
    ArrayPrototypePush(headers, [name, value]);
  }
  for (let i = 0; i < cookies.length; i++) {
    ArrayPrototypePush(headers, cookies[i]);
  }
  // The sort is stable: the cookies keep their order.
  return ArrayPrototypeSort(headers, (a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);
}

class Headers {
  [_list] = [];
  [_guard] = "none";
  [_sorted] = null;

  // https://fetch.spec.whatwg.org/#dom-headers
  constructor(init = undefined) {
    if (init === webidl.brand) {
      this[webidl.brand] = webidl.brand;
      return;
    }
    if (init !== undefined) {
      init = webidl.converters.HeadersInit(init, "Failed to construct 'Headers'", "Argument 1");
    }
    this[webidl.brand] = webidl.brand;
    if (init !== undefined) {
      fillHeaders(this, init);
    }
  }

  // https://fetch.spec.whatwg.org/#dom-headers-append
  append(name, value) {
    webidl.assertBranded(this, HeadersPrototype);
    const prefix = "Failed to execute 'append' on 'Headers'";
    webidl.requiredArguments(arguments.length, 2, prefix);
    name = webidl.converters.ByteString(name, prefix, "Argument 1");
    value = webidl.converters.ByteString(value, prefix, "Argument 2");
    appendHeader(this, name, value);
  }

  // https://fetch.spec.whatwg.org/#dom-headers-delete
  delete(name) {
    webidl.assertBranded(this, HeadersPrototype);
    const prefix = "Failed to execute 'delete' on 'Headers'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    name = webidl.converters.ByteString(name, prefix, "Argument 1");
    // 1. If validating (name, ``) for this returns false, then return.
    validate(this, name, "");
    const lower = StringPrototypeToLowerCase(name);
    removeAll(this, lower, 0);
  }

  // https://fetch.spec.whatwg.org/#dom-headers-get
  get(name) {
    webidl.assertBranded(this, HeadersPrototype);
    return getHeader(this[_list], nameArgument("get", arguments));
  }

  // https://fetch.spec.whatwg.org/#dom-headers-getsetcookie
  getSetCookie() {
    webidl.assertBranded(this, HeadersPrototype);
    const values = [];
    const list = this[_list];
    for (let i = 0; i < list.length; i++) {
      if (list[i][0] === "set-cookie") {
        ArrayPrototypePush(values, list[i][1]);
      }
    }
    return values;
  }

  // https://fetch.spec.whatwg.org/#dom-headers-has
  has(name) {
    webidl.assertBranded(this, HeadersPrototype);
    return getHeader(this[_list], nameArgument("has", arguments)) !== null;
  }

  // https://fetch.spec.whatwg.org/#dom-headers-set
  set(name, value) {
    webidl.assertBranded(this, HeadersPrototype);
    const prefix = "Failed to execute 'set' on 'Headers'";
    webidl.requiredArguments(arguments.length, 2, prefix);
    name = webidl.converters.ByteString(name, prefix, "Argument 1");
    value = webidl.converters.ByteString(value, prefix, "Argument 2");
    // 1. Normalize value.
    value = StringPrototypeReplace(value, EDGE_WHITESPACE, "");
    // 2. If validating (name, value) for this returns false, then return.
    validate(this, name, value);
    // 4. Set (name, value) in this's header list: the first one is changed, the others go.
    const lower = StringPrototypeToLowerCase(name);
    const list = this[_list];
    this[_sorted] = null;
    for (let i = 0; i < list.length; i++) {
      if (list[i][0] === lower) {
        list[i] = [lower, value];
        removeAll(this, lower, i + 1);
        return;
      }
    }
    ArrayPrototypePush(list, [lower, value]);
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, inspectOptions) {
    if (!ObjectPrototypeIsPrototypeOf(HeadersPrototype, this)) {
      return inspect(createFilteredInspectProxy({ object: this, evaluate: false, keys: [] }), inspectOptions);
    }
    const plain = {};
    const pairs = this[_pairs];
    for (let i = 0; i < pairs.length; i++) {
      plain[pairs[i][0]] = pairs[i][1];
    }
    return `Headers ${inspect(plain, inspectOptions)}`;
  }

  /** The pairs that iteration sees; recomputed after a change, so that an iterator is live as Web IDL wants. */
  get [_pairs]() {
    return this[_sorted] ??= sortAndCombine(this[_list]);
  }
}

function nameArgument(method, args) {
  const prefix = `Failed to execute '${method}' on 'Headers'`;
  webidl.requiredArguments(args.length, 1, prefix);
  const name = webidl.converters.ByteString(args[0], prefix, "Argument 1");
  // 1. If name is not a header name, then throw a TypeError.
  if (!RegExpPrototypeTest(TOKEN, name)) {
    throw new TypeError(`${prefix}: invalid header name "${name}"`);
  }
  return name;
}

function removeAll(headers, lower, from) {
  const list = headers[_list];
  let kept = from;
  for (let i = from; i < list.length; i++) {
    if (list[i][0] !== lower) {
      list[kept++] = list[i];
    }
  }
  list.length = kept;
  headers[_sorted] = null;
}

webidl.mixinPairIterable("Headers", Headers, _pairs, 0, 1);
webidl.configureInterface(Headers);
const HeadersPrototype = Headers.prototype;

/** A Headers over `pairs` of [name, value], with the guard given ("none", "request", "response" or "immutable"). */
function createHeaders(pairs, guard) {
  const headers = new Headers(webidl.brand);
  for (let i = 0; i < pairs.length; i++) {
    appendHeader(headers, pairs[i][0], pairs[i][1]);
  }
  headers[_guard] = guard;
  return headers;
}

/** The header list as lower-case [name, value] pairs, in the order they were given. */
function headerList(headers) {
  return headers[_list];
}

return { createHeaders, fillHeaders, getHeader, headerList, Headers };
})();
