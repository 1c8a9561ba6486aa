//! The program association table and the program map table (2.4.4).

use reelcore_media::mux::{MuxError, OutputTrack};

use super::super::psi::crc;
use super::stream::Form;

/// The one program.
const PROGRAM: u16 = 1;

/// A section of these tables has at most so many bytes (2.4.4.3).
const MAX_SECTION: usize = 1024;

/// A section: its head, `body` and the CRC.
fn section(table_id: u8, id: u16, body: &[u8]) -> Result<Vec<u8>, MuxError> {
    let len = 5 + body.len() + 4;
    if 3 + len > MAX_SECTION {
        return Err(MuxError::Limit(format!(
            "the tables of the transport stream take {} bytes, {MAX_SECTION} are allowed: too many tracks",
            3 + len
        )));
    }
    let mut out = vec![table_id, 0xb0 | (len >> 8) as u8, len as u8];
    out.extend(id.to_be_bytes());
    // version_number 0, current_next_indicator; section 0 of 0.
    out.extend([0xc1, 0, 0]);
    out.extend(body);
    out.extend(crc(&out).to_be_bytes());
    Ok(out)
}

/// The program association table.
pub(super) fn association(map_pid: u16) -> Result<Vec<u8>, MuxError> {
    let mut body = PROGRAM.to_be_bytes().to_vec();
    body.extend((0xe000 | map_pid).to_be_bytes());
    section(0, 1, &body)
}

/// The program map table.
pub(super) fn map<'a>(
    clock_pid: u16,
    streams: impl Iterator<Item = (u16, &'a Form, &'a OutputTrack)>,
) -> Result<Vec<u8>, MuxError> {
    let mut body = (0xe000 | clock_pid).to_be_bytes().to_vec();
    // No descriptors of the program.
    body.extend([0xf0, 0]);
    for (pid, form, output) in streams {
        let (stream_type, mut info) = form.describe();
        let language = output.language.as_deref().map(str::as_bytes);
        if let Some(code @ [_, _, _]) = language
            && code.iter().all(u8::is_ascii_lowercase)
        {
            // ISO_639_language_descriptor, of no particular kind of sound.
            info.extend([10, 4]);
            info.extend(code);
            info.push(0);
        }
        body.push(stream_type);
        body.extend((0xe000 | pid).to_be_bytes());
        body.extend((0xf000 | info.len() as u16).to_be_bytes());
        body.extend(info);
    }
    section(2, PROGRAM, &body)
}
