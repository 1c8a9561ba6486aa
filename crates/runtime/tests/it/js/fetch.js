import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const here = new URL(".", import.meta.url);

await test("a relative URL starts from the script", async () => {
  const response = await fetch("./data.json");
  equal([response.ok, response.status, response.statusText, response.type, response.redirected], [true, 200, "OK", "basic", false]);
  equal(response.url, new URL("data.json", here).href);
  equal(response.headers.get("Content-Type"), "application/json");
  equal(response.headers.get("content-length"), String((await Deno.stat(new URL("data.json", here))).size));
  equal([response.bodyUsed, await response.json(), response.bodyUsed], [false, { answer: 42 }, true]);
  await rejects(response.text(), "TypeError", "consumed");
});

await test("each way to read a body gives the same bytes", async () => {
  const text = await (await fetch("data.json")).text();
  const bytes = await (await fetch("data.json")).bytes();
  const buffer = await (await fetch("data.json")).arrayBuffer();
  const blob = await (await fetch("data.json")).blob();
  const streamed = await Array.fromAsync((await fetch("data.json")).body);
  assert(bytes instanceof Uint8Array && buffer instanceof ArrayBuffer);
  equal(new TextDecoder().decode(bytes), text);
  equal(new TextDecoder().decode(buffer), text);
  equal([await blob.text(), blob.type], [text, "application/json"]);
  equal(await new Blob(streamed).text(), text);
});

await test("a missing file, a directory, the network and an unknown scheme are clear TypeErrors", async () => {
  await rejects(fetch("./missing.bin"), "TypeError", "no such file");
  await rejects(fetch("."), "TypeError", "directory");
  await rejects(fetch("https://example.com/x"), "TypeError", "network access is not part of this runtime");
  await rejects(fetch("gopher://example.com/x"), "TypeError", '"gopher:" URLs are not supported');
  await rejects(fetch("http://"), "TypeError");
  await rejects(fetch(), "TypeError", "1 argument");
  await rejects(fetch("data.json", { method: "POST" }), "TypeError", "POST");
});

await test("data: URLs", async () => {
  const response = await fetch("data:text/x;charset=utf-8;base64,w6k=");
  equal([response.headers.get("content-type"), await response.text()], ["text/x;charset=utf-8", "é"]);
  equal(await (await fetch("data:,a%20b")).text(), "a b");
  await rejects(fetch("data:no comma"), "TypeError");
});

await test("blob: URLs until they are revoked", async () => {
  const url = URL.createObjectURL(new Blob(["abc"], { type: "x/y" }));
  const response = await fetch(url);
  equal([response.headers.get("content-type"), await response.text()], ["x/y", "abc"]);
  URL.revokeObjectURL(url);
  await rejects(fetch(url), "TypeError", "no such blob URL");
});

await test("a range of a blob is a 206, and what is none of its bytes, or no GET, a network error", async () => {
  const url = URL.createObjectURL(new Blob(["0123", "456789"], { type: "x/y" }));
  for (
    const [range, first, text] of [
      ["bytes=2-5", 2, "2345"],
      ["bytes=7-", 7, "789"],
      ["bytes=-3", 7, "789"],
      ["bytes=-30", 0, "0123456789"],
      ["bytes=8-100", 8, "89"],
      ["bytes=0-18446744073709551615", 0, "0123456789"],
      ["bytes \t= 1 - 1", 1, "1"],
    ]
  ) {
    const response = await fetch(url, { headers: { range } });
    const { status, statusText, headers } = response;
    equal([status, statusText, headers.get("content-type")], [206, "Partial Content", "x/y"], range);
    equal(headers.get("content-range"), `bytes ${first}-${first + text.length - 1}/10`, range);
    equal([headers.get("content-length"), await response.text()], [String(text.length), text], range);
  }
  for (const range of ["bytes=10-", "bytes=-0", "bytes=5-2", "bytes=-", "bytes", "bytes=0-1,3-4", "items=0-1", "bytes=+1-2", ""]) {
    await rejects(fetch(url, { headers: { range } }), "TypeError", `the range "${range}"`);
  }
  await rejects(fetch(url, { method: "HEAD" }), "TypeError", "HEAD is not supported of blob: URLs");
  const empty = URL.createObjectURL(new Blob());
  equal((await fetch(empty)).status, 200);
  await rejects(fetch(empty, { headers: { range: "bytes=0-" } }), "TypeError", "0 bytes");
});

