//! Tags, as iTunes writes them: `udta/meta/ilst`.

use super::super::tags::kind;
use super::boxes::Boxes;

/// Numbers, as `track` and `disc` have them: `3` or `3/12`.
fn pair(value: &str) -> Option<(u16, u16)> {
    let (number, total) = value.split_once('/').unwrap_or((value, "0"));
    Some((number.trim().parse().ok()?, total.trim().parse().ok()?))
}

/// Writes `udta`; nothing where there are no tags.
pub(super) fn write(b: &mut Boxes, tags: &[(String, String)]) {
    if tags.is_empty() {
        return;
    }
    b.bx(b"udta", |b| {
        b.full(b"meta", 0, 0, |b| {
            b.full(b"hdlr", 0, 0, |b| {
                b.u32(0);
                b.bytes(b"mdirappl");
                b.zeros(9);
            });
            b.bx(b"ilst", |b| {
                tags.iter().for_each(|(name, value)| item(b, name, value))
            });
        });
    });
}

fn item(b: &mut Boxes, name: &str, value: &str) {
    const UTF_8: u32 = 1;
    let text = |b: &mut Boxes| {
        b.bx(b"data", |b| {
            b.u32(UTF_8);
            b.u32(0);
            b.bytes(value.as_bytes());
        });
    };
    let numbers: Option<(&[u8; 4], _)> = match name {
        "track" => pair(value).map(|pair| (b"trkn", pair)),
        "disc" => pair(value).map(|pair| (b"disk", pair)),
        _ => None,
    };
    if let Some((kind, (number, total))) = numbers {
        b.bx(kind, |b| {
            b.bx(b"data", |b| {
                b.u32(0);
                b.u32(0);
                b.u16(0);
                b.u16(number);
                b.u16(total);
                if kind == b"trkn" {
                    b.u16(0);
                }
            });
        });
    } else if let Some(kind) = kind(name) {
        b.bx(kind, text);
    } else {
        // A free-form item brings its name along.
        b.bx(b"----", |b| {
            b.full(b"mean", 0, 0, |b| b.bytes(b"com.apple.iTunes"));
            b.full(b"name", 0, 0, |b| b.bytes(name.as_bytes()));
            text(b);
        });
    }
}
