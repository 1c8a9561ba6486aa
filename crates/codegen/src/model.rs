//! The definitions, as the generator sees them.

use std::collections::BTreeMap;

pub use crate::error::Location;

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum IntegerKind {
    Byte,
    Octet,
    Short,
    UnsignedShort,
    Long,
    UnsignedLong,
    LongLong,
    UnsignedLongLong,
}

impl IntegerKind {
    /// The Rust type.
    pub fn rust(self) -> &'static str {
        match self {
            Self::Byte => "i8",
            Self::Octet => "u8",
            Self::Short => "i16",
            Self::UnsignedShort => "u16",
            Self::Long => "i32",
            Self::UnsignedLong => "u32",
            Self::LongLong => "i64",
            Self::UnsignedLongLong => "u64",
        }
    }
}

/// What becomes of a number outside of an integer type's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// It wraps.
    Modulo,
    /// `[EnforceRange]`
    Enforce,
    /// `[Clamp]`
    Clamp,
}

/// A buffer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Buffer {
    ArrayBuffer,
    SharedArrayBuffer,
    ArrayBufferView,
    BufferSource,
    AllowSharedBufferSource,
}

impl Buffer {
    /// Web IDL's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArrayBuffer => "ArrayBuffer",
            Self::SharedArrayBuffer => "SharedArrayBuffer",
            Self::ArrayBufferView => "ArrayBufferView",
            Self::BufferSource => "BufferSource",
            Self::AllowSharedBufferSource => "AllowSharedBufferSource",
        }
    }
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Undefined,
    Any,
    Object,
    Boolean,
    Integer(IntegerKind, Range),
    Float {
        double: bool,
        unrestricted: bool,
    },
    DomString,
    UsvString,
    Buffer(Buffer),
    Sequence(Box<Type>),
    Promise(Box<Type>),
    Nullable(Box<Type>),
    EventHandler,
    /// A name that is not resolved yet.
    Named(String),
    /// An interface of ours.
    Interface(String),
    /// An interface that is implemented elsewhere.
    External(String),
    Dictionary(String),
    Enum(String),
    Callback(String),
    Union(String),
}

/// A default value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Default {
    Boolean(bool),
    Integer(String),
    Float(String),
    String(String),
    Null,
    EmptySequence,
    EmptyDictionary,
}

/// A dictionary.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Dictionary {
    pub name: String,
    pub location: Location,
    pub parent: Option<String>,
    /// In the order of conversion: lexicographical.
    pub members: Vec<Member>,
}

/// A member of a dictionary.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Member {
    pub name: String,
    pub location: Location,
    pub required: bool,
    pub ty: Type,
    pub default: Option<Default>,
}

/// An enumeration.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Enum {
    pub name: String,
    pub location: Location,
    pub values: Vec<String>,
}

/// A callback function.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Callback {
    pub name: String,
    pub location: Location,
    pub result: Type,
    pub arguments: Vec<Argument>,
}

/// A `typedef`: an alias, or the name of a union.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Typedef {
    pub name: String,
    pub location: Location,
    pub target: Target,
}

/// What a typedef stands for.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Target {
    Alias(Type),
    Union(Vec<Type>),
}

/// An argument.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Argument {
    pub name: String,
    pub location: Location,
    pub optional: bool,
    pub ty: Type,
    pub default: Option<Default>,
}

/// An attribute of an interface.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Attribute {
    pub name: String,
    pub location: Location,
    pub readonly: bool,
    pub ty: Type,
}

/// An operation or a constructor.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Operation {
    pub name: String,
    pub location: Location,
    /// The Rust function.
    pub rust_name: String,
    pub is_static: bool,
    /// `[Default]`
    pub is_default: bool,
    pub result: Type,
    pub arguments: Vec<Argument>,
}

/// An interface.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Interface {
    pub name: String,
    pub location: Location,
    pub parent: Option<String>,
    pub secure_context: bool,
    pub serializable: bool,
    pub transferable: bool,
    /// `[ReelcoreUnimplemented]`
    pub unimplemented: bool,
    /// `[ReelcoreExternal]`
    pub external: bool,
    /// `[ReelcoreThis]`
    pub this: bool,
    pub constructors: Vec<Operation>,
    pub attributes: Vec<Attribute>,
    /// By name, in the order of their first declaration.
    pub operations: Vec<Vec<Operation>>,
}

impl Interface {
    /// Whether its objects are event targets.
    pub fn event_target(&self) -> bool {
        self.parent.is_some()
    }
}

/// Every definition, by name.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Idl {
    pub interfaces: BTreeMap<String, Interface>,
    pub dictionaries: BTreeMap<String, Dictionary>,
    pub enums: BTreeMap<String, Enum>,
    pub callbacks: BTreeMap<String, Callback>,
    pub typedefs: BTreeMap<String, Typedef>,
}

impl Idl {
    /// The interfaces to generate.
    pub fn implemented(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces
            .values()
            .filter(|interface| !interface.unimplemented && !interface.external)
    }

    /// The members of a dictionary and of those it inherits from, in the order of conversion.
    pub fn all_members<'a>(
        &'a self,
        dictionary: &'a Dictionary,
    ) -> Vec<(&'a Dictionary, &'a Member)> {
        let mut members = match dictionary
            .parent
            .as_ref()
            .and_then(|parent| self.dictionaries.get(parent))
        {
            Some(parent) => self.all_members(parent),
            None => Vec::new(),
        };
        members.extend(dictionary.members.iter().map(|member| (dictionary, member)));
        members
    }

    /// The members of a union.
    pub fn union(&self, name: &str) -> &[Type] {
        match self.typedefs.get(name).map(|typedef| &typedef.target) {
            Some(Target::Union(members)) => members,
            _ => &[],
        }
    }
}