await test("a data: URL has no parts", async () => {
  const response = await fetch("data:,abcdef", { headers: { range: "bytes=1-2" } });
  equal([response.status, response.headers.get("content-range"), await response.text()], [200, null, "abcdef"]);
  const head = await fetch("data:,abcdef", { method: "HEAD" });
  equal([head.status, head.headers.get("content-type"), head.body], [200, "text/plain;charset=US-ASCII", null]);
});

await test("an empty file has a length and no part", async () => {
  const path = await Deno.makeTempFile();
  try {
    const response = await fetch(`file://${path}`);
    equal([response.status, response.headers.get("content-length"), await response.text()], [200, "0", ""]);
    equal((await fetch(`file://${path}`, { headers: { range: "bytes=0-" } })).status, 416);
  } finally {
    await Deno.remove(path);
  }
});

await test("a range is a 206 with just its bytes", async () => {
  const whole = await (await fetch("data.json")).bytes();
  const part = await fetch("data.json", { headers: { Range: "bytes=2-5" } });
  equal([part.status, part.headers.get("content-range"), part.headers.get("content-length")], [206, `bytes 2-5/${whole.length}`, "4"]);
  equal([...await part.bytes()], [...whole.subarray(2, 6)]);
  const tail = await fetch("data.json", { headers: [["range", "bytes=-3"]] });
  equal(await new Blob(await Array.fromAsync(tail.body)).arrayBuffer(), whole.slice(-3).buffer);
  const beyond = await fetch("data.json", { headers: { range: "bytes=9999-" } });
  equal([beyond.status, beyond.ok, beyond.body], [416, false, null]);
});

await test("HEAD has the headers and no body", async () => {
  const response = await fetch("data.json", { method: "head" });
  assert(Number(response.headers.get("content-length")) > 0);
  equal([response.body, await response.text()], [null, ""]);
});

await test("a body streams with back-pressure, whatever the size of the file", async () => {
  const path = await Deno.makeTempFile();
  try {
    // Much more than what V8 lets garbage grow to before it collects it.
    const size = 256 * 1024 * 1024;
    const file = await Deno.open(path, { write: true });
    await file.truncate(size);
    file.close();
    const response = await fetch(new URL(`file://${path}`));
    const before = Deno.memoryUsage();
    let total = 0;
    let peak = 0;
    let chunks = 0;
    for await (const chunk of response.body) {
      total += chunk.byteLength;
      assert(chunk.byteLength <= 1024 * 1024, "a chunk is small");
      if (++chunks % 64 === 0) {
        const { rss, external } = Deno.memoryUsage();
        peak = Math.max(peak, rss - before.rss, external - before.external);
      }
    }
    equal(total, size);
    assert(peak < size / 4, `reading took ${peak} bytes of memory`);
    // Nobody reads: nothing is read ahead.
    const idle = await fetch(`file://${path}`);
    const stream = idle.body;
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert(Deno.memoryUsage().external - before.external < size / 4);
    await stream.cancel();
    equal(idle.bodyUsed, true);
  } finally {
    await Deno.remove(path);
  }
});

await test("aborting before, and while the body streams", async () => {
  await rejects(fetch("data.json", { signal: AbortSignal.abort() }), "AbortError");
  const opening = new AbortController();
  const opened = fetch("data.json", { signal: opening.signal });
  opening.abort(new Error("never mind"));
  await rejects(opened, "Error", "never mind");
  const controller = new AbortController();
  const response = await fetch("data.json", { signal: controller.signal });
  const reader = response.body.getReader();
  controller.abort(new Error("enough"));
  await rejects(reader.read(), "Error", "enough");
  const late = new AbortController();
  const unread = await fetch("data.json", { signal: late.signal });
  late.abort();
  await rejects(unread.text(), "AbortError");
});

await test("the headers of a fetched response do not change", async () => {
  const response = await fetch("data.json");
  throws(() => response.headers.set("x", "y"), "TypeError", "immutable");
  const clone = response.clone();
  throws(() => clone.headers.delete("content-type"), "TypeError", "immutable");
  equal(await response.text(), await clone.text());
});

await test("Response: bodies and their types", async () => {
  equal(new Response().body, null);
  equal(new Response("x").headers.get("content-type"), "text/plain;charset=UTF-8");
  equal(new Response(new URLSearchParams("a=b c")).headers.get("content-type"), "application/x-www-form-urlencoded;charset=UTF-8");
  equal(new Response(new Blob(["x"], { type: "a/b" })).headers.get("content-type"), "a/b");
  equal(new Response("x", { headers: { "content-type": "c/d" } }).headers.get("content-type"), "c/d");
  const view = new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2);
  const response = new Response(view);
  view.setUint8(0, 99);
  equal([...await response.bytes()], [2, 3]);
  const stream = ReadableStream.from([new Uint8Array([1])]);
  equal([...await new Response(stream).bytes()], [1]);
  throws(() => new Response(stream), "TypeError");
  await rejects(new Response(ReadableStream.from(["text"])).text(), "TypeError");
});

