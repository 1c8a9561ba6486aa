//! Names to definitions, and the rules that Web IDL has for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::model::{Argument, Default, Dictionary, Idl, Interface, Location, Member, Target, Type};
use crate::parse::Parsed;

pub(crate) fn resolve(parsed: Parsed) -> Result<Idl, Error> {
    let mut idl = parsed.idl;
    for partial in parsed.partial_dictionaries {
        let Some(dictionary) = idl.dictionaries.get_mut(&partial.name) else {
            return Err(Error::invalid(
                &partial.location,
                format!("dictionary '{}' is not defined", partial.name),
            ));
        };
        dictionary.members.extend(partial.members);
    }
    check_unique(&idl)?;
    let scope = idl.clone();
    let resolver = Resolver { idl: &scope };
    for typedef in idl.typedefs.values_mut() {
        match &mut typedef.target {
            Target::Alias(ty) => resolver.ty(ty, &typedef.location, 0)?,
            Target::Union(members) => {
                for member in members.iter_mut() {
                    resolver.ty(member, &typedef.location, 0)?;
                    if matches!(
                        member,
                        Type::Nullable(_) | Type::Union(_) | Type::Promise(_) | Type::EventHandler
                    ) {
                        let what = "a nullable type, a union or a promise in a union";
                        return Err(Error::unsupported(&typedef.location, what));
                    }
                }
            }
        }
    }
    for dictionary in idl.dictionaries.values_mut() {
        // https://webidl.spec.whatwg.org/#js-dictionary step 4: "in lexicographical order", by code units.
        dictionary
            .members
            .sort_by(|a, b| a.name.encode_utf16().cmp(b.name.encode_utf16()));
        for member in &mut dictionary.members {
            resolver.ty(&mut member.ty, &member.location, 0)?;
            check_member(&scope, member)?;
        }
    }
    for callback in idl.callbacks.values_mut() {
        resolver.ty(&mut callback.result, &callback.location, 0)?;
        resolver.arguments(&mut callback.arguments)?;
    }
    for interface in idl.interfaces.values_mut() {
        if interface.unimplemented {
            // Checked when it is implemented; what it mentions may not be supported yet.
            continue;
        }
        for attribute in &mut interface.attributes {
            resolver.ty(&mut attribute.ty, &attribute.location, 0)?;
            check_attribute(attribute)?;
        }
        for operation in interface
            .operations
            .iter_mut()
            .flatten()
            .chain(&mut interface.constructors)
        {
            resolver.ty(&mut operation.result, &operation.location, 0)?;
            resolver.arguments(&mut operation.arguments)?;
            for argument in &operation.arguments {
                check_input(&argument.ty, &argument.location)?;
                if let Some(default) = &argument.default {
                    check_default(&scope, &argument.ty, default, &argument.location)?;
                }
                let dictionary = matches!(&argument.ty, Type::Dictionary(_));
                if argument.optional
                    && dictionary
                    && argument.default != Some(Default::EmptyDictionary)
                {
                    let what = "an optional dictionary argument has the default {}";
                    return Err(Error::invalid(&argument.location, what));
                }
            }
        }
        check_interface(&scope, interface)?;
    }
    check_inheritance(&idl)?;
    let mut checked = BTreeSet::new();
    for interface in idl.implemented() {
        for (ty, location) in interface_types(interface) {
            check_reachable(&idl, ty, location, &mut checked)?;
        }
    }
    Ok(idl)
}

fn interface_types(interface: &Interface) -> Vec<(&Type, &Location)> {
    let mut types: Vec<_> = interface
        .attributes
        .iter()
        .map(|attribute| (&attribute.ty, &attribute.location))
        .collect();
    for operation in interface
        .operations
        .iter()
        .flatten()
        .chain(&interface.constructors)
    {
        types.push((&operation.result, &operation.location));
        types.extend(
            operation
                .arguments
                .iter()
                .map(|argument| (&argument.ty, &argument.location)),
        );
    }
    types
}

