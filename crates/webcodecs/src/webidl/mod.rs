//! Web IDL for Rust: what the generated bindings are made of, and what hand-written algorithms use.
//!
//! `./x codegen` reads `webidl/*.webidl` and writes `src/generated/`: for each interface the `#[op2]` class, which
//! converts arguments, calls a trait, converts the result and throws; for each dictionary, enum, union and callback a
//! Rust type. The trait is implemented by hand, one file per interface.
//!
//! # How to add an interface
//! 1. Declare it in `webidl/webcodecs.webidl` exactly as its specification does, or remove its
//!    `[ReelcoreUnimplemented]`.
//! 2. Run `./x codegen`. Until the interface is implemented the build fails and names what is missing.
//! 3. Write `src/<interface>.rs`: a struct of the interface's name with its internal slots, `GarbageCollected` for it,
//!    and `impl generated::<Interface>Methods` with one function per member, each carrying the specification's URL and
//!    step numbers.
//! 4. Export the struct from `src/interfaces.rs`, where the generated code looks for it.
//! 5. Add tests: a script in `tests/`, and the Web Platform Tests of the interface.
//!
//! # How a member looks
//! | Web IDL | trait function |
//! |---|---|
//! | `constructor(Init init)` | `fn constructor<'s>(scope, init: Init<'s>) -> Result<Self, Exception>` |
//! | `readonly attribute double x` | `fn x(&self) -> f64` |
//! | an attribute of an object type | `fn x<'s>(&self, scope) -> Result<T, Exception>` |
//! | `attribute boolean x` | also `fn set_x<'s>(&self, scope, value: bool) -> Result<(), Exception>` |
//! | `undefined f(T a)` | `fn f<'s>(&self, scope, a: T) -> Result<(), Exception>` |
//! | `Promise<T> f()` | `fn f<'s>(&self, scope) -> Result<Promise<'s, T>, Exception>`; an error rejects |
//! | `static T f()` | `fn f<'s>(scope) -> Result<T, Exception>` |
//! | `attribute EventHandler onfoo`, `[Default] toJSON()` | none: generated whole |
//!
//! `[ReelcoreThis]` on an interface adds `this: v8::Local<'s, v8::Object>` after `scope` to its constructor and
//! operations. `[ReelcoreRustName=name]` renames a trait function; overloads need it.

mod buffer;
pub mod callback;
mod context;
pub mod convert;
mod exception;
mod external;
mod host;
mod integer;
mod interface;
mod memory;
mod promise;
mod to_js;

pub use buffer::{BufferSource, BufferType, Transfer, array_buffer};
pub use callback::TracedCallback;
pub use context::Context;
pub use convert::FromJs;
pub use exception::{DomExceptionName, Exception};
pub use external::is_external;
pub use host::Host;
pub use integer::{Integer, Range, integer};
pub use interface::{
    Arguments, Handle, Interface, argument, argument_count, construct, illegal_constructor,
    illegal_invocation, require_new, run, run_promise, this,
};
pub use memory::ExternalMemory;
pub use promise::{Deferred, Promise};
pub use to_js::{ToJs, set_member};

pub(crate) use host::op_webidl_set_host;