await test("Response: status, redirect, error and json", async () => {
  equal([new Response(null, { status: 204 }).ok, new Response(null, { status: 404, statusText: "No" }).statusText], [true, "No"]);
  throws(() => new Response(null, { status: 199 }), "RangeError");
  throws(() => new Response("x", { status: 204 }), "TypeError");
  throws(() => new Response(null, { statusText: "a\nb" }), "TypeError");
  equal([Response.error().type, Response.error().status], ["error", 0]);
  equal(Response.redirect("x", 301).headers.get("location"), new URL("x", here).href);
  throws(() => Response.redirect("x", 200), "RangeError");
  const json = Response.json({ a: [1] }, { status: 201 });
  equal([json.status, json.headers.get("content-type"), await json.json()], [201, "application/json", { a: [1] }]);
  throws(() => Response.json(undefined), "TypeError");
  await rejects(new Response("{").json(), "SyntaxError");
});

await test("Response: a used, locked or cloned body", async () => {
  const response = new Response("abc");
  const clone = response.clone();
  equal([await response.text(), await clone.text()], ["abc", "abc"]);
  throws(() => response.clone(), "TypeError");
  await rejects(response.arrayBuffer(), "TypeError");
  const locked = new Response("abc");
  locked.body.getReader();
  await rejects(locked.text(), "TypeError");
  equal(locked.bodyUsed, false);
  const used = new Response("abc");
  await used.text();
  equal([used.body.locked, used.bodyUsed], [false, true]);
  await rejects(Response.prototype.text.call({}), "TypeError");
  equal(Response.prototype.json.name, "json");
});

await test("Headers: names are case-insensitive, values combine, iteration is sorted", () => {
  const headers = new Headers([["B", " 2 "], ["a", "1"], ["b", "3"]]);
  headers.append("Set-Cookie", "x=1");
  headers.append("set-cookie", "y=2");
  equal([...headers], [["a", "1"], ["b", "2, 3"], ["set-cookie", "x=1"], ["set-cookie", "y=2"]]);
  equal([headers.get("B"), headers.has("C"), headers.get("c"), headers.getSetCookie()], ["2, 3", false, null, ["x=1", "y=2"]]);
  headers.set("b", "4");
  headers.delete("A");
  equal([...headers.keys()], ["b", "set-cookie", "set-cookie"]);
  equal([...new Headers({ X: "1" }).values()], ["1"]);
  const copied = [];
  new Headers(headers).forEach((value, name) => copied.push(name + value));
  equal(copied, ["b4", "set-cookiex=1", "set-cookiey=2"]);
});

await test("Headers: bad names and values are TypeErrors", () => {
  for (const init of [[["a"]], [["a b", "c"]], { "é": "x" }, { a: "\u0100" }, { a: "x\ny" }, 1, null]) {
    throws(() => new Headers(init), "TypeError");
  }
  throws(() => new Headers().append("a"), "TypeError", "2 arguments");
  throws(() => Headers.prototype.get.call({}, "a"), "TypeError");
});

await test("a chunk of a body has a buffer of its own, as long as it is", async () => {
  const path = await Deno.makeTempFile();
  try {
    for (const length of [10, 65_536, 65_537, 200_000]) {
      await Deno.writeFile(path, Uint8Array.from({ length }, (_, i) => i % 251));
      const chunks = await Array.fromAsync((await fetch(new URL(`file://${path}`))).body);
      for (const chunk of chunks) equal([chunk.byteOffset, chunk.buffer.byteLength], [0, chunk.byteLength]);
      const bytes = await new Blob(chunks).bytes();
      equal(bytes.length, length);
      assert(bytes.every((byte, i) => byte === i % 251), "other bytes");
      // A reader with memory of its own has it filled.
      const reader = (await fetch(new URL(`file://${path}`))).body.getReader({ mode: "byob" });
      const { value } = await reader.read(new Uint8Array(new ArrayBuffer(16), 4, 6));
      equal([[...value], value.byteOffset, value.buffer.byteLength], [[0, 1, 2, 3, 4, 5], 4, 16]);
      await reader.cancel();
    }
  } finally {
    await Deno.remove(path);
  }
});

