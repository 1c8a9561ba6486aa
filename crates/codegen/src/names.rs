//! Names of Web IDL as Rust spells them.

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "static", "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe",
    "unsized", "use", "virtual", "where", "while", "yield",
];

/// `codedWidth` to `coded_width`, `toJSON` to `to_json`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut previous_lower = false;
    for character in name.chars() {
        if character == '-' {
            out.push('_');
            previous_lower = false;
            continue;
        }
        if character.is_ascii_uppercase() && previous_lower {
            out.push('_');
        }
        previous_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        out.push(character.to_ascii_lowercase());
    }
    out
}

/// As [`snake`], escaped where it is a keyword.
pub(crate) fn identifier(name: &str) -> String {
    let name = snake(name);
    if KEYWORDS.contains(&name.as_str()) {
        format!("r#{name}")
    } else {
        name
    }
}

/// `VideoFrame` to `video_frame`: the file of an interface.
pub(crate) fn module(name: &str) -> String {
    let mut out = String::new();
    let characters: Vec<char> = name.chars().collect();
    for (index, character) in characters.iter().enumerate() {
        let after_lower = index > 0 && !characters[index - 1].is_ascii_uppercase();
        let before_lower = index > 0
            && characters
                .get(index + 1)
                .is_some_and(char::is_ascii_lowercase);
        if character.is_ascii_uppercase() && (after_lower || before_lower) {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

/// An enumeration value as a variant: `no-preference` to `NoPreference`, `iec61966-2-1` to `Iec61966_2_1`.
pub(crate) fn variant(value: &str) -> String {
    let mut out = String::new();
    for word in value.split(|character: char| !character.is_ascii_alphanumeric()) {
        let mut characters = word.chars();
        let Some(first) = characters.next() else {
            continue;
        };
        if first.is_ascii_digit() {
            out.push('_');
        }
        out.push(first.to_ascii_uppercase());
        out.extend(characters);
    }
    if out.is_empty() { "Empty".into() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_idiomatic() {
        assert_eq!(snake("codedWidth"), "coded_width");
        assert_eq!(snake("toJSON"), "to_json");
        assert_eq!(identifier("type"), "r#type");
        assert_eq!(module("DOMRectReadOnly"), "dom_rect_read_only");
        assert_eq!(module("EncodedVideoChunk"), "encoded_video_chunk");
        assert_eq!(variant("no-preference"), "NoPreference");
        assert_eq!(variant("iec61966-2-1"), "Iec61966_2_1");
        assert_eq!(variant("I420AP10"), "I420AP10");
        assert_eq!(variant("u8-planar"), "U8Planar");
        assert_eq!(variant(""), "Empty");
    }
}
