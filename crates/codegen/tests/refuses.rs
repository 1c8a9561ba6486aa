//! What the generator does not support it refuses, with the file, the line and the construct.

use reelcore_codegen::{Config, Source, generate};

fn error(text: &str) -> String {
    let source = Source {
        name: "test.webidl".into(),
        text: text.into(),
    };
    match generate(&Config::fixture(), &[source]) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// An interface around members, which begin at line 2.
fn interface(members: &str) -> String {
    error(&format!("[Exposed=*] interface Foo {{\n{members}\n}};"))
}

macro_rules! refused {
    ($($name:ident: $error:expr => $line:literal, $what:literal;)*) => {$(
        #[test]
        fn $name() {
            let error = $error;
            let start = format!("test.webidl:{}: ", $line);
            assert!(error.starts_with(&start), "{error:?} does not start with {start:?}");
            assert!(error.contains($what), "{error:?} lacks {:?}", $what);
        }
    )*};
}

refused! {
    syntax_errors_name_the_line: error("dictionary A {};\n\ndictionary B { long };") => 3, "not Web IDL";
    variadic_arguments: interface("undefined f(long... rest);") => 2, "a variadic argument";
    constants: interface("const long X = 1;") => 2, "a constant";
    iterables: interface("iterable<long>;") => 1, "iterable";
    async_iterables: interface("async iterable<long>;") => 1, "async iterable";
    maplikes: interface("maplike<long, long>;") => 1, "maplike";
    setlikes: interface("setlike<long>;") => 1, "setlike";
    stringifiers: interface("stringifier;") => 1, "stringifier";
    stringifier_attributes: interface("stringifier attribute DOMString x;") => 2, "stringifier";
    special_operations: interface("getter long item(unsigned long i);") => 2, "special operation";
    static_attributes: interface("static attribute long x;") => 2, "a static attribute";
    inherited_attributes: interface("inherit attribute long x;") => 2, "an inherited attribute";
    namespaces: error("namespace N {};") => 1, "a namespace";
    mixins: error("interface mixin M {};") => 1, "an interface mixin";
    includes: error("A includes B;") => 1, "an includes statement";
    partial_interfaces: error("partial interface A {};") => 1, "a partial interface";
    callback_interfaces: error("callback interface A {};") => 1, "a callback interface";
    unknown_extended_attributes_of_interfaces:
        error("\n[Exposed=*, LegacyNoInterfaceObject] interface A {};") => 2, "[LegacyNoInterfaceObject]";
    unknown_extended_attributes_of_attributes: interface("[SameObject] readonly attribute long x;") => 2, "[SameObject]";
    unknown_extended_attributes_of_operations: interface("[NewObject] long f();") => 2, "[NewObject]";
    unknown_extended_attributes_of_types: interface("undefined f([LegacyNullToEmptyString] DOMString s);")
        => 2, "[LegacyNullToEmptyString]";
    attributes_on_both_sides_of_required:
        error("dictionary D {\n  [Clamp] required [EnforceRange] long x;\n};") => 2, "both sides of 'required'";
    missing_exposure: error("interface A {};") => 1, "without [Exposed]";
    exposure_to_windows_only: error("[Exposed=Window] interface A {};") => 1, "without DedicatedWorker";
    unnamed_unions: interface("undefined f((long or DOMString) x);") => 2, "give it a typedef";
    nested_unions: error("typedef (long or (DOMString or object)) U;") => 1, "flatten it";
    nullable_union_members: error("typedef (long? or DOMString) U;") => 1, "in a union";
    records: interface("undefined f(record<DOMString, long> x);") => 2, "record";
    frozen_arrays: interface("readonly attribute FrozenArray<long> x;") => 2, "FrozenArray";
    observable_arrays: interface("attribute ObservableArray<long> x;") => 2, "ObservableArray";
    byte_strings: interface("undefined f(ByteString x);") => 2, "ByteString";
    symbols: interface("undefined f(symbol x);") => 2, "symbol";
    bigints: interface("undefined f(bigint x);") => 2, "bigint";
    single_views: interface("undefined f(Uint8Array x);") => 2, "a single kind of view";
    promise_arguments: interface("undefined f(Promise<long> x);") => 2, "a promise as an input";
    promise_members: error("dictionary D { Promise<long> x; };") => 1, "as a dictionary member";
    sequence_attributes: interface("readonly attribute sequence<long> x;") => 2, "no sequence";
    unknown_names: interface("readonly attribute Bar x;") => 2, "'Bar' is not defined";
    names_defined_twice: error("dictionary A {};\nenum A { \"x\" };") => 2, "'A' is defined twice";
    dictionaries_defined_twice: error("dictionary A {};\ndictionary A {};") => 2, "'A' is defined twice";
    members_defined_twice: error("dictionary A { long x;\nlong x; };") => 2, "two members named 'x'";
    inherited_members_defined_twice: error("dictionary A { long x; };\ndictionary B : A { long x; };") => 2, "hides";
    unknown_parents: error("dictionary A : B {};") => 1, "dictionary 'B' is not defined";
    circular_inheritance: error("dictionary A : B {};\ndictionary B : A {};") => 1, "inherits from itself";
    circular_dictionaries: error("dictionary A { A a; };") => 1, "contains itself";
    circular_typedefs: error("typedef A B;\ntypedef B A;") => 2, "refers to itself";
    partials_of_nothing: error("partial dictionary A { long x; };") => 1, "'A' is not defined";
    interface_inheritance: error("[Exposed=*] interface A {};\n[Exposed=*] interface B : A {};") => 2, "inheritance";
    nullable_dictionaries: error("dictionary A {};\n[Exposed=*] interface I { undefined f(A? a);\n};") => 2, "nullable";
    clamp_of_strings: interface("undefined f([Clamp] DOMString x);") => 2, "integer types";
    clamp_and_enforce: interface("undefined f([Clamp, EnforceRange] long x);") => 2, "[EnforceRange] and [Clamp]";
    defaults_of_another_type: error("dictionary D { long x = \"a\"; };") => 1, "the default is no value";
    defaults_of_unknown_enum_values: error("enum E { \"a\" };\ndictionary D { E x = \"b\"; };") => 2, "the default";
    non_finite_defaults: error("dictionary D { double x = NaN; };") => 1, "the default";
    required_after_optional: interface("undefined f(optional long a, long b);") => 2, "follows an optional";
    dictionary_arguments_without_default:
        error("dictionary D {};\n[Exposed=*] interface I {\nundefined f(optional D d);\n};") => 3, "has the default {}";
    overloads_without_names: interface("undefined f(long a);\nundefined f(DOMString a);") => 3, "[ReelcoreRustName]";
    overloads_that_cannot_be_told_apart: interface(
        "[ReelcoreRustName=a] undefined f(long a);\n[ReelcoreRustName=b] undefined f(double a);"
    ) => 2, "cannot be told apart";
    overloads_that_return_a_promise_or_not: interface(
        "[ReelcoreRustName=a] undefined f(long a);\n[ReelcoreRustName=b] Promise<long> f(DOMString a);"
    ) => 2, "either all overloads";
    event_handlers_without_a_target: interface("attribute EventHandler onfoo;") => 2, "needs an EventTarget";
    event_handlers_that_are_not_attributes: interface("undefined f(EventHandler x);") => 2, "EventHandler";
    json_of_objects: interface("readonly attribute object o;\n[Default] object toJSON();") => 2, "toJSON";
    unimplemented_interfaces_in_use: error(
        "[Exposed=*, ReelcoreUnimplemented] interface A {};\n[Exposed=*] interface B {\nA a();\n};"
    ) => 3, "[ReelcoreUnimplemented]";
    enum_values_that_look_alike: error("enum E { \"a-b\", \"a b\" };") => 1, "differ only in punctuation";
}