/// Every type that a generated interface mentions must be generated, too.
fn check_reachable(
    idl: &Idl,
    ty: &Type,
    location: &Location,
    checked: &mut BTreeSet<String>,
) -> Result<(), Error> {
    match ty {
        Type::Sequence(inner) | Type::Promise(inner) | Type::Nullable(inner) => {
            check_reachable(idl, inner, location, checked)
        }
        Type::Interface(name)
            if idl
                .interfaces
                .get(name)
                .is_some_and(|interface| interface.unimplemented) =>
        {
            let what =
                format!("the interface '{name}' is used here but marked [ReelcoreUnimplemented]");
            Err(Error::invalid(location, what))
        }
        Type::Dictionary(name) | Type::Callback(name) | Type::Union(name) => {
            if !checked.insert(name.clone()) {
                return Ok(());
            }
            if let Some(dictionary) = idl.dictionaries.get(name) {
                for (_, member) in idl.all_members(dictionary) {
                    check_reachable(idl, &member.ty, &member.location, checked)?;
                }
            }
            if let Some(callback) = idl.callbacks.get(name) {
                check_reachable(idl, &callback.result, &callback.location, checked)?;
                for argument in &callback.arguments {
                    check_reachable(idl, &argument.ty, &argument.location, checked)?;
                }
            }
            for member in idl.union(name) {
                let location = idl
                    .typedefs
                    .get(name)
                    .map_or(location, |typedef| &typedef.location);
                check_reachable(idl, member, location, checked)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_unique(idl: &Idl) -> Result<(), Error> {
    let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
    let all = idl
        .interfaces
        .values()
        .map(|found| (&found.name, &found.location))
        .chain(
            idl.dictionaries
                .values()
                .map(|found| (&found.name, &found.location)),
        )
        .chain(
            idl.enums
                .values()
                .map(|found| (&found.name, &found.location)),
        )
        .chain(
            idl.callbacks
                .values()
                .map(|found| (&found.name, &found.location)),
        )
        .chain(
            idl.typedefs
                .values()
                .map(|found| (&found.name, &found.location)),
        );
    for (name, location) in all {
        if seen.insert(name, ()).is_some() {
            return Err(Error::invalid(
                location,
                format!("'{name}' is defined twice"),
            ));
        }
    }
    for dictionary in idl.dictionaries.values() {
        let mut names = BTreeSet::new();
        for member in &dictionary.members {
            if !names.insert(&member.name) {
                let what = format!(
                    "'{}' has two members named '{}'",
                    dictionary.name, member.name
                );
                return Err(Error::invalid(&member.location, what));
            }
        }
    }
    Ok(())
}

struct Resolver<'a> {
    idl: &'a Idl,
}

impl Resolver<'_> {
    fn ty(&self, ty: &mut Type, location: &Location, depth: usize) -> Result<(), Error> {
        if depth > 32 {
            return Err(Error::invalid(location, "a typedef refers to itself"));
        }
        match ty {
            Type::Sequence(inner) | Type::Promise(inner) => self.ty(inner, location, depth + 1)?,
            Type::Nullable(inner) => {
                self.ty(inner, location, depth + 1)?;
                let bad = matches!(
                    **inner,
                    Type::Nullable(_)
                        | Type::Any
                        | Type::Promise(_)
                        | Type::Dictionary(_)
                        | Type::EventHandler
                );
                if bad {
                    return Err(Error::invalid(location, "this type cannot be nullable"));
                }
            }
            Type::Named(name) => {
                let idl = self.idl;
                *ty = if let Some(interface) = idl.interfaces.get(name) {
                    if interface.external {
                        Type::External(name.clone())
                    } else {
                        Type::Interface(name.clone())
                    }
                } else if idl.dictionaries.contains_key(name) {
                    Type::Dictionary(name.clone())
                } else if idl.enums.contains_key(name) {
                    Type::Enum(name.clone())
                } else if idl.callbacks.contains_key(name) {
                    Type::Callback(name.clone())
                } else if let Some(typedef) = idl.typedefs.get(name) {
                    match &typedef.target {
                        Target::Union(_) => Type::Union(name.clone()),
                        Target::Alias(target) => {
                            let mut target = target.clone();
                            self.ty(&mut target, location, depth + 1)?;
                            target
                        }
                    }
                } else {
                    return Err(Error::invalid(location, format!("'{name}' is not defined")));
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn arguments(&self, arguments: &mut [Argument]) -> Result<(), Error> {
        for argument in arguments {
            self.ty(&mut argument.ty, &argument.location, 0)?;
        }
        Ok(())
    }
}

/// Types that no JavaScript value can be converted to here.
fn check_input(ty: &Type, location: &Location) -> Result<(), Error> {
    match ty {
        Type::Promise(_) => Err(Error::unsupported(location, "a promise as an input")),
        Type::External(name) => Err(Error::unsupported(
            location,
            format!("the external interface {name} as an input"),
        )),
        Type::EventHandler => Err(Error::unsupported(
            location,
            "EventHandler other than as an attribute",
        )),
        Type::Sequence(inner) | Type::Nullable(inner) => check_input(inner, location),
        _ => Ok(()),
    }
}

fn check_member(idl: &Idl, member: &Member) -> Result<(), Error> {
    if member.required && member.default.is_some() {
        return Err(Error::invalid(
            &member.location,
            "a required member has no default",
        ));
    }
    if matches!(member.ty, Type::Promise(_) | Type::EventHandler) {
        return Err(Error::unsupported(
            &member.location,
            "this type as a dictionary member",
        ));
    }
    match &member.default {
        Some(default) => check_default(idl, &member.ty, default, &member.location),
        None => Ok(()),
    }
}

fn check_default(
    idl: &Idl,
    ty: &Type,
    default: &Default,
    location: &Location,
) -> Result<(), Error> {
    let fits = match (ty, default) {
        (Type::Nullable(_), Default::Null) => true,
        (Type::Nullable(inner), _) => return check_default(idl, inner, default, location),
        (Type::Boolean, Default::Boolean(_)) => true,
        (Type::Integer(..), Default::Integer(_)) => true,
        (Type::Float { .. }, Default::Integer(_)) => true,
        (Type::Float { unrestricted, .. }, Default::Float(value)) => {
            *unrestricted || !matches!(value.as_str(), "NaN" | "Infinity" | "-Infinity")
        }
        (Type::DomString | Type::UsvString, Default::String(_)) => true,
        (Type::Enum(name), Default::String(value)) => idl
            .enums
            .get(name)
            .is_some_and(|found| found.values.contains(value)),
        (Type::Sequence(_), Default::EmptySequence) => true,
        (Type::Dictionary(_), Default::EmptyDictionary) => true,
        (Type::Union(_) | Type::Any, _) => {
            return Err(Error::unsupported(location, "a default of this type"));
        }
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(Error::invalid(
            location,
            "the default is no value of the type",
        ))
    }
}

fn check_attribute(attribute: &crate::model::Attribute) -> Result<(), Error> {
    match &attribute.ty {
        Type::EventHandler => {
            if attribute.readonly || !attribute.name.starts_with("on") || attribute.name.len() < 3 {
                return Err(Error::invalid(
                    &attribute.location,
                    "an EventHandler is a writable attribute 'on…'",
                ));
            }
            Ok(())
        }
        Type::Sequence(_) | Type::Dictionary(_) => Err(Error::invalid(
            &attribute.location,
            "an attribute is no sequence and no dictionary",
        )),
        ty if !attribute.readonly => check_input(ty, &attribute.location),
        _ => Ok(()),
    }
}

fn check_interface(idl: &Idl, interface: &Interface) -> Result<(), Error> {
    if let Some(parent) = &interface.parent {
        let known = parent == "EventTarget"
            && idl
                .interfaces
                .get(parent)
                .is_some_and(|parent| parent.external);
        if !known {
            let what = "inheritance from anything but an external EventTarget";
            return Err(Error::unsupported(&interface.location, what));
        }
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for attribute in &interface.attributes {
        if attribute.ty == Type::EventHandler && interface.parent.is_none() {
            return Err(Error::invalid(
                &attribute.location,
                "an EventHandler needs an EventTarget",
            ));
        }
        if !names.insert(&attribute.name) {
            return Err(Error::invalid(
                &attribute.location,
                format!("'{}' is defined twice", attribute.name),
            ));
        }
    }
    for group in &interface.operations {
        let Some(first) = group.first() else { continue };
        if !names.insert(&first.name) {
            return Err(Error::unsupported(
                &first.location,
                format!("'{}' as the name of two members", first.name),
            ));
        }
        if first.is_default
            && (group.len() > 1 || first.name != "toJSON" || !first.arguments.is_empty())
        {
            return Err(Error::invalid(&first.location, "[Default] is for toJSON()"));
        }
        let promises = group
            .iter()
            .filter(|operation| matches!(operation.result, Type::Promise(_)))
            .count();
        if promises != 0 && promises != group.len() {
            return Err(Error::invalid(
                &first.location,
                "either all overloads return a promise or none",
            ));
        }
        check_rust_names(group)?;
    }
    check_rust_names(&interface.constructors)
}

fn check_rust_names(group: &[crate::model::Operation]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for operation in group {
        if !seen.insert(&operation.rust_name) {
            let what = "overloads without a [ReelcoreRustName] each";
            return Err(Error::unsupported(&operation.location, what));
        }
    }
    Ok(())
}

fn check_inheritance(idl: &Idl) -> Result<(), Error> {
    for dictionary in idl.dictionaries.values() {
        let mut seen = BTreeSet::from([dictionary.name.as_str()]);
        let mut names: BTreeSet<&str> = dictionary
            .members
            .iter()
            .map(|member| member.name.as_str())
            .collect();
        let mut current: &Dictionary = dictionary;
        while let Some(parent) = &current.parent {
            if !seen.insert(parent) {
                return Err(Error::invalid(
                    &dictionary.location,
                    format!("'{parent}' inherits from itself"),
                ));
            }
            current = idl.dictionaries.get(parent).ok_or_else(|| {
                Error::invalid(
                    &dictionary.location,
                    format!("dictionary '{parent}' is not defined"),
                )
            })?;
            for member in &current.members {
                if !names.insert(&member.name) {
                    let what = format!(
                        "'{}' hides an inherited member '{}'",
                        dictionary.name, member.name
                    );
                    return Err(Error::invalid(&dictionary.location, what));
                }
            }
        }
    }
    // A dictionary that contains itself would have no end as a Rust struct.
    for dictionary in idl.dictionaries.values() {
        check_finite(idl, &dictionary.name, dictionary, 0)?;
    }
    Ok(())
}

fn check_finite(
    idl: &Idl,
    start: &str,
    dictionary: &Dictionary,
    depth: usize,
) -> Result<(), Error> {
    if depth > 64 {
        return Err(Error::unsupported(
            &dictionary.location,
            format!("'{start}', which contains itself,"),
        ));
    }
    for (_, member) in idl.all_members(dictionary) {
        let inner = match &member.ty {
            Type::Nullable(inner) => inner,
            ty => ty,
        };
        if let Type::Dictionary(name) = inner
            && let Some(inner) = idl.dictionaries.get(name)
        {
            if name == start {
                return Err(Error::unsupported(
                    &member.location,
                    format!("'{start}', which contains itself,"),
                ));
            }
            check_finite(idl, start, inner, depth + 1)?;
        }
    }
    Ok(())
}
