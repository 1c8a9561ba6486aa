//! Extended attributes.

use weedle::attribute::{ExtendedAttribute, IdentifierOrString};

use super::Reader;
use crate::Error;
use crate::model::Location;

/// Extended attributes, taken out one by one; what is left at the end is refused.
pub(super) struct Attributes<'r, 'a> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) left: Vec<&'r ExtendedAttribute<'a>>,
    pub(super) location: Location,
}

fn attribute_name<'a>(attribute: &ExtendedAttribute<'a>) -> &'a str {
    match attribute {
        ExtendedAttribute::ArgList(attribute) => attribute.identifier.0,
        ExtendedAttribute::NamedArgList(attribute) => attribute.lhs_identifier.0,
        ExtendedAttribute::IdentList(attribute) => attribute.identifier.0,
        ExtendedAttribute::Ident(attribute) => attribute.lhs_identifier.0,
        ExtendedAttribute::Wildcard(attribute) => attribute.lhs_identifier.0,
        ExtendedAttribute::NoArgs(attribute) => attribute.0.0,
    }
}

impl<'a> Attributes<'_, 'a> {
    pub(super) fn take(&mut self, name: &str) -> bool {
        let position = self.left.iter().position(
            |attribute| matches!(attribute, ExtendedAttribute::NoArgs(found) if found.0.0 == name),
        );
        position
            .map(|position| self.left.remove(position))
            .is_some()
    }

    pub(super) fn take_identifier(&mut self, name: &str) -> Option<&'a str> {
        let position = self.left.iter().position(
            |attribute| matches!(attribute, ExtendedAttribute::Ident(found) if found.lhs_identifier.0 == name),
        )?;
        match self.left.remove(position) {
            ExtendedAttribute::Ident(found) => match &found.rhs {
                IdentifierOrString::Identifier(identifier) => Some(identifier.0),
                IdentifierOrString::String(string) => Some(string.0),
            },
            _ => None,
        }
    }

    /// `[Exposed]`, which must include dedicated workers.
    pub(super) fn take_exposed(&mut self) -> Result<bool, Error> {
        let position = self
            .left
            .iter()
            .position(|attribute| attribute_name(attribute) == "Exposed");
        let Some(position) = position else {
            return Ok(false);
        };
        let fits = |name: &str| name == "DedicatedWorker" || name == "Worker";
        let attribute = self.left.remove(position);
        let exposed = match attribute {
            ExtendedAttribute::Wildcard(_) => true,
            ExtendedAttribute::IdentList(list) => {
                list.list.body.list.iter().any(|name| fits(name.0))
            }
            ExtendedAttribute::Ident(one) => {
                matches!(&one.rhs, IdentifierOrString::Identifier(name) if fits(name.0))
            }
            _ => false,
        };
        if exposed {
            Ok(true)
        } else {
            let location = self.reader.location(attribute_name(attribute));
            Err(Error::unsupported(
                &location,
                "[Exposed] without DedicatedWorker",
            ))
        }
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        match self.left.first() {
            None => Ok(()),
            Some(attribute) => {
                let name = attribute_name(attribute);
                Err(Error::unsupported(
                    &self.reader.location(name),
                    format!("the extended attribute [{name}] here"),
                ))
            }
        }
    }
}
