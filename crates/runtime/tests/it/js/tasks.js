import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

await test("timers run by time, then in the order they were made, microtasks in between", async () => {
  const order = [];
  setTimeout(() => order.push("20"), 20);
  setTimeout(() => {
    order.push("1a");
    queueMicrotask(() => order.push("micro"));
    Promise.resolve().then(() => order.push("promise"));
  }, 1);
  setTimeout((x) => order.push(x), 1, "1b");
  const cancelled = setTimeout(() => order.push("never"), 1);
  clearTimeout(cancelled);
  queueMicrotask(() => order.push("first"));
  await wait(40);
  equal(order, ["first", "1a", "micro", "promise", "1b", "20"]);
});

await test("an interval repeats until it is cleared", async () => {
  let count = 0;
  await new Promise((resolve) => {
    const id = setInterval(() => {
      if (++count === 3) {
        clearInterval(id);
        resolve();
      }
    }, 1);
  });
  await wait(10);
  equal(count, 3);
});

await test("structuredClone copies graphs and transfers buffers", () => {
  const source = { map: new Map([[1, new Set(["a"])]]), date: new Date(5), bytes: new Uint8Array([1, 2]) };
  source.self = source;
  const clone = structuredClone(source);
  assert(clone !== source && clone.self === clone);
  equal([clone.map.get(1).has("a"), clone.date.getTime(), [...clone.bytes]], [true, 5, [1, 2]]);
  const buffer = new ArrayBuffer(8);
  const moved = structuredClone(buffer, { transfer: [buffer] });
  equal([buffer.byteLength, buffer.detached, moved.byteLength], [0, true, 8]);
  throws(() => structuredClone(() => {}), "DataCloneError");
  const error = structuredClone(new DOMException("x", "AbortError"));
  equal([error.name, error.message, error instanceof DOMException], ["AbortError", "x", true]);
});

await test("a message channel delivers in order, and moves buffers and ports", async () => {
  const { port1, port2 } = new MessageChannel();
  const inner = new MessageChannel();
  const received = [];
  const done = new Promise((resolve) => {
    port2.onmessage = (event) => {
      received.push(event.data.n);
      if (event.ports.length > 0) {
        event.ports[0].postMessage(event.data.buffer.byteLength);
        resolve();
      }
    };
  });
  const answer = new Promise((resolve) => inner.port1.onmessage = (event) => resolve(event.data));
  const buffer = new ArrayBuffer(16);
  port1.postMessage({ n: 1 });
  port1.postMessage({ n: 2, buffer }, [inner.port2, buffer]);
  await done;
  equal([received, await answer, buffer.byteLength], [[1, 2], 16, 0]);
  inner.port1.close();
  port1.close();
  port2.close();
});

await test("aborting rejects with the reason, and a timeout with TimeoutError", async () => {
  const controller = new AbortController();
  const reason = new Error("stop");
  let heard;
  controller.signal.addEventListener("abort", (event) => heard = event.target.reason);
  controller.abort(reason);
  equal([heard === reason, controller.signal.aborted], [true, true]);
  throws(() => controller.signal.throwIfAborted(), "Error", "stop");
  const timed = AbortSignal.timeout(5);
  await new Promise((resolve) => timed.onabort = resolve);
  equal(timed.reason.name, "TimeoutError");
});

await test("gzip, deflate and raw deflate come back as they were", async () => {
  const bytes = new Uint8Array(300_000).map((_, i) => (i * i) >> 7);
  for (const format of ["gzip", "deflate", "deflate-raw"]) {
    const packed = await new Response(
      new Blob([bytes]).stream().pipeThrough(new CompressionStream(format)),
    ).arrayBuffer();
    assert(packed.byteLength < bytes.length, format);
    const unpacked = await new Response(
      new Blob([packed]).stream().pipeThrough(new DecompressionStream(format)),
    ).bytes();
    equal(unpacked.length, bytes.length);
    assert(unpacked.every((byte, i) => byte === bytes[i]), format);
  }
  await rejects(
    new Response(new Blob(["junk"]).stream().pipeThrough(new DecompressionStream("gzip"))).bytes(),
    "TypeError",
  );
});

