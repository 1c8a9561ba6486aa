//! What an access unit of AAC-LC holds, read without decoding it: ISO/IEC 14496-3, 4.4.2.
//!
//! It is for what a decoder carries from one unit to the next. That is the half of the last transform that overlaps the next
//! one, which the unit before gives, and few things more, which this finds.

use std::sync::OnceLock;

use rusty_aac::encode::{BitWriter, spectral_emit};

use crate::lc::quantize::{BOOKS, ESCAPES, tuples};
use crate::lc::tables::{SCALE_FACTOR, long_bands, short_bands};

/// Syntactic elements: table 4.85.
const SCE: u32 = 0;
const CPE: u32 = 1;
const LFE: u32 = 3;
const DSE: u32 = 4;
const FIL: u32 = 6;
const END: u32 = 7;

/// Types of an extension payload that change what later units give, or whose length is not that of the element: table 4.121.
const EXT_DYNAMIC_RANGE: u32 = 11;
const EXT_SBR_DATA: u32 = 13;
const EXT_SBR_DATA_CRC: u32 = 14;

/// Codebooks without codewords: table 4.115.
const ZERO_HCB: u8 = 0;
const RESERVED_HCB: u8 = 12;
const NOISE_HCB: u8 = 13;

/// Bits that most codewords have at most, with room in the first cache for the tables of all codebooks.
const SHORT: u32 = 10;

/// A codeword without its values: in the lower bits its length with the signs that follow it, in the upper ones how many
/// escapes do. 0 is none.
type Entry = u8;

const LENGTH: u8 = 31;
const ESCAPES_AT: u32 = 5;

/// The codewords of a codebook.
struct Book {
    /// By the next [`SHORT`] bits.
    short: Box<[Entry]>,
    /// Longer codewords, left-aligned and in order.
    long: Vec<(u32, Entry)>,
}

impl Book {
    /// Of codewords: the code, its bits, what [`Entry`] holds.
    fn new(codes: impl Iterator<Item = (u32, u32, Entry)>) -> Self {
        let mut short = vec![0; 1 << SHORT].into_boxed_slice();
        let mut long = Vec::new();
        for (code, bits, entry) in codes {
            if bits <= SHORT {
                let first = (code << (SHORT - bits)) as usize;
                short[first..first + (1 << (SHORT - bits))].fill(entry);
            } else {
                long.push((code << (32 - bits), entry));
            }
        }
        long.sort_unstable();
        Self { short, long }
    }

    /// That of a spectral codebook, whose codewords rusty_aac's encoder writes.
    fn spectral(book: usize) -> Self {
        let (dim, largest, signed) = BOOKS[book];
        Self::new(tuples(book).map(|tuple| {
            let tuple = &tuple[..dim];
            let mut writer = BitWriter::new();
            spectral_emit(book, tuple, &mut writer);
            let signs = tuple.iter().filter(|&&value| value != 0 && !signed).count();
            let escapes = tuple
                .iter()
                .filter(|&&value| book == ESCAPES && value == largest)
                .count();
            // The shortest escape is five bits. Signs and escapes are behind the codeword.
            let bits = writer.bit_len() - signs - 5 * escapes;
            let bytes = writer.into_bytes();
            let code = bytes.iter().take(4).enumerate();
            let code = code.fold(0, |code, (at, &byte)| {
                code | u32::from(byte) << (24 - 8 * at)
            });
            let entry = (bits + signs) as u8 | (escapes as u8) << ESCAPES_AT;
            (code >> (32 - bits), bits as u32, entry)
        }))
    }

    /// The codeword that `bits` begin with.
    fn find(&self, bits: u32) -> Entry {
        match self.short[(bits >> (32 - SHORT)) as usize] {
            0 => self.find_long(bits),
            entry => entry,
        }
    }

