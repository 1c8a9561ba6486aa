import { assert, equal, finish, rejects, test } from "./harness.js";
import data from "./data.json" with { type: "json" };
import text from "./data.json" with { type: "text" };
import * as dependency from "./modules/dependency.js";

await test("JSON and text modules", () => {
  equal(data, { answer: 42 });
  equal(text, '{ "answer": 42 }\n');
});

await test("a module is evaluated once, whoever imports it", async () => {
  const again = await import("./modules/dependency.js");
  assert(again === dependency);
  equal([again.evaluations(), again.main], [1, false]);
});

await test("data: and blob: modules", async () => {
  equal((await import("data:text/javascript,export default 1")).default, 1);
  const url = URL.createObjectURL(new Blob(["export const x = import.meta.url"], { type: "text/javascript" }));
  equal((await import(url)).x, url);
});

await test("what can not be imported says what and from where", async () => {
  await rejects(import("./modules/none.js"), "TypeError", "none.js");
  const error = await rejects(import("./modules/imports_missing.js"), "TypeError", "missing.js\" imported from file://");
  assert(error.message.includes("imports_missing.js:1:"), error.message);
  await rejects(import("bare"), "TypeError", "bare");
  await rejects(import("https://example.com/x.js"), "TypeError", "network access is not part of this runtime");
  await rejects(import("./data.json"), "TypeError", 'with { type: "json" }');
  await rejects(import("./modules/script.ts"), "TypeError", "TypeScript and JSX are not supported");
  await rejects(import("./modules/syntax.js"), "SyntaxError");
  await rejects(import("./modules/bad.json", { with: { type: "json" } }), "SyntaxError");
  await rejects(import("./harness.js", { with: { type: "json" } }), "TypeError", "as JSON");
});

await test("import.meta.resolve", () => {
  equal(import.meta.resolve("./x.js"), new URL("x.js", import.meta.url).href);
});

finish();