await test("a Request is what fetch() is asked for", async () => {
  const request = new Request("data.json", { headers: { "X-A": "b" }, cache: "no-store" });
  equal([request.method, request.url, request.headers.get("x-a")], ["GET", new URL("data.json", here).href, "b"]);
  equal([request.cache, request.mode, request.redirect, request.signal.aborted, request.body], ["no-store", "cors", "follow", false, null]);
  equal(await (await fetch(request)).json(), { answer: 42 });
  equal((await fetch(request, { method: "head" })).body, null);
  const again = new Request(request, { headers: [["x-c", "d"]] });
  equal([again.cache, [...again.headers]], ["no-store", [["x-c", "d"]]]);
  const part = await fetch(new Request(URL.createObjectURL(new Blob(["0123456789"])), { headers: { range: "bytes=2-4" } }));
  equal([part.status, await part.text()], [206, "234"]);
  const wrongs = [
    { method: "TRACE" },
    { method: "a b" },
    { mode: "navigate" },
    { mode: "no-cors", method: "PUT" },
    { cache: "never" },
    { cache: "only-if-cached" },
    { priority: "urgent" },
    { duplex: "full" },
    { window: 1 },
    { referrer: "http://[bad" },
    { body: "x" },
    { signal: 1 },
  ];
  for (const wrong of wrongs) throws(() => new Request("data.json", wrong), "TypeError");
  equal(new Request("data.json", { cache: "only-if-cached", mode: "same-origin", keepalive: true }).keepalive, true);
  const told = new Request("data.json", { referrer: "https://web.test/a b", referrerPolicy: "origin" });
  equal([told.referrer, new Request(told).referrerPolicy], ["https://web.test/a%20b", "origin"]);
  const fresh = new Request(told, { method: "GET" });
  equal([fresh.referrer, fresh.referrerPolicy], ["about:client", ""]);
  throws(() => new Request("http://user:secret@example.com/"), "TypeError", "credentials");
});

await test("a Request has the body and the signal that it was given", async () => {
  const stop = new AbortController();
  const post = new Request("data:,", { method: "post", body: "abc", signal: stop.signal });
  equal([post.method, post.headers.get("content-type")], ["POST", "text/plain;charset=UTF-8"]);
  const copy = post.clone();
  const next = new Request(post);
  equal([post.bodyUsed, await next.text(), await copy.text()], [true, "abc", "abc"]);
  throws(() => new Request(post), "TypeError", "used");
  await rejects(fetch(new Request("data:,", { method: "POST" })), "TypeError", "POST");
  throws(() => new Request("data:,", { method: "PUT", body: new Blob(["de"]).stream() }), "TypeError", "duplex");
  const streamed = new Request("data:,", { method: "PUT", body: new Blob(["de", "f"]).stream(), duplex: "half" });
  equal(await new Request(streamed).text(), "def");
  stop.abort(new RangeError("enough"));
  equal([post.signal.aborted, next.signal.aborted, copy.signal.reason.message], [true, true, "enough"]);
  await rejects(fetch(new Request("data:,x", { signal: stop.signal })), "RangeError", "enough");
});

await test("WebAssembly is compiled from responses, and of nothing else", async () => {
  // (module (func (export "f") (result i32) i32.const 42))
  const module = Uint8Array.fromBase64("AGFzbQEAAAABBQFgAAF/AwIBAAcFAQFmAAAKBgEEAEEqCw==");
  const response = (type = "application/wasm", init = {}) => new Response(module, { headers: type === null ? {} : { "content-type": type }, ...init });
  for (const source of [response(), Promise.resolve(response(" Application/WASM ")), fetch("data:application/wasm;base64," + module.toBase64())]) {
    const { instance } = await WebAssembly.instantiateStreaming(source);
    equal(instance.exports.f(), 42);
  }
  assert(await WebAssembly.compileStreaming(response()) instanceof WebAssembly.Module);
  for (const [wrong, part] of [[1, "Response"], [response("text/plain"), "text/plain"], [response("application/wasm;"), "MIME type"], [response(null), "none"],
    [response("application/wasm", { status: 404 }), "404"], [Response.error(), ""]]) {
    await rejects(WebAssembly.compileStreaming(wrong), "TypeError", part);
  }
  const used = response();
  await used.bytes();
  await rejects(WebAssembly.compileStreaming(used), "TypeError", "consumed");
  await rejects(WebAssembly.compileStreaming(new Response("no module", { headers: { "content-type": "application/wasm" } })), "CompileError");
  await rejects(WebAssembly.compileStreaming(Promise.reject(new RangeError("none"))), "RangeError", "none");
});

finish();