    #[cold]
    fn find_long(&self, bits: u32) -> Entry {
        let behind = self.long.partition_point(|&(code, _)| code <= bits);
        let found = behind.checked_sub(1).and_then(|at| self.long.get(at));
        found.map_or(0, |&(_, entry)| entry)
    }
}

/// At 0 that of scale factors, then those of spectra.
fn books() -> &'static [Book; 12] {
    static BOOKS: OnceLock<[Book; 12]> = OnceLock::new();
    BOOKS.get_or_init(|| {
        std::array::from_fn(|book| match book {
            0 => Book::new(
                SCALE_FACTOR
                    .iter()
                    .map(|&(code, bits)| (code, u32::from(bits), bits)),
            ),
            _ => Book::spectral(book),
        })
    })
}

/// Bits, the most significant one of a byte first.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, at least 57 of them; 0 beyond the end.
    fn window(&self) -> u64 {
        let data = self.data.get(self.at / 8..).unwrap_or_default();
        let bytes = data.first_chunk::<8>().copied().unwrap_or_else(|| {
            let mut bytes = [0; 8];
            bytes[..data.len()].copy_from_slice(data);
            bytes
        });
        u64::from_be_bytes(bytes) << (self.at % 8)
    }

    fn is_within(&self) -> bool {
        self.at <= self.data.len() * 8
    }

    /// Up to 32 bits.
    fn read(&mut self, bits: u32) -> Option<u32> {
        let value = self.window() >> 32 >> (32 - bits);
        self.skip(bits as usize)?;
        Some(value as u32)
    }

    fn skip(&mut self, bits: usize) -> Option<()> {
        self.at = self.at.checked_add(bits)?;
        self.is_within().then_some(())
    }

    fn skip_code(&mut self, book: &Book) -> Option<()> {
        let entry = book.find((self.window() >> 32) as u32);
        (entry != 0).then_some(())?;
        self.skip(usize::from(entry & LENGTH))
    }

    /// `count` codewords of a spectral codebook, their signs and escapes.
    fn skip_codes(&mut self, book: &Book, count: usize) -> Option<()> {
        let mut window = self.window();
        let mut left = 57;
        for _ in 0..count {
            if left < 32 {
                window = self.window();
                left = 57;
            }
            let entry = book.find((window >> 32) as u32);
            let length = u32::from(entry & LENGTH);
            window <<= length;
            left -= length;
            self.at += length as usize;
            if entry > LENGTH {
                for _ in 0..entry >> ESCAPES_AT {
                    self.skip_escape()?;
                }
                left = 0;
            }
            if length == 0 || !self.is_within() {
                return None;
            }
        }
        Some(())
    }

    /// The type of the next element that is not [data of a stream](DSE) or [filling](FIL) without consequences: encoders write their
    /// name there.
    fn next_element(&mut self) -> Option<u32> {
        loop {
            match self.read(3)? {
                DSE => {
                    let aligned = self.read(5)? & 1 == 1;
                    let mut count = self.read(8)?;
                    if count == 255 {
                        count += self.read(8)?;
                    }
                    if aligned {
                        self.at = self.at.next_multiple_of(8);
                    }
                    self.skip(8 * count as usize)?;
                }
                FIL => {
                    let mut count = self.read(4)?;
                    if count == 15 {
                        count = (count + self.read(8)?).checked_sub(1)?;
                    }
                    if count > 0 {
                        let kind = self.read(4)?;
                        if matches!(kind, EXT_DYNAMIC_RANGE | EXT_SBR_DATA | EXT_SBR_DATA_CRC) {
                            return None;
                        }
                        self.skip(8 * count as usize - 4)?;
                    }
                }
                element => return Some(element),
            }
        }
    }

    /// 4.6.3.3: as many ones as the value has bits beyond four, a zero, and the value's bits.
    fn skip_escape(&mut self) -> Option<()> {
        let ones = self.window().leading_ones();
        // The largest value has 13 bits, the upper one of which is not written.
        (ones <= 8).then_some(())?;
        self.skip(2 * ones as usize + 5)
    }
}

