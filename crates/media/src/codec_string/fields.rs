//! The parts of a codec string between its full stops.

/// Reads one part after another, with the name of each for the error.
pub(super) struct Fields<'a> {
    rest: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Reads what follows a codec's name; `None` when nothing does, not even a full stop.
    pub(super) fn new(rest: Option<&'a str>) -> Self {
        Self { rest }
    }

    /// Whether no part is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_none()
    }

    /// The next part.
    pub(super) fn next(&mut self, name: &str) -> Result<&'a str, String> {
        let rest = self.rest.ok_or_else(|| format!("{name} is missing"))?;
        let (part, rest) = match rest.split_once('.') {
            Some((part, rest)) => (part, Some(rest)),
            None => (rest, None),
        };
        self.rest = rest;
        Ok(part)
    }

    /// The next part, as exactly `digits` decimal digits.
    pub(super) fn decimal(&mut self, name: &str, digits: usize) -> Result<u8, String> {
        let part = self.next(name)?;
        fixed_decimal(part, name, digits)
    }

    /// As [`Fields::decimal`], or `default` where no part is left.
    pub(super) fn decimal_or(
        &mut self,
        default: u8,
        name: &str,
        digits: usize,
    ) -> Result<u8, String> {
        if self.is_empty() {
            return Ok(default);
        }
        self.decimal(name, digits)
    }

    /// Succeeds when no part is left.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.rest {
            None => Ok(()),
            Some(rest) => Err(format!("expected the end, found `.{}`", clip(rest))),
        }
    }
}

/// Exactly `digits` decimal digits.
pub(super) fn fixed_decimal(part: &str, name: &str, digits: usize) -> Result<u8, String> {
    if part.len() == digits
        && part.bytes().all(|b| b.is_ascii_digit())
        && let Ok(value) = part.parse()
    {
        return Ok(value);
    }
    Err(format!(
        "{name} must be {digits} decimal digit{}, found `{}`",
        if digits == 1 { "" } else { "s" },
        clip(part)
    ))
}

/// A decimal number without leading zeros or sign, at most `max`.
pub(super) fn decimal_up_to(part: &str, name: &str, max: u8) -> Result<u8, String> {
    let plain =
        part.bytes().all(|b| b.is_ascii_digit()) && (part.len() == 1 || !part.starts_with('0'));
    match part.parse() {
        Ok(value) if plain && value <= max => Ok(value),
        _ => Err(format!(
            "{name} must be a number from 0 to {max}, found `{}`",
            clip(part)
        )),
    }
}

/// Between `min` and `max` hexadecimal digits of either case.
pub(super) fn hex(part: &str, name: &str, min: usize, max: usize) -> Result<u32, String> {
    if (min..=max).contains(&part.len())
        && part.bytes().all(|b| b.is_ascii_hexdigit())
        && let Ok(value) = u32::from_str_radix(part, 16)
    {
        return Ok(value);
    }
    let count = if min == max {
        format!("{max}")
    } else {
        format!("{min} to {max}")
    };
    Err(format!(
        "{name} must be {count} hexadecimal digits, found `{}`",
        clip(part)
    ))
}

/// The start of a part, for an error.
pub(super) fn clip(part: &str) -> String {
    part.chars().take(24).collect()
}
