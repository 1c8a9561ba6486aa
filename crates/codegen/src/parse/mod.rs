//! .webidl text to definitions. Every construct that is read is either kept or refused.

mod attributes;
mod types;

use weedle::argument::Argument as WeedleArgument;
use weedle::attribute::ExtendedAttributeList;
use weedle::common::{Default as WeedleDefault, Identifier};
use weedle::dictionary::DictionaryMember;
use weedle::interface::{InterfaceMember, StringifierOrInheritOrStatic, StringifierOrStatic};
use weedle::literal::{DefaultValue, FloatLit, IntegerLit};
use weedle::types::{AttributedType, Type as WeedleType, UnionMemberType};
use weedle::{Definition, Parse};

use crate::model::{
    Argument, Attribute, Callback, Default, Dictionary, Enum, Idl, Interface, Location, Member,
    Operation, Target, Type, Typedef,
};
use crate::{Error, Source, names};
use attributes::Attributes;

/// Definitions before partial ones are merged and names are resolved.
pub(crate) struct Parsed {
    pub idl: Idl,
    pub partial_dictionaries: Vec<Dictionary>,
}

pub(crate) fn parse(sources: &[Source]) -> Result<Parsed, Error> {
    let mut parsed = Parsed {
        idl: Idl::default(),
        partial_dictionaries: Vec::new(),
    };
    for source in sources {
        Reader { source }.read(&mut parsed)?;
    }
    Ok(parsed)
}

struct Reader<'a> {
    source: &'a Source,
}