/// `ics_info()`: table 4.6.
#[derive(Clone, Copy)]
struct Info {
    short: bool,
    /// Windows of each group.
    groups: [u8; 8],
    group_count: usize,
    max_sfb: usize,
}

/// What a unit holds, as far as it matters to the units after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// What of the units before only the last one matters to.
    SelfContained,
    /// Noise substitution, which goes on with a sequence of random numbers.
    Noise,
    /// Something that may change how later units are decoded, such as a program configuration element or spectral band
    /// replication; or no unit of the syntax.
    Other,
}

/// The syntax of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Syntax {
    elements: &'static [u32],
    long: &'static [u16],
    short: &'static [u16],
}

impl Syntax {
    /// Of `channel_configuration` and the index of the sampling rate; none where what a unit holds is not known from them.
    pub fn new(channel_configuration: u8, rate_index: u8) -> Option<Self> {
        // Table 1.19.
        let elements: &[u32] = match channel_configuration {
            1 => &[SCE],
            2 => &[CPE],
            3 => &[SCE, CPE],
            4 => &[SCE, CPE, SCE],
            5 => &[SCE, CPE, CPE],
            6 => &[SCE, CPE, CPE, LFE],
            7 => &[SCE, CPE, CPE, CPE, LFE],
            _ => return None,
        };
        (rate_index < 12).then(|| Self {
            elements,
            long: long_bands(rate_index),
            short: short_bands(rate_index),
        })
    }

    /// What a unit holds.
    pub fn content(&self, unit: &[u8]) -> Content {
        self.end(unit)
            .map_or(Content::Other, |(_, content)| content)
    }

    /// `raw_data_block()`: table 4.3. The bit behind it, and what it holds; none for [`Content::Other`].
    fn end(&self, unit: &[u8]) -> Option<(usize, Content)> {
        let mut bits = Bits { data: unit, at: 0 };
        let mut elements = self.elements.iter();
        let mut noise = false;
        loop {
            let element = bits.next_element()?;
            if element == END {
                let content = if noise {
                    Content::Noise
                } else {
                    Content::SelfContained
                };
                return elements.next().is_none().then_some((bits.at, content));
            }
            if elements.next() != Some(&element) {
                return None;
            }
            bits.skip(4)?;
            noise |= match element {
                CPE => self.pair(&mut bits)?,
                _ => self.channel(&mut bits, None)?,
            };
        }
    }

    /// `channel_pair_element()`: table 4.5. Whether it has noise.
    fn pair(&self, bits: &mut Bits<'_>) -> Option<bool> {
        let mut common = None;
        if bits.read(1)? == 1 {
            let info = self.info(bits)?;
            match bits.read(2)? {
                0 | 2 => {}
                1 => bits.skip(info.group_count * info.max_sfb)?,
                _ => return None,
            }
            common = Some(info);
        }
        Some(self.channel(bits, common)? | self.channel(bits, common)?)
    }

    fn info(&self, bits: &mut Bits<'_>) -> Option<Info> {
        let _reserved = bits.read(1)?;
        let short = bits.read(2)? == 2;
        let _window_shape = bits.read(1)?;
        let mut groups = [1, 0, 0, 0, 0, 0, 0, 0];
        let mut last = 0;
        let max_sfb;
        if short {
            max_sfb = bits.read(4)? as usize;
            let grouping = bits.read(7)?;
            for bit in (0..7).rev() {
                if grouping >> bit & 1 == 0 {
                    last += 1;
                }
                groups[last] += 1;
            }
        } else {
            max_sfb = bits.read(6)? as usize;
            // Prediction, which AAC-LC does not have.
            if bits.read(1)? == 1 {
                return None;
            }
        }
        let bands = if short { self.short } else { self.long };
        (max_sfb < bands.len()).then_some(Info {
            short,
            groups,
            group_count: last + 1,
            max_sfb,
        })
    }

