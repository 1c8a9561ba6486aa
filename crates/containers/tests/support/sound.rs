//! Builds files of sound by hand, for what no encoder at hand writes.
#![allow(dead_code)]

/// The checksum of an Ogg page, bit by bit.
fn page_sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

pub const CONTINUED: u8 = 1;
pub const FIRST: u8 = 2;
pub const LAST: u8 = 4;

/// A page of Ogg with this table of segments.
pub fn page(
    flags: u8,
    granule: i64,
    serial: u32,
    number: u32,
    lacing: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let mut out = b"OggS\0".to_vec();
    out.push(flags);
    out.extend(granule.to_le_bytes());
    out.extend(serial.to_le_bytes());
    out.extend(number.to_le_bytes());
    out.extend([0; 4]);
    out.push(lacing.len() as u8);
    out.extend(lacing);
    out.extend(body);
    let sum = page_sum(&out);
    out[22..26].copy_from_slice(&sum.to_le_bytes());
    out
}

/// The lacing values of a whole packet.
pub fn lacing(size: usize) -> Vec<u8> {
    let mut out = vec![255; size / 255];
    out.push((size % 255) as u8);
    out
}

/// A page of whole packets.
pub fn packets_page(
    flags: u8,
    granule: i64,
    serial: u32,
    number: u32,
    packets: &[&[u8]],
) -> Vec<u8> {
    let table: Vec<u8> = packets
        .iter()
        .flat_map(|packet| lacing(packet.len()))
        .collect();
    page(flags, granule, serial, number, &table, &packets.concat())
}

pub fn opus_head(channels: u8, pre_skip: u16) -> Vec<u8> {
    let mut out = b"OpusHead\x01".to_vec();
    out.push(channels);
    out.extend(pre_skip.to_le_bytes());
    out.extend([0x80, 0xbb, 0, 0, 0, 0, 0]);
    out
}

pub fn opus_tags(fields: &[&str]) -> Vec<u8> {
    let mut out = b"OpusTags\x01\0\0\0v".to_vec();
    out.extend((fields.len() as u32).to_le_bytes());
    for field in fields {
        out.extend((field.len() as u32).to_le_bytes());
        out.extend(field.as_bytes());
    }
    out
}

/// The two pages before the sound of a stream of Opus.
pub fn opus_start(serial: u32, channels: u8, pre_skip: u16) -> Vec<u8> {
    [
        packets_page(FIRST, 0, serial, 0, &[&opus_head(channels, pre_skip)]),
        packets_page(0, 0, serial, 1, &[&opus_tags(&["TITLE=Built"])]),
    ]
    .concat()
}

/// A packet of Opus of 20 ms: `size` bytes, told apart by `mark`.
pub fn opus(size: usize, mark: u8) -> Vec<u8> {
    let mut out = vec![mark; size];
    out[0] = 0xfc;
    out
}

/// A chunk of RIFF, padded.
pub fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = id.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

/// The content of a `fmt ` chunk.
pub fn wave_format(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let block = channels * bits.div_ceil(8);
    let mut out = tag.to_le_bytes().to_vec();
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(block)).to_le_bytes());
    out.extend(block.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out
}

pub fn extensible(sub: u16, channels: u16, rate: u32, bits: u16, valid: u16) -> Vec<u8> {
    let mut out = wave_format(0xfffe, channels, rate, bits);
    out.extend(22_u16.to_le_bytes());
    out.extend(valid.to_le_bytes());
    out.extend(3_u32.to_le_bytes());
    out.extend(sub.to_le_bytes());
    out.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    out
}

pub fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut out = b"RIFF".to_vec();
    out.extend((body.len() as u32 + 4).to_le_bytes());
    out.extend(b"WAVE");
    out.extend(body);
    out
}

/// A chunk of W64, padded.
pub fn w64_chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = id.to_vec();
    out.extend([
        0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a,
    ]);
    out.extend((body.len() as u64 + 24).to_le_bytes());
    out.extend(body);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

pub fn w64(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut out = b"riff".to_vec();
    out.extend([
        0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 0x04, 0xc1, 0, 0,
    ]);
    out.extend((body.len() as u64 + 40).to_le_bytes());
    out.extend(b"wave");
    out.extend([
        0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a,
    ]);
    out.extend(body);
    out
}

