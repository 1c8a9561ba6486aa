//! Codec strings as scripts write them: one codec has several.

use std::cell::RefCell;

/// Configurations whose outputs may still come, at most: a script that configures more often before the first output has the codec
/// string in its canonical form.
const KEPT: usize = 16;

/// The strings of `configure()`, by what they name.
pub(crate) struct CodecStrings<C>(RefCell<Vec<(C, String)>>);

impl<C: PartialEq + ToString> CodecStrings<C> {
    pub(crate) fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// `string` names `codec` from now on.
    pub(crate) fn add(&self, codec: C, string: &str) {
        let mut strings = self.0.borrow_mut();
        strings.retain(|(known, _)| *known != codec);
        if strings.len() == KEPT {
            strings.remove(0);
        }
        strings.push((codec, string.to_owned()));
    }

    /// What the script calls `codec`.
    pub(crate) fn of(&self, codec: &C) -> String {
        let strings = self.0.borrow();
        let found = strings.iter().find(|(known, _)| known == codec);
        found.map_or_else(|| codec.to_string(), |(_, string)| string.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_string_counts_and_old_ones_are_forgotten() {
        let strings = CodecStrings::new();
        strings.add(1, "one");
        strings.add(1, "uno");
        assert_eq!(strings.of(&1), "uno");
        assert_eq!(strings.of(&2), "2");
        for codec in 2..100 {
            strings.add(codec, "many");
        }
        assert_eq!(strings.of(&1), "1");
        assert!(strings.0.borrow().len() <= KEPT);
    }
}
