// The assertions of the tests that are written in JavaScript. A failed one ends the run, with exit code 1.

let passed = 0;

export async function test(name, body) {
  try {
    await body();
  } catch (error) {
    throw new Error(`test "${name}" failed`, { cause: error });
  }
  passed++;
}

/** The last line of every script: what the Rust side looks for. */
export function finish() {
  console.log(`passed ${passed}`);
}

export function assert(condition, message = "assertion failed") {
  if (!condition) {
    throw new Error(message);
  }
}

export function equal(actual, expected, message = "") {
  const a = Deno.inspect(actual, { depth: 10, iterableLimit: 1000 });
  const b = Deno.inspect(expected, { depth: 10, iterableLimit: 1000 });
  if (a !== b) {
    throw new Error(`${message} expected ${b}, got ${a}`);
  }
}

export function throws(body, name, part = "") {
  try {
    body();
  } catch (error) {
    check(error, name, part);
    return error;
  }
  throw new Error(`expected ${name}, nothing was thrown`);
}

export async function rejects(promise, name, part = "") {
  try {
    await promise;
  } catch (error) {
    check(error, name, part);
    return error;
  }
  throw new Error(`expected ${name}, the promise was fulfilled`);
}

function check(error, name, part) {
  if (error?.name !== name || !String(error.message).includes(part)) {
    throw new Error(`expected ${name} with "${part}", got ${error?.name}: ${error?.message}`);
  }
}
