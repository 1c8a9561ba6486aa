//! What the generator makes of small definitions.

use std::path::Path;

use reelcore_codegen::{Config, File, Source, generate};

fn files(text: &str) -> Vec<File> {
    let source = Source {
        name: "test.webidl".into(),
        text: text.into(),
    };
    let mut config = Config::webcodecs();
    config.rust_dir = "rust".into();
    config.javascript = "out.js".into();
    config.typescript = Some("out.d.ts".into());
    generate(&config, &[source]).unwrap_or_else(|error| panic!("{error}"))
}

fn file(text: &str, name: &str) -> String {
    let files = files(text);
    let found = files.iter().find(|file| file.path == Path::new(name));
    found
        .unwrap_or_else(|| panic!("{name} was not generated"))
        .contents
        .clone()
}

/// The pieces stand in `text` in this order.
#[track_caller]
fn in_order(text: &str, pieces: &[&str]) {
    let mut rest = text;
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            panic!("{piece:?} is missing, or not in order, in:\n{text}")
        };
        rest = &rest[at + piece.len()..];
    }
}

const USER: &str = "[Exposed=*] interface User { undefined use(D d); };\n";

fn dictionary(text: &str) -> String {
    file(&format!("{USER}{text}"), "rust/dictionaries.rs")
}

#[test]
fn members_are_read_least_derived_first_then_by_name() {
    let text =
        dictionary("dictionary B { long z; long y; };\ndictionary D : B { long b; long a; };");
    in_order(&text, &["pub struct D", "pub y", "pub z", "pub a", "pub b"]);
    in_order(
        &text,
        &[
            "FromJs<'s> for D",
            "(\"B\", \"y\")",
            "(\"B\", \"z\")",
            "(\"D\", \"a\")",
            "(\"D\", \"b\")",
            "Ok(Self {",
        ],
    );
}

#[test]
fn partial_dictionaries_are_merged_before_members_are_sorted() {
    let text = dictionary("dictionary D { long b; };\npartial dictionary D { long a; };");
    in_order(&text, &["pub a: Option<i32>", "pub b: Option<i32>"]);
}

#[test]
fn members_are_sorted_by_utf_16_code_units() {
    let text = dictionary("dictionary D { long ab; long aB; long Z; long a_; };");
    in_order(
        &text,
        &[
            "(\"D\", \"Z\")",
            "(\"D\", \"aB\")",
            "(\"D\", \"a_\")",
            "(\"D\", \"ab\")",
        ],
    );
}

#[test]
fn range_attributes_count_before_and_after_required() {
    let text = dictionary(
        "dictionary D { [EnforceRange] required unsigned long a; required [Clamp] octet b; long c; };",
    );
    in_order(
        &text,
        &[
            "integer::<u32>",
            "Range::Enforce",
            "integer::<u8>",
            "Range::Clamp",
            "integer::<i32>",
            "Modulo",
        ],
    );
    assert_eq!(text.matches("missing_member").count(), 2);
}

#[test]
fn presence_and_defaults_choose_the_field_type() {
    let text = dictionary(
        "enum E { \"x-y\" };\ndictionary I {};\ndictionary D { required long a; long b; long c = -7; long? d = null; \
         long? e; E f = \"x-y\"; double g = 2; DOMString h = \"q\"; sequence<long> i = []; I j = {}; \
         unrestricted float k = -Infinity; double l = .5; long m = 0x1F; long n = 010; };",
    );
    in_order(
        &text,
        &[
            "pub struct D {",
            "pub a: i32",
            "pub b: Option<i32>",
            "pub c: i32",
            "pub d: Option<i32>",
            "pub e: Option<Option<i32>>",
            "pub f: E",
            "pub g: f64",
            "pub h: String",
            "pub i: Vec<i32>",
            "pub j: I",
            "pub k: f32",
            "pub l: f64",
            "pub m: i32",
            "pub n: i32",
        ],
    );
    in_order(
        &text,
        &[
            "FromJs<'s> for D",
            "None => -7",
            "None => None",
            "None => None",
            "None => E::XY",
            "None => 2.0",
            "None => \"q\".to_owned()",
            "None => Vec::new()",
            "None => f32::NEG_INFINITY",
            "None => 0.5",
            "None => 0x1f",
            "None => 0o10",
        ],
    );
    assert!(
        !text.contains("Default for D"),
        "a required member has no default"
    );
}

#[test]
fn only_types_with_handles_have_a_lifetime() {
    let text = dictionary("dictionary I { any x; };\ndictionary D { I i; };\ndictionary P {};");
    assert!(
        text.contains("pub struct D<'s>") && text.contains("pub i: Option<I<'s>>"),
        "{text}"
    );
    assert!(
        !text.contains("struct P"),
        "unused definitions are left out"
    );
}

