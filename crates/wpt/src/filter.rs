//! Which tests a command line names.

use std::fmt;

/// One filter: a substring of the identifier, or a pattern when it holds `*`.
#[derive(Clone, Debug)]
pub struct Filter(String);

impl Filter {
    /// Makes a filter. `*` matches any run of characters, and a pattern with `*` must match the
    /// whole identifier; anything else, `?` included, stands for itself (variants start with `?`).
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether the identifier of a test matches.
    pub fn matches(&self, id: &str) -> bool {
        if !self.0.contains('*') {
            return id.contains(&self.0);
        }
        let mut pieces = self.0.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| id.strip_prefix(first)) else {
            return false;
        };
        let mut pieces = pieces.peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return rest.ends_with(piece);
            }
            // The leftmost match leaves the most for the pieces that follow.
            let Some(at) = rest.find(piece) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        rest.is_empty()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether any filter matches; no filter at all matches everything.
pub fn selected(filters: &[Filter], id: &str) -> bool {
    filters.is_empty() || filters.iter().any(|f| f.matches(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_a_substring_and_a_star_makes_a_pattern() {
        let id = "/webcodecs/video-decoder.https.any.worker.html?av1";
        for yes in [
            "video-decoder",
            "?av1",
            "*decoder*",
            "/webcodecs/*?av1",
            "*",
            "/webcodecs/**html?*",
        ] {
            assert!(Filter::new(yes).matches(id), "{yes}");
        }
        for no in ["audio", "decoder*", "*html", "/webcodecs/*?av", "*av1*av1"] {
            assert!(!Filter::new(no).matches(id), "{no}");
        }
    }

    #[test]
    fn no_filter_selects_everything() {
        assert!(selected(&[], "/x"));
        assert!(!selected(&[Filter::new("y")], "/x"));
    }
}