/// A frame of MP3 (MPEG-1 layer III, 128 kbit/s, 44.1 kHz, stereo): 417 bytes, of which the main data begin `back` bytes
/// before it.
pub fn mp3(back: u16, mark: u8) -> Vec<u8> {
    let mut out = vec![0xff, 0xfb, 0x90, 0x64, (back >> 1) as u8, (back << 7) as u8];
    out.resize(417, mark);
    out
}

/// A frame of MP3 that holds a Xing tag.
pub fn xing(frames: u32, lame: Option<(u32, u32)>) -> Vec<u8> {
    let mut out = vec![0xff, 0xfb, 0x90, 0x64];
    out.resize(36, 0);
    out.extend(b"Xing\0\0\0\x01");
    out.extend(frames.to_be_bytes());
    if let Some((delay, padding)) = lame {
        out.extend(b"LAME3.100");
        out.resize(out.len() + 12, 0);
        out.extend([
            (delay >> 4) as u8,
            (delay << 4) as u8 | (padding >> 8) as u8,
            padding as u8,
        ]);
    }
    out.resize(417, 0);
    out
}

/// An MP3 file whose header counts its frames and its bytes.
pub fn mp3_file(frames: u8, delay: u32, padding: u32) -> Vec<u8> {
    let mut header = xing(u32::from(frames), Some((delay, padding)));
    // The count of bytes stands behind that of the frames.
    header[43] |= 2;
    let bytes = (u32::from(frames) + 1) * 417;
    header.splice(48..48, bytes.to_be_bytes());
    header.truncate(417);
    let sound = (0..frames).flat_map(|mark| mp3(0, mark + 1));
    header.into_iter().chain(sound).collect()
}

/// A frame of MP3 of MPEG-2: 24 kHz, 32 kbit/s, mono, 96 bytes, 576 samples.
pub fn mp3_24(mark: u8) -> Vec<u8> {
    let mut out = vec![0xff, 0xf3, 0x44, 0xc4, 0, 0];
    out.resize(96, mark);
    out
}

/// A frame of ADTS (LC) with this index of the rate, channel configuration and payload.
pub fn adts_of(rate: u8, channels: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = adts(payload, 1, false);
    out[2] = 0x40 | rate << 2 | channels >> 2;
    out[3] = out[3] & 0x3f | channels << 6;
    out
}

/// An ID3v2 tag around frames.
pub fn id3(major: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let n = body.len() as u32;
    let size = [n >> 21, n >> 14 & 127, n >> 7 & 127, n & 127].map(|part| part as u8);
    [&b"ID3"[..], &[major, 0, flags], &size, body].concat()
}

/// A frame of an ID3v2.3 tag.
pub fn id3_frame(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [
        &id[..],
        &(content.len() as u32).to_be_bytes(),
        &[0, 0],
        content,
    ]
    .concat()
}

pub fn id3v1(title: &str) -> Vec<u8> {
    let mut out = format!("TAG{title}").into_bytes();
    out.resize(127, 0);
    out.push(17);
    out
}

/// An APE tag of version 2 with header and footer.
pub fn ape(name: &str, value: &str) -> Vec<u8> {
    let mut item = (value.len() as u32).to_le_bytes().to_vec();
    item.extend([0; 4]);
    item.extend(name.as_bytes());
    item.push(0);
    item.extend(value.as_bytes());
    let frame = |flags: u32| {
        let mut out = b"APETAGEX".to_vec();
        for word in [2000, item.len() as u32 + 32, 1, flags, 0, 0] {
            out.extend(word.to_le_bytes());
        }
        out
    };
    [frame(0xa000_0000), item.clone(), frame(0x8000_0000)].concat()
}

/// A frame of ADTS (LC, 44.1 kHz, stereo) with this payload, in `blocks` raw data blocks.
pub fn adts(payload: &[u8], blocks: u8, crc: bool) -> Vec<u8> {
    let sums = if crc { 2 * usize::from(blocks) } else { 0 };
    let size = payload.len() + 7 + sums;
    let mut out = vec![
        0xff,
        if crc { 0xf0 } else { 0xf1 },
        0x50,
        0x80 | (size >> 11) as u8,
    ];
    out.extend([
        (size >> 3) as u8,
        (size << 5) as u8 | 0x1f,
        0xfc | (blocks - 1),
    ]);
    out.resize(7 + sums, 0x55);
    out.extend(payload);
    out
}