impl Reader<'_> {
    /// The place of a piece of the source text.
    fn location(&self, piece: &str) -> Location {
        let start = self.source.text.as_ptr() as usize;
        let offset = (piece.as_ptr() as usize)
            .checked_sub(start)
            .filter(|offset| *offset <= self.source.text.len());
        let before = offset
            .and_then(|offset| self.source.text.get(..offset))
            .unwrap_or_default();
        Location {
            file: self.source.name.clone(),
            line: before.matches('\n').count() + 1,
        }
    }

    fn attributes<'r, 'a>(
        &'r self,
        list: &'r Option<ExtendedAttributeList<'a>>,
        location: &Location,
    ) -> Attributes<'r, 'a> {
        let left = list.iter().flat_map(|list| list.body.list.iter()).collect();
        Attributes {
            reader: self,
            left,
            location: location.clone(),
        }
    }

    fn no_attributes(
        &self,
        list: &Option<ExtendedAttributeList<'_>>,
        location: &Location,
    ) -> Result<(), Error> {
        self.attributes(list, location).finish()
    }

    fn read(&self, parsed: &mut Parsed) -> Result<(), Error> {
        let text = self.source.text.as_str();
        self.refuse_split_attributes(text)?;
        let (rest, definitions) = Vec::<Definition<'_>>::parse(text).map_err(|_| {
            Error::Syntax(Location {
                file: self.source.name.clone(),
                line: 1,
            })
        })?;
        let rest = skip_blank(rest);
        if !rest.is_empty() {
            return Err(Error::Syntax(self.location(rest)));
        }
        for definition in &definitions {
            self.definition(definition, parsed)?;
        }
        Ok(())
    }

    /// The parser forgets the attributes before `required` where others follow it.
    fn refuse_split_attributes(&self, text: &str) -> Result<(), Error> {
        for (index, _) in text.match_indices("required") {
            let before = text.get(..index).unwrap_or_default().trim_end();
            let after = text
                .get(index + "required".len()..)
                .unwrap_or_default()
                .trim_start();
            if before.ends_with(']') && after.starts_with('[') {
                let location = self.location(text.get(index..).unwrap_or_default());
                return Err(Error::unsupported(
                    &location,
                    "extended attributes on both sides of 'required'",
                ));
            }
        }
        Ok(())
    }

    fn definition(&self, definition: &Definition<'_>, parsed: &mut Parsed) -> Result<(), Error> {
        match definition {
            Definition::Interface(interface) => {
                let interface = self.interface(interface)?;
                let location = interface.location.clone();
                let name = interface.name.clone();
                if parsed
                    .idl
                    .interfaces
                    .insert(name.clone(), interface)
                    .is_some()
                {
                    return Err(Error::invalid(
                        &location,
                        format!("'{name}' is defined twice"),
                    ));
                }
            }
            Definition::Dictionary(dictionary) => {
                let location = self.location(dictionary.identifier.0);
                self.no_attributes(&dictionary.attributes, &location)?;
                let dictionary = Dictionary {
                    name: dictionary.identifier.0.to_owned(),
                    parent: dictionary
                        .inheritance
                        .map(|parent| parent.identifier.0.to_owned()),
                    members: self.members(&dictionary.members.body)?,
                    location,
                };
                let location = dictionary.location.clone();
                let name = dictionary.name.clone();
                if parsed
                    .idl
                    .dictionaries
                    .insert(name.clone(), dictionary)
                    .is_some()
                {
                    return Err(Error::invalid(
                        &location,
                        format!("'{name}' is defined twice"),
                    ));
                }
            }
            Definition::PartialDictionary(dictionary) => {
                let location = self.location(dictionary.identifier.0);
                self.no_attributes(&dictionary.attributes, &location)?;
                parsed.partial_dictionaries.push(Dictionary {
                    name: dictionary.identifier.0.to_owned(),
                    parent: None,
                    members: self.members(&dictionary.members.body)?,
                    location,
                });
            }
            Definition::Enum(found) => {
                let location = self.location(found.identifier.0);
                self.no_attributes(&found.attributes, &location)?;
                let name = found.identifier.0.to_owned();
                let values: Vec<String> = found
                    .values
                    .body
                    .list
                    .iter()
                    .map(|value| value.0.to_owned())
                    .collect();
                let mut variants: Vec<String> =
                    values.iter().map(|value| names::variant(value)).collect();
                variants.sort();
                if variants.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(Error::unsupported(
                        &location,
                        "enumeration values that differ only in punctuation",
                    ));
                }
                let value = Enum {
                    name: name.clone(),
                    location: location.clone(),
                    values,
                };
                if parsed.idl.enums.insert(name.clone(), value).is_some() {
                    return Err(Error::invalid(
                        &location,
                        format!("'{name}' is defined twice"),
                    ));
                }
            }
            Definition::Callback(callback) => {
                let location = self.location(callback.identifier.0);
                self.no_attributes(&callback.attributes, &location)?;
                let name = callback.identifier.0.to_owned();
                let value = Callback {
                    name: name.clone(),
                    location: location.clone(),
                    result: self.return_type(&callback.return_type, &location)?,
                    arguments: self.arguments(&callback.arguments.body.list)?,
                };
                if parsed.idl.callbacks.insert(name.clone(), value).is_some() {
                    return Err(Error::invalid(
                        &location,
                        format!("'{name}' is defined twice"),
                    ));
                }
            }
            Definition::Typedef(typedef) => {
                let location = self.location(typedef.identifier.0);
                self.no_attributes(&typedef.attributes, &location)?;
                let name = typedef.identifier.0.to_owned();
                let target = self.typedef(&typedef.type_, &location)?;
                let value = Typedef {
                    name: name.clone(),
                    location: location.clone(),
                    target,
                };
                if parsed.idl.typedefs.insert(name.clone(), value).is_some() {
                    return Err(Error::invalid(
                        &location,
                        format!("'{name}' is defined twice"),
                    ));
                }
            }
            Definition::CallbackInterface(found) => {
                return Err(self.refuse(found.identifier, "a callback interface"));
            }
            Definition::InterfaceMixin(found) => {
                return Err(self.refuse(found.identifier, "an interface mixin"));
            }
            Definition::Namespace(found) => {
                return Err(self.refuse(found.identifier, "a namespace"));
            }
            Definition::PartialInterface(found) => {
                return Err(self.refuse(found.identifier, "a partial interface"));
            }
            Definition::PartialInterfaceMixin(found) => {
                return Err(self.refuse(found.identifier, "a partial interface mixin"));
            }
            Definition::PartialNamespace(found) => {
                return Err(self.refuse(found.identifier, "a partial namespace"));
            }
            Definition::IncludesStatement(found) => {
                return Err(self.refuse(found.lhs_identifier, "an includes statement"));
            }
            Definition::Implements(found) => {
                return Err(self.refuse(found.lhs_identifier, "an implements statement"));
            }
        }
        Ok(())
    }

    fn refuse(&self, identifier: Identifier<'_>, what: &str) -> Error {
        Error::unsupported(&self.location(identifier.0), what)
    }

    fn interface(&self, found: &weedle::InterfaceDefinition<'_>) -> Result<Interface, Error> {
        let location = self.location(found.identifier.0);
        let mut attributes = self.attributes(&found.attributes, &location);
        let external = attributes.take("ReelcoreExternal");
        let unimplemented = attributes.take("ReelcoreUnimplemented");
        let this = attributes.take("ReelcoreThis");
        let secure_context = attributes.take("SecureContext");
        let serializable = attributes.take("Serializable");
        let transferable = attributes.take("Transferable");
        if !attributes.take_exposed()? {
            return Err(Error::unsupported(
                &location,
                "an interface without [Exposed]",
            ));
        }
        attributes.finish()?;
        let mut interface = Interface {
            name: found.identifier.0.to_owned(),
            parent: found
                .inheritance
                .map(|parent| parent.identifier.0.to_owned()),
            secure_context,
            serializable,
            transferable,
            unimplemented,
            external,
            this,
            constructors: Vec::new(),
            attributes: Vec::new(),
            operations: Vec::new(),
            location,
        };
        if external && !found.members.body.is_empty() {
            return Err(Error::unsupported(
                &interface.location,
                "a member of a [ReelcoreExternal] interface",
            ));
        }
        for member in &found.members.body {
            match self.interface_member(member, &mut interface) {
                // What is not generated need not be supported, but it must be Web IDL.
                Err(Error::Unsupported { .. }) if unimplemented => {}
                result => result?,
            }
        }
        Ok(interface)
    }

    fn interface_member(
        &self,
        member: &InterfaceMember<'_>,
        interface: &mut Interface,
    ) -> Result<(), Error> {
        let here = interface.location.clone();
        match member {
            InterfaceMember::Constructor(found) => {
                let location = found
                    .args
                    .body
                    .list
                    .first()
                    .map_or(here, |argument| self.argument_location(argument));
                let mut attributes = self.attributes(&found.attributes, &location);
                let rust_name = attributes
                    .take_identifier("ReelcoreRustName")
                    .unwrap_or("constructor")
                    .to_owned();
                attributes.finish()?;
                interface.constructors.push(Operation {
                    name: "constructor".into(),
                    rust_name,
                    is_static: true,
                    is_default: false,
                    result: Type::Undefined,
                    arguments: self.arguments(&found.args.body.list)?,
                    location,
                });
            }
            InterfaceMember::Attribute(found) => {
                let location = self.location(found.identifier.0);
                match found.modifier {
                    None => {}
                    Some(StringifierOrInheritOrStatic::Stringifier(_)) => {
                        return Err(Error::unsupported(&location, "a stringifier attribute"));
                    }
                    Some(StringifierOrInheritOrStatic::Inherit(_)) => {
                        return Err(Error::unsupported(&location, "an inherited attribute"));
                    }
                    Some(StringifierOrInheritOrStatic::Static(_)) => {
                        return Err(Error::unsupported(&location, "a static attribute"));
                    }
                }
                let ty = self.attributed_type(&found.type_, &found.attributes, &location)?;
                interface.attributes.push(Attribute {
                    name: found.identifier.0.to_owned(),
                    readonly: found.readonly.is_some(),
                    ty,
                    location,
                });
            }
            InterfaceMember::Operation(found) => {
                let Some(identifier) = found.identifier else {
                    return Err(Error::unsupported(&here, "an operation without a name"));
                };
                let location = self.location(identifier.0);
                if found.special.is_some() {
                    return Err(Error::unsupported(
                        &location,
                        "a special operation (getter, setter, deleter)",
                    ));
                }
                let is_static = match found.modifier {
                    None => false,
                    Some(StringifierOrStatic::Static(_)) => true,
                    Some(StringifierOrStatic::Stringifier(_)) => {
                        return Err(Error::unsupported(&location, "a stringifier"));
                    }
                };
                let mut attributes = self.attributes(&found.attributes, &location);
                let is_default = attributes.take("Default");
                let rust_name = attributes
                    .take_identifier("ReelcoreRustName")
                    .map(str::to_owned);
                attributes.finish()?;
                let name = identifier.0.to_owned();
                let operation = Operation {
                    rust_name: rust_name.unwrap_or_else(|| names::identifier(&name)),
                    is_static,
                    is_default,
                    result: self.return_type(&found.return_type, &location)?,
                    arguments: self.arguments(&found.args.body.list)?,
                    name,
                    location,
                };
                let group = interface.operations.iter_mut().find(|group| {
                    group.first().is_some_and(|first| {
                        first.name == operation.name && first.is_static == operation.is_static
                    })
                });
                match group {
                    Some(group) => group.push(operation),
                    None => interface.operations.push(vec![operation]),
                }
            }
            InterfaceMember::Const(found) => {
                return Err(Error::unsupported(
                    &self.location(found.identifier.0),
                    "a constant",
                ));
            }
            InterfaceMember::Iterable(_) => {
                return Err(Error::unsupported(&here, "an iterable declaration"));
            }
            InterfaceMember::AsyncIterable(_) => {
                return Err(Error::unsupported(&here, "an async iterable declaration"));
            }
            InterfaceMember::Maplike(_) => {
                return Err(Error::unsupported(&here, "a maplike declaration"));
            }
            InterfaceMember::Setlike(_) => {
                return Err(Error::unsupported(&here, "a setlike declaration"));
            }
            InterfaceMember::Stringifier(_) => {
                return Err(Error::unsupported(&here, "a stringifier"));
            }
        }
        Ok(())
    }

    fn members(&self, members: &[DictionaryMember<'_>]) -> Result<Vec<Member>, Error> {
        let mut out = Vec::new();
        for member in members {
            let location = self.location(member.identifier.0);
            let ty = self.applied_type(&member.type_, &member.attributes, &location)?;
            out.push(Member {
                name: member.identifier.0.to_owned(),
                required: member.required.is_some(),
                ty,
                default: member.default.as_ref().map(|default| self.default(default)),
                location,
            });
        }
        Ok(out)
    }

    fn argument_location(&self, argument: &WeedleArgument<'_>) -> Location {
        match argument {
            WeedleArgument::Single(argument) => self.location(argument.identifier.0),
            WeedleArgument::Variadic(argument) => self.location(argument.identifier.0),
        }
    }

    fn arguments(&self, arguments: &[WeedleArgument<'_>]) -> Result<Vec<Argument>, Error> {
        let mut out: Vec<Argument> = Vec::new();
        for argument in arguments {
            let location = self.argument_location(argument);
            let WeedleArgument::Single(argument) = argument else {
                return Err(Error::unsupported(&location, "a variadic argument"));
            };
            let optional = argument.optional.is_some();
            if !optional && out.last().is_some_and(|last| last.optional) {
                return Err(Error::invalid(
                    &location,
                    "a required argument follows an optional one",
                ));
            }
            out.push(Argument {
                name: argument.identifier.0.to_owned(),
                optional,
                ty: self.attributed_type(&argument.type_, &argument.attributes, &location)?,
                default: argument
                    .default
                    .as_ref()
                    .map(|default| self.default(default)),
                location,
            });
        }
        Ok(out)
    }

    fn default(&self, default: &WeedleDefault<'_>) -> Default {
        match default.value {
            DefaultValue::Boolean(value) => Default::Boolean(value.0),
            DefaultValue::EmptyArray(_) => Default::EmptySequence,
            DefaultValue::EmptyDictionary(_) => Default::EmptyDictionary,
            DefaultValue::Float(value) => Default::Float(match value {
                FloatLit::Value(value) => value.0.to_owned(),
                FloatLit::NegInfinity(_) => "-Infinity".into(),
                FloatLit::Infinity(_) => "Infinity".into(),
                FloatLit::NaN(_) => "NaN".into(),
            }),
            DefaultValue::Integer(value) => Default::Integer(match value {
                IntegerLit::Dec(value) => value.0.to_owned(),
                IntegerLit::Hex(value) => value.0.to_ascii_lowercase(),
                // Web IDL's octal has a leading 0, Rust's 0o.
                IntegerLit::Oct(value) => {
                    let (sign, digits) = match value.0.strip_prefix('-') {
                        Some(digits) => ("-", digits),
                        None => ("", value.0),
                    };
                    let digits = digits.trim_start_matches('0');
                    if digits.is_empty() {
                        "0".into()
                    } else {
                        format!("{sign}0o{digits}")
                    }
                }
            }),
            DefaultValue::Null(_) => Default::Null,
            DefaultValue::String(value) => Default::String(value.0.to_owned()),
        }
    }

    fn typedef(&self, found: &AttributedType<'_>, location: &Location) -> Result<Target, Error> {
        if let WeedleType::Union(union) = &found.type_ {
            self.no_attributes(&found.attributes, location)?;
            if union.q_mark.is_some() {
                return Err(Error::unsupported(
                    location,
                    "a nullable union in a typedef",
                ));
            }
            let mut members = Vec::new();
            for member in &union.type_.body.list {
                match member {
                    UnionMemberType::Single(member) => {
                        let ty = self.non_any_type(&member.type_, location)?;
                        members.push(self.apply(ty, &member.attributes, location)?);
                    }
                    UnionMemberType::Union(_) => {
                        return Err(Error::unsupported(
                            location,
                            "a union in a union: flatten it",
                        ));
                    }
                }
            }
            if members.len() < 2 {
                return Err(Error::invalid(location, "a union needs two members"));
            }
            return Ok(Target::Union(members));
        }
        Ok(Target::Alias(self.applied_type(
            &found.type_,
            &found.attributes,
            location,
        )?))
    }
}

/// The text after white space and comments.
fn skip_blank(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let next = if let Some(comment) = rest.strip_prefix("//") {
            comment
                .find('\n')
                .and_then(|end| comment.get(end..))
                .unwrap_or_default()
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment
                .find("*/")
                .and_then(|end| comment.get(end + 2..))
                .unwrap_or_default()
        } else {
            return rest;
        };
        rest = next.trim_start();
    }
}
