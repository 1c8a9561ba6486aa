//! Names for a module that is written as WGSL.

use naga::{Constant, Handle, Module, Override, Type, TypeInner};

/// A word that the source does not contain, so that no name of the source contains it.
pub(super) fn unused_prefix(source: &str) -> String {
    let mut prefix = "lowered".to_owned();
    while source.contains(&prefix) {
        prefix.push('q');
    }
    prefix
}

/// Names that naga's namer leaves as they are: unique, of letters, no keyword.
pub(super) struct Names<'a> {
    pub(super) prefix: &'a str,
}

impl Names<'_> {
    pub(super) fn of(&self, kind: char, index: usize) -> String {
        let mut name = format!("{}_{kind}_", self.prefix);
        letters(&mut name, index);
        name
    }

    pub(super) fn member(&self, ty: usize, index: usize) -> String {
        self.pair('m', ty, index)
    }

    /// Of an entry point: the writer renames arguments of one name in several functions.
    pub(super) fn argument(&self, entry_point: usize, index: usize) -> String {
        self.pair('p', entry_point, index)
    }

    fn pair(&self, kind: char, first: usize, second: usize) -> String {
        let mut name = self.of(kind, first);
        name.push('_');
        letters(&mut name, second);
        name
    }

    pub(super) fn of_constant(&self, handle: Handle<Constant>) -> String {
        self.of('c', handle.index())
    }

    pub(super) fn of_override(&self, handle: Handle<Override>) -> String {
        self.of('o', handle.index())
    }

    /// `None` for those that are WGSL's own, which have no name there.
    pub(super) fn of_struct(&self, module: &Module, ty: Handle<Type>) -> Option<String> {
        (!is_predeclared(module, ty)).then(|| self.of('t', ty.index()))
    }

    pub(super) fn of_member(
        &self,
        module: &Module,
        ty: Handle<Type>,
        index: u32,
    ) -> Option<String> {
        let index = usize::try_from(index).ok()?;
        match &module.types[ty].inner {
            TypeInner::Struct { members, .. } if is_predeclared(module, ty) => {
                members.get(index)?.name.clone()
            }
            _ => Some(self.member(ty.index(), index)),
        }
    }
}

/// `number` in letters, ended by one that is no digit of it: no such text is the start of another.
fn letters(out: &mut String, number: usize) {
    for digit in format!("{number:x}").bytes() {
        let value = if digit.is_ascii_digit() {
            digit - b'0'
        } else {
            digit - b'a' + 10
        };
        out.push(char::from(b'a' + value));
    }
    out.push('z');
}

pub(super) fn is_predeclared(module: &Module, handle: Handle<Type>) -> bool {
    module
        .special_types
        .predeclared_types
        .values()
        .any(|&predeclared| predeclared == handle)
}
