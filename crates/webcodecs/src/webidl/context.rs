//! Where in a call a value stands: the beginning of every conversion error.

use std::fmt::{self, Display, Write as _};

use super::Exception;

/// A path from a call to the value under conversion. Building one costs nothing; text is made only for an error.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    parent: Option<&'a Context<'a>>,
    part: Part,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Constructor {
        interface: &'static str,
    },
    Operation {
        interface: &'static str,
        name: &'static str,
        is_static: bool,
    },
    Getter {
        interface: &'static str,
        name: &'static str,
    },
    Setter {
        interface: &'static str,
        name: &'static str,
    },
    Callback {
        name: &'static str,
    },
    Argument(usize),
    Value,
    Member {
        dictionary: &'static str,
        name: &'static str,
    },
    Element(usize),
}

impl Context<'static> {
    const fn root(part: Part) -> Self {
        Self { parent: None, part }
    }

    /// `new interface(…)`.
    pub const fn constructor(interface: &'static str) -> Self {
        Self::root(Part::Constructor { interface })
    }

    /// `interface.prototype.name(…)`.
    pub const fn operation(interface: &'static str, name: &'static str) -> Self {
        Self::root(Part::Operation {
            interface,
            name,
            is_static: false,
        })
    }

    /// `interface.name(…)`.
    pub const fn static_operation(interface: &'static str, name: &'static str) -> Self {
        Self::root(Part::Operation {
            interface,
            name,
            is_static: true,
        })
    }

    /// Reading the attribute `name`.
    pub const fn getter(interface: &'static str, name: &'static str) -> Self {
        Self::root(Part::Getter { interface, name })
    }

    /// Writing the attribute `name`.
    pub const fn setter(interface: &'static str, name: &'static str) -> Self {
        Self::root(Part::Setter { interface, name })
    }

    /// The value that a callback function returned.
    pub const fn callback(name: &'static str) -> Self {
        Self::root(Part::Callback { name })
    }
}

impl<'a> Context<'a> {
    /// The argument at `index`, counted from 0.
    pub const fn argument(&'a self, index: usize) -> Context<'a> {
        Context {
            parent: Some(self),
            part: Part::Argument(index),
        }
    }

    /// The value itself: that of a setter, or what a callback returned.
    pub const fn value(&'a self) -> Context<'a> {
        Context {
            parent: Some(self),
            part: Part::Value,
        }
    }

    /// The member `name` of `dictionary`.
    pub const fn member(&'a self, dictionary: &'static str, name: &'static str) -> Context<'a> {
        Context {
            parent: Some(self),
            part: Part::Member { dictionary, name },
        }
    }

    /// The element at `index` of a sequence.
    pub const fn element(&'a self, index: usize) -> Context<'a> {
        Context {
            parent: Some(self),
            part: Part::Element(index),
        }
    }

    /// A TypeError that says of the value here what `predicate` says, such as "is not of type 'Foo'.".
    #[cold]
    pub fn type_error(&self, predicate: impl Display) -> Exception {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{} {predicate}", Path(self), Subject(self.part));
        Exception::type_error(text)
    }

    /// A TypeError for the whole call or member: the path, then `message`.
    #[cold]
    pub fn error(&self, message: impl Display) -> Exception {
        Exception::type_error(format!("{}{message}", Path(self)))
    }

    /// The TypeError for too few arguments.
    #[cold]
    pub fn too_few_arguments(&self, required: usize, present: usize) -> Exception {
        let plural = if required == 1 { "" } else { "s" };
        self.error(format_args!(
            "{required} argument{plural} required, but only {present} present."
        ))
    }
}

/// The calls and members that lead to the value, outermost first.
struct Path<'a>(&'a Context<'a>);

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.0.parent {
            Path(parent).fmt(f)?;
        }
        match self.0.part {
            Part::Constructor { interface } => write!(f, "Failed to construct '{interface}': "),
            Part::Operation {
                interface,
                name,
                is_static: false,
            } => {
                write!(f, "Failed to execute '{name}' on '{interface}': ")
            }
            Part::Operation {
                interface,
                name,
                is_static: true,
            } => {
                write!(f, "Failed to execute '{interface}.{name}': ")
            }
            Part::Getter { interface, name } => {
                write!(
                    f,
                    "Failed to read the '{name}' property from '{interface}': "
                )
            }
            Part::Setter { interface, name } => {
                write!(f, "Failed to set the '{name}' property on '{interface}': ")
            }
            Part::Callback { name } => write!(f, "Failed to use what '{name}' returned: "),
            Part::Member { dictionary, name } => {
                write!(
                    f,
                    "Failed to read the '{name}' property from '{dictionary}': "
                )
            }
            Part::Argument(_) | Part::Value | Part::Element(_) => Ok(()),
        }
    }
}

struct Subject(Part);

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Part::Argument(index) => write!(f, "parameter {}", index + 1),
            Part::Element(index) => write!(f, "element {index} of the sequence"),
            _ => f.write_str("The provided value"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call_the_member_and_the_value() {
        let call = Context::operation("VideoFrame", "copyTo");
        let argument = call.argument(1);
        let layout = argument.member("VideoFrameCopyToOptions", "layout");
        let element = layout.element(2);
        let member = element.member("PlaneLayout", "offset");
        assert_eq!(
            member.type_error("is not a finite number.").to_string(),
            "TypeError: Failed to execute 'copyTo' on 'VideoFrame': Failed to read the 'layout' property from \
             'VideoFrameCopyToOptions': Failed to read the 'offset' property from 'PlaneLayout': The provided value \
             is not a finite number."
        );
        assert_eq!(
            argument.type_error("is not of type 'Foo'.").to_string(),
            "TypeError: Failed to execute 'copyTo' on 'VideoFrame': parameter 2 is not of type 'Foo'."
        );
        assert_eq!(
            call.too_few_arguments(1, 0).to_string(),
            "TypeError: Failed to execute 'copyTo' on 'VideoFrame': 1 argument required, but only 0 present."
        );
    }
}