#[test]
fn every_type_has_its_conversion() {
    for (idl, rust, conversion) in [
        ("boolean", "bool", "convert::boolean(scope, value)"),
        ("byte", "i8", "webidl::integer::<i8>"),
        ("octet", "u8", "webidl::integer::<u8>"),
        ("short", "i16", "webidl::integer::<i16>"),
        ("unsigned short", "u16", "webidl::integer::<u16>"),
        ("long", "i32", "webidl::integer::<i32>"),
        ("unsigned long", "u32", "webidl::integer::<u32>"),
        ("long long", "i64", "webidl::integer::<i64>"),
        ("unsigned long long", "u64", "webidl::integer::<u64>"),
        ("float", "f32", "convert::float("),
        ("unrestricted float", "f32", "convert::unrestricted_float("),
        ("double", "f64", "convert::double("),
        (
            "unrestricted double",
            "f64",
            "convert::unrestricted_double(",
        ),
        ("DOMString", "String", "convert::string("),
        ("USVString", "String", "convert::string("),
        ("any", "v8::Local<'s, v8::Value>", "argument_0 = {"),
        ("object", "v8::Local<'s, v8::Object>", "convert::object("),
        (
            "BufferSource",
            "BufferSource<'s>",
            "BufferType::BUFFER_SOURCE",
        ),
        (
            "AllowSharedBufferSource",
            "BufferSource<'s>",
            "BufferType::ALLOW_SHARED_BUFFER_SOURCE",
        ),
        (
            "ArrayBuffer",
            "v8::Local<'s, v8::ArrayBuffer>",
            "webidl::array_buffer(",
        ),
        (
            "SharedArrayBuffer",
            "BufferSource<'s>",
            "BufferType::SHARED_ARRAY_BUFFER",
        ),
        (
            "ArrayBufferView",
            "BufferSource<'s>",
            "BufferType::ARRAY_BUFFER_VIEW",
        ),
        ("sequence<octet>", "Vec<u8>", "convert::sequence("),
        ("long?", "Option<i32>", "convert::nullable("),
        (
            "sequence<long?>?",
            "Option<Vec<Option<i32>>>",
            "convert::nullable(",
        ),
        ("E", "E", "<E as FromJs>::from_js("),
        ("C", "C<'s>", "<C as FromJs>::from_js("),
        ("U", "U<'s>", "<U as FromJs>::from_js("),
        ("I", "Handle<'s, I>", "Handle::<I>::from_js("),
        ("Alias", "u64", "webidl::integer::<u64>"),
    ] {
        let text = file(
            &format!(
                "enum E {{ \"a\" }};\ncallback C = undefined (long x);\ntypedef (C or E) U;\n\
                 typedef unsigned long long Alias;\n[Exposed=*] interface I {{ undefined f({idl} v); }};"
            ),
            "rust/i.rs",
        );
        in_order(
            &text,
            &[&format!("v: {rust}) -> Result<(), Exception>"), conversion],
        );
    }
}

#[test]
fn a_trait_has_one_function_for_each_member() {
    let text = file(
        "[Exposed=*, ReelcoreExternal] interface EventTarget {};\n[Exposed=*, ReelcoreThis] interface I : EventTarget {\n\
         constructor(optional long a); readonly attribute long type; attribute object o; attribute EventHandler onx;\n\
         undefined f(I i); Promise<boolean> g(); static I make(long b); };",
        "rust/i.rs",
    );
    for function in [
        "fn constructor<'s>(scope: &mut v8::PinScope<'s, '_>, this: v8::Local<'s, v8::Object>, a: Option<i32>) -> Result<Self, Exception>;",
        "fn r#type(&self) -> i32;",
        "fn o<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::Object>, Exception>;",
        "fn set_o<'s>(&self, scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Object>) -> Result<(), Exception>;",
        "fn f<'s>(&self, scope: &mut v8::PinScope<'s, '_>, this: v8::Local<'s, v8::Object>, i: Handle<'s, I>) -> Result<(), Exception>;",
        "fn g<'s>(&self, scope: &mut v8::PinScope<'s, '_>, this: v8::Local<'s, v8::Object>) -> Result<Promise<'s, bool>, Exception>;",
        "fn make<'s>(scope: &mut v8::PinScope<'s, '_>, b: i32) -> Result<Handle<'s, I>, Exception>;",
    ] {
        assert!(text.contains(function), "{function} is missing in:\n{text}");
    }
    assert!(
        !text.contains("fn onx"),
        "event handlers are generated whole"
    );
}

#[test]
fn unimplemented_interfaces_are_neither_generated_nor_exposed() {
    let files = files(
        "[Exposed=*, ReelcoreUnimplemented] interface Later { iterable<long>; };\n[Exposed=*] interface Now {};",
    );
    for file in files {
        assert!(!file.contents.contains("Later"), "{}", file.path.display());
        assert_ne!(file.path, Path::new("rust/later.rs"));
    }
}

#[test]
fn javascript_knows_lengths_promises_targets_and_secure_contexts() {
    let text = file(
        "[Exposed=*, ReelcoreExternal] interface EventTarget {};\n[Exposed=*, SecureContext] interface I : EventTarget {\n\
         constructor(long a, optional long b); Promise<long> f(long a); static Promise<long> g();\n\
         readonly attribute Promise<undefined> ready; undefined h(long a); };",
        "out.js",
    );
    in_order(
        &text,
        &[
            "length: 1",
            "eventTarget: true",
            "operations: [[\"h\", 1]]",
            "promiseOperations: [[\"f\", 1]]",
            "staticOperations: [[\"g\", 0]]",
            "promiseAttributes: [\"ready\"]",
            "export {",
            "const secure",
            "I: true",
        ],
    );
}

#[test]
fn typescript_declares_what_is_exposed() {
    let text = file(
        "enum E { \"a\", \"b\" };\ndictionary D { required E e; sequence<double>? s; };\n[Exposed=*] interface I {\n\
         constructor(D d); readonly attribute E? e; attribute boolean flag; Promise<undefined> f(optional D d = {}); };",
        "out.d.ts",
    );
    for line in [
        "type E = \"a\" | \"b\";",
        "  e: E;",
        "  s?: number[] | null;",
        "declare class I {",
        "  constructor(d: D);",
        "  readonly e: E | null;",
        "  flag: boolean;",
        "  f(d?: D): Promise<void>;",
    ] {
        assert!(text.contains(line), "{line:?} is missing in:\n{text}");
    }
}

#[test]
fn generation_is_deterministic() {
    let text = "dictionary D { long a; };\n[Exposed=*] interface I { undefined f(D d); };";
    assert_eq!(files(text), files(text));
}
