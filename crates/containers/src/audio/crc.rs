//! Checksums of Ogg pages, FLAC frames and LAME's tag, eight bytes at a time: every byte of a file passes here.

const fn table32() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 31 == 1 {
                crc << 1 ^ 0x04c1_1db7
            } else {
                crc << 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut level = 1;
    while level < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[level - 1][byte];
            tables[level][byte] = before << 8 ^ tables[0][(before >> 24) as usize];
            byte += 1;
        }
        level += 1;
    }
    tables
}

const fn table16() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 15 == 1 {
                crc << 1 ^ 0x8005
            } else {
                crc << 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut level = 1;
    while level < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[level - 1][byte];
            tables[level][byte] = before << 8 ^ tables[0][(before >> 8) as usize];
            byte += 1;
        }
        level += 1;
    }
    tables
}

const fn table_arc() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xa001
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

const fn table8() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 7 == 1 {
                crc << 1 ^ 0x07
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

static TABLE_32: [[u32; 256]; 8] = table32();
static TABLE_16: [[u16; 256]; 8] = table16();
static TABLE_ARC: [u16; 256] = table_arc();
static TABLE_8: [u8; 256] = table8();

/// Goes on with the checksum of an Ogg page (RFC 3533, section 6: polynomial 0x04c11db7, start 0, not reflected).
pub(crate) fn ogg(mut crc: u32, bytes: &[u8]) -> u32 {
    let t = &TABLE_32;
    let (groups, rest) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in groups {
        let x = crc ^ u32::from_be_bytes([a, b, c, d]);
        crc = t[7][(x >> 24) as usize]
            ^ t[6][(x >> 16 & 0xff) as usize]
            ^ t[5][(x >> 8 & 0xff) as usize]
            ^ t[4][(x & 0xff) as usize]
            ^ t[3][usize::from(e)]
            ^ t[2][usize::from(f)]
            ^ t[1][usize::from(g)]
            ^ t[0][usize::from(h)];
    }
    for &byte in rest {
        crc = crc << 8 ^ t[0][usize::from((crc >> 24) as u8 ^ byte)];
    }
    crc
}

/// Goes on with the CRC-16 of a FLAC frame (RFC 9639, section 9.3: polynomial 0x8005, start 0). Over a whole frame with
/// its footer it is 0.
pub(crate) fn flac16(mut crc: u16, bytes: &[u8]) -> u16 {
    let t = &TABLE_16;
    let (groups, rest) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in groups {
        let x = crc ^ u16::from_be_bytes([a, b]);
        crc = t[7][usize::from(x >> 8)]
            ^ t[6][usize::from(x & 0xff)]
            ^ t[5][usize::from(c)]
            ^ t[4][usize::from(d)]
            ^ t[3][usize::from(e)]
            ^ t[2][usize::from(f)]
            ^ t[1][usize::from(g)]
            ^ t[0][usize::from(h)];
    }
    for &byte in rest {
        crc = crc << 8 ^ t[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// Goes on with the CRC-16 of LAME's tag (polynomial 0x8005, start 0, reflected).
pub(crate) fn arc16(mut crc: u16, bytes: &[u8]) -> u16 {
    for &byte in bytes {
        crc = crc >> 8 ^ TABLE_ARC[usize::from(crc as u8 ^ byte)];
    }
    crc
}

/// The CRC-8 of a FLAC frame header (RFC 9639, section 9.1.8: polynomial 0x07, start 0). With its last byte it is 0.
pub(crate) fn flac8(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |crc, &byte| TABLE_8[usize::from(crc ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_published_check_string() {
        // "123456789" under CRC-32/MPEG-2 without its start value, CRC-16/UMTS, CRC-8/SMBUS.
        assert_eq!(ogg(0, b"123456789"), 0x89a1_897f);
        assert_eq!(flac16(0, b"123456789"), 0xfee8);
        assert_eq!(flac8(b"123456789"), 0xf4);
        // CRC-16/ARC.
        assert_eq!(arc16(0, b"123456789"), 0xbb3d);
    }

    #[test]
    fn a_checksum_in_parts_is_that_of_the_whole() {
        let bytes: Vec<u8> = (0..200_u32).map(|n| (n * 77) as u8).collect();
        for cut in 0..bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(ogg(ogg(0, a), b), ogg(0, &bytes));
            assert_eq!(flac16(flac16(0, a), b), flac16(0, &bytes));
        }
    }
}