    /// `individual_channel_stream()`: table 4.50. Whether it has noise.
    fn channel(&self, bits: &mut Bits<'_>, common: Option<Info>) -> Option<bool> {
        let _global_gain = bits.read(8)?;
        let info = match common {
            Some(info) => info,
            None => self.info(bits)?,
        };
        let Info {
            short,
            max_sfb,
            group_count,
            ..
        } = info;
        let all = books();
        // section_data()
        let mut codebooks = [[ZERO_HCB; 64]; 8];
        let length_bits = if short { 3 } else { 5 };
        let escape = (1 << length_bits) - 1;
        for group in &mut codebooks[..group_count] {
            let mut band = 0;
            while band < max_sfb {
                let codebook = bits.read(4)? as u8;
                if codebook == RESERVED_HCB {
                    return None;
                }
                let begin = band;
                loop {
                    let more = bits.read(length_bits)?;
                    band += more as usize;
                    if more != escape {
                        break;
                    }
                }
                group[..max_sfb].get_mut(begin..band)?.fill(codebook);
            }
        }
        // scale_factor_data()
        let mut noise = false;
        for group in &codebooks[..group_count] {
            for &codebook in &group[..max_sfb] {
                match codebook {
                    ZERO_HCB => {}
                    // The first energy of a channel is not a difference.
                    NOISE_HCB if !std::mem::replace(&mut noise, true) => bits.skip(9)?,
                    _ => bits.skip_code(&all[0])?,
                }
            }
        }
        // pulse_data()
        if bits.read(1)? == 1 {
            if short {
                return None;
            }
            let pulses = bits.read(2)? + 1;
            bits.skip(6 + 9 * pulses as usize)?;
        }
        // tns_data()
        if bits.read(1)? == 1 {
            let (windows, count, length, order) = if short { (8, 1, 4, 3) } else { (1, 2, 6, 5) };
            for _ in 0..windows {
                let filters = bits.read(count)?;
                if filters == 0 {
                    continue;
                }
                let resolution = 3 + bits.read(1)?;
                for _ in 0..filters {
                    bits.skip(length)?;
                    let order = bits.read(order)?;
                    if order > 0 {
                        let _direction = bits.read(1)?;
                        let compressed = bits.read(1)?;
                        bits.skip((order * (resolution - compressed)) as usize)?;
                    }
                }
            }
        }
        // gain_control_data(), which AAC-LC does not have.
        if bits.read(1)? == 1 {
            return None;
        }
        // spectral_data()
        let bands = if short { self.short } else { self.long };
        for (group, &windows) in codebooks[..group_count].iter().zip(&info.groups) {
            for (&codebook, band) in group[..max_sfb].iter().zip(bands.windows(2)) {
                let codebook = usize::from(codebook);
                if (1..=ESCAPES).contains(&codebook) {
                    let lines = usize::from(band[1] - band[0]) * usize::from(windows);
                    bits.skip_codes(&all[codebook], lines / BOOKS[codebook].0)?;
                }
            }
        }
        Some(noise)
    }
}

#[cfg(test)]
mod tests {
    use reelcore_conformance::random::Random;
    use reelcore_conformance::sound::{clip, track};
    use reelcore_conformance::sound_encoding::{chunks, encode, encoder_config, music};

    use super::*;
    use crate::AacEncoder;

    /// A unit ends with zeros up to the next byte: what was read is right where nothing is left over.
    fn assert_read(what: &str, syntax: &Syntax, unit: &[u8]) {
        let read = syntax.end(unit);
        let (end, _) = read.unwrap_or_else(|| panic!("{what}: is read as something else"));
        assert_eq!(end.div_ceil(8), unit.len(), "{what}");
    }

