import { assert, equal, finish, rejects, test, throws } from "./harness.js";

const dir = await Deno.makeTempDir();
const at = (name) => `${dir}/${name}`;

await test("files are written, appended to and read, as bytes and text", async () => {
  await Deno.writeFile(at("a"), new Uint8Array([1, 2]));
  await Deno.writeFile(at("a"), new Uint8Array([3]), { append: true });
  equal([...await Deno.readFile(at("a"))], [1, 2, 3]);
  Deno.writeTextFileSync(at("t"), "é");
  equal([await Deno.readTextFile(at("t")), Deno.readTextFileSync(new URL(`file://${at("t")}`))], ["é", "é"]);
  await Deno.writeFile(at("s"), new Blob(["stream"]).stream());
  equal(await Deno.readTextFile(at("s")), "stream");
});

await test("an open file reads, seeks, writes, truncates and closes", async () => {
  const file = await Deno.open(at("f"), { read: true, write: true, create: true });
  equal(await file.write(new TextEncoder().encode("hello")), 5);
  equal(await file.seek(1, Deno.SeekMode.Start), 1);
  const buffer = new Uint8Array(2);
  equal([await file.read(buffer), new TextDecoder().decode(buffer)], [2, "el"]);
  equal(await file.seek(-1, Deno.SeekMode.End), 4);
  equal([await file.read(buffer), await file.read(buffer)], [1, null]);
  await file.truncate(2);
  equal((await file.stat()).size, 2);
  file.close();
  throws(() => file.readSync(buffer), "BadResource");
});

await test("using closes a file, and its streams carry it", async () => {
  let kept;
  {
    using file = await Deno.open(at("f"));
    kept = file;
    equal(await new Response(file.readable).text(), "he");
  }
  throws(() => kept.statSync(), "BadResource");
  const out = await Deno.open(at("w"), { write: true, create: true });
  await new Blob(["x".repeat(100_000)]).stream().pipeTo(out.writable);
  equal((await Deno.stat(at("w"))).size, 100_000);
});

await test("directories are made, read and removed", async () => {
  await Deno.mkdir(at("d/e"), { recursive: true });
  Deno.writeTextFileSync(at("d/x"), "");
  const entries = [];
  for await (const entry of Deno.readDir(at("d"))) {
    entries.push([entry.name, entry.isFile, entry.isDirectory]);
  }
  equal(entries.sort(), [["e", false, true], ["x", true, false]]);
  await rejects(Deno.remove(at("d")), "Error");
  await Deno.remove(at("d"), { recursive: true });
  await rejects(Deno.stat(at("d")), "NotFound");
});

await test("errors have the classes of Deno.errors and name the path", async () => {
  const error = await rejects(Deno.readFile(at("none")), "NotFound", "none");
  assert(error instanceof Deno.errors.NotFound && error instanceof Error);
  await rejects(Deno.open(at("f"), { write: true, createNew: true }), "AlreadyExists");
  throws(() => Deno.mkdirSync(at("f")), "AlreadyExists");
});

await test("the process: arguments, directory, environment, memory, streams", () => {
  equal(Deno.args, ["--flag", "two words"]);
  throws(() => Deno.args.push("x"), "TypeError");
  assert(Deno.cwd().startsWith("/"));
  equal([Deno.env.get("REELCORE_TEST"), Deno.env.get("REELCORE_NO"), Deno.env.has("REELCORE_TEST"), Deno.env.get("a=b")], ["1", undefined, true, undefined]);
  equal(Deno.env.toObject().REELCORE_TEST, "1");
  const { rss, heapTotal, heapUsed, external } = Deno.memoryUsage();
  assert(rss > heapUsed && heapTotal >= heapUsed && heapUsed > 0 && external >= 0);
  equal([Deno.stdout.isTerminal(), Deno.stderr.isTerminal()], [false, false]);
  throws(() => Deno.consoleSize(), "NotSupported", "terminal");
  assert(["linux", "darwin", "windows"].includes(Deno.build.os));
  equal(Deno.stdout.writeSync(new TextEncoder().encode("written\n")), 8);
  equal(Object.keys(Deno.version), ["reelcore", "v8"]);
});

await test("what this runtime can not do with a terminal is not there to be called", async () => {
  using file = await Deno.open(at("f"));
  equal(["setRaw" in file, "setRaw" in Deno.FsFile.prototype, "setRaw" in Deno.stdin], [false, false, false]);
  equal([file.isTerminal(), typeof Deno.stdin.isTerminal()], [false, "boolean"]);
});

await Deno.remove(dir, { recursive: true });
finish();
