//! The list of tags, under caps.

/// Tags that are kept, at most.
const MAX_TAGS: usize = 256;

/// Bytes of a text that is kept, at most: a longer one is no title.
pub(crate) const MAX_TEXT: usize = 1 << 16;

/// Bytes of all texts that are kept, at most.
const MAX_BYTES: usize = 1 << 20;

/// Names in lower case with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    list: Vec<(String, String)>,
    bytes: usize,
}

impl Tags {
    /// Keeps a tag, unless there is one of this name.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if !self.list.iter().any(|(have, _)| have == name) {
            self.push(name, value);
        }
    }

    /// Keeps a tag; a second value of a name is joined to the first with a semicolon, as FFmpeg does.
    pub(crate) fn join(&mut self, name: &str, value: &str) {
        let Some((_, have)) = self.list.iter_mut().find(|(have, _)| have == name) else {
            return self.push(name, value);
        };
        let more = value.len() + 1;
        if have.len() + more <= MAX_TEXT && self.bytes + more <= MAX_BYTES {
            have.push(';');
            have.push_str(value);
            self.bytes += more;
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        let value = value.trim_end_matches(['\0', ' ']);
        let bytes = name.len() + value.len();
        let fits =
            self.list.len() < MAX_TAGS && bytes <= MAX_TEXT && self.bytes + bytes <= MAX_BYTES;
        if fits && !name.is_empty() && !value.is_empty() {
            self.bytes += bytes;
            self.list.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(crate) fn list(&self) -> &[(String, String)] {
        &self.list
    }

    /// Adds those of `other` whose names are not here.
    pub(crate) fn extend(&mut self, other: &Self) {
        for (name, value) in &other.list {
            self.add(name, value);
        }
    }
}