    #[test]
    fn units_of_two_encoders_are_read_to_their_last_bit() {
        for (index, rate) in [
            (0, 96_000),
            (3, 48_000),
            (5, 32_000),
            (8, 16_000),
            (11, 8000),
        ] {
            for channels in [1, 2, 5, 6] {
                let what = format!("{channels} channels of {rate} Hz");
                let syntax = Syntax::new(channels as u8, index).expect("a syntax");
                let mut config = encoder_config("mp4a.40.2", rate, channels);
                config.bitrate = Some(u64::from(channels * rate) * 2);
                let sound = music(rate, channels, rate as usize);
                for chunk in chunks(&encode(&AacEncoder, &config, 0, &sound)) {
                    assert_read(&what, &syntax, &chunk.data);
                }
            }
        }
        for (rate, index, layout, bits) in [
            (44_100, 4, "stereo", "96k"),
            (44_100, 4, "stereo", "320k"),
            (48_000, 3, "mono", "64k"),
            (24_000, 6, "3.0", "96k"),
            (48_000, 3, "5.1", "384k"),
        ] {
            let name = format!("scan-{rate}-{layout}-{bits}.mka");
            let options = ["-c:a", "aac", "-aac_pns", "0", "-b:a", bits];
            let track = track(&clip(&name, rate, layout, &options));
            let syntax = Syntax::new(track.channels as u8, index).expect("a syntax");
            for chunk in &track.chunks {
                assert_read(&name, &syntax, &chunk.data);
            }
        }
    }

    #[test]
    fn noise_substitution_and_another_syntax_are_told_apart() {
        let options = ["-c:a", "aac", "-aac_pns", "1", "-b:a", "48k"];
        let noisy = track(&clip("scan-noise.mka", 44_100, "stereo", &options));
        let stereo = Syntax::new(2, 4).expect("a syntax");
        let mut noise = 0;
        for unit in &noisy.chunks {
            assert_read("with noise", &stereo, &unit.data);
            noise += usize::from(stereo.content(&unit.data) == Content::Noise);
        }
        assert!(noise * 2 > noisy.chunks.len(), "{noise}");

        let options = ["-c:a", "aac", "-aac_pns", "0"];
        let mono = track(&clip("scan-mono.mka", 44_100, "mono", &options));
        let own = Syntax::new(1, 4).expect("a syntax");
        for unit in &mono.chunks {
            assert_eq!(own.content(&unit.data), Content::SelfContained);
            assert_eq!(stereo.content(&unit.data), Content::Other);
            // Instead of END a program configuration element; a payload of spectral band replication, and END.
            let end = own.end(&unit.data).expect("is read").0 - 3;
            for last in [&[(5, 3)][..], &[(6, 3), (1, 4), (13, 4), (0, 4), (7, 3)]] {
                let mut writer = BitWriter::new();
                for at in 0..end {
                    writer.write_bool(unit.data[at / 8] >> (7 - at % 8) & 1 == 1);
                }
                last.iter()
                    .for_each(|&(value, bits)| writer.write(value, bits));
                writer.write(0, 24);
                assert_eq!(own.content(&writer.into_bytes()), Content::Other);
            }
        }
        assert!(Syntax::new(0, 4).is_none(), "what its PCE says");
        assert!(Syntax::new(2, 13).is_none(), "no such rate");
    }

    #[test]
    fn damaged_units_are_read_within_their_bits() {
        let options = ["-c:a", "aac", "-aac_pns", "0", "-b:a", "192k"];
        let track = track(&clip("scan-damage.mka", 44_100, "stereo", &options));
        let syntax = Syntax::new(2, 4).expect("a syntax");
        let mut random = Random(7);
        for _ in 0..20_000 {
            let mut unit = track.chunks[random.next(track.chunks.len())].data.to_vec();
            for _ in 0..=random.next(3) {
                let at = random.next(unit.len());
                unit[at] ^= 1 << random.next(8);
            }
            unit.truncate(1 + random.next(2 * unit.len()));
            if let Some((end, _)) = syntax.end(&unit) {
                assert!(end <= unit.len() * 8);
            }
        }
    }
}