await test("a stream pulls only what its reader asks for", async () => {
  let pulled = 0;
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(pulled++);
    },
  }, new CountQueuingStrategy({ highWaterMark: 2 }));
  await wait(1);
  equal(pulled, 2);
  const reader = stream.getReader();
  equal([(await reader.read()).value, (await reader.read()).value], [0, 1]);
  await wait(1);
  equal(pulled, 4);
  const upper = new TransformStream({
    transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()),
  });
  const text = ReadableStream.from(["a", "b"]).pipeThrough(upper);
  equal(await Array.fromAsync(text), ["A", "B"]);
});

await test("text is encoded and decoded, also across chunks", async () => {
  const bytes = new TextEncoder().encode("é𝄞");
  equal([...bytes], [0xc3, 0xa9, 0xf0, 0x9d, 0x84, 0x9e]);
  equal(new TextDecoder("utf-16le").decode(new Uint8Array([0x41, 0, 0x3d, 0xd8, 0, 0xde])), "A😀");
  throws(() => new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([0xff])), "TypeError");
  const chunks = ReadableStream.from([bytes.subarray(0, 1), bytes.subarray(1, 4), bytes.subarray(4)]);
  equal((await Array.fromAsync(chunks.pipeThrough(new TextDecoderStream()))).join(""), "é𝄞");
});

await test("blobs slice, stream and are read", async () => {
  const blob = new Blob(["ab", new Uint8Array([99, 100]), new Blob(["e"])], { type: "Text/Plain" });
  equal([blob.size, blob.type, await blob.text(), await blob.slice(1, -1).text()], [5, "text/plain", "abcde", "bcd"]);
  const file = new File([blob], "name.txt", { lastModified: 7 });
  equal([file.name, file.size, file.lastModified, file instanceof Blob], ["name.txt", 5, 7, true]);
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(blob);
  });
  equal(url, "data:text/plain;base64,YWJjZGU=");
});

await test("an error event is dispatched for what a timer, a microtask or reportError throws", async () => {
  const seen = [];
  const listener = (event) => {
    event.preventDefault();
    seen.push([event.error.message, event.message.includes(event.error.message), event.filename === import.meta.url, event.lineno > 0]);
  };
  addEventListener("error", listener);
  setTimeout(() => {
    throw new Error("timer");
  });
  queueMicrotask(() => {
    throw new Error("microtask");
  });
  const target = new EventTarget();
  target.addEventListener("x", () => {
    throw new Error("listener");
  });
  target.dispatchEvent(new Event("x"));
  reportError(new Error("reported"));
  await wait(5);
  removeEventListener("error", listener);
  equal(seen, ["listener", "reported", "microtask", "timer"].map((name) => [name, true, true, true]));
});

await test("onerror has five arguments, and true means handled", async () => {
  let args;
  self.onerror = (...all) => {
    args = all;
    return true;
  };
  reportError(new TypeError("five"));
  self.onerror = null;
  equal([args.length, args[4].message], [5, "five"]);
});

await test("an unhandled rejection is an event, and its late handler another", async () => {
  const seen = [];
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    seen.push([event.type, event.reason.message, event.promise === promise]);
  }, { once: true });
  addEventListener("rejectionhandled", (event) => seen.push([event.type, event.reason.message]), { once: true });
  const promise = Promise.reject(new Error("later"));
  await wait(5);
  promise.catch(() => {});
  await wait(5);
  equal(seen, [["unhandledrejection", "later", true], ["rejectionhandled", "later"]]);
});

await test("a broadcast channel reaches the others of its name", async () => {
  const [a, b] = [new BroadcastChannel("x"), new BroadcastChannel("x")];
  const message = new Promise((resolve) => b.onmessage = (event) => resolve(event.data));
  a.postMessage({ n: 1 });
  equal(await message, { n: 1 });
  a.close();
  b.close();
});

finish();
