//! Builds MP4 boxes by hand, for files that no encoder at hand writes.
#![allow(dead_code)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reelcore_containers::{BytesSource, open};
use reelcore_media::demux::{DemuxError, Demuxer, Packet, Source};

/// The folder of the sample clips.
pub fn clips() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/media")
}

/// The bytes of a sample clip.
pub fn clip(name: &str) -> Vec<u8> {
    std::fs::read(clips().join(name)).expect("the sample clip is checked in")
}

/// Opens a file in memory.
pub fn open_bytes(bytes: Vec<u8>) -> Result<Arc<dyn Demuxer>, DemuxError> {
    open(Arc::new(BytesSource::new(bytes)))
}

/// What holds for every packet of every container.
pub fn assert_decodes_in_time(packet: &Packet) {
    assert!(
        packet.decode_time <= packet.chunk.timestamp,
        "the packet at byte {} is decoded at {} us, after {} us at which it is shown",
        packet.offset,
        packet.decode_time,
        packet.chunk.timestamp
    );
}

/// All packets of a track.
pub fn packets(demuxer: &Arc<dyn Demuxer>, track: usize) -> Result<Vec<Packet>, DemuxError> {
    let mut reader = Arc::clone(demuxer).reader(track)?;
    let mut all = Vec::new();
    while let Some(packet) = reader.next_sample()? {
        assert_decodes_in_time(&packet);
        all.push(packet);
    }
    Ok(all)
}

/// A stream of which the first bytes have come. What needs more would wait for it: here that fails, and is counted.
pub struct Arriving {
    bytes: Vec<u8>,
    arrived: AtomicUsize,
    waits: AtomicUsize,
}

impl Arriving {
    pub fn new(bytes: Vec<u8>, arrived: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            arrived: arrived.into(),
            waits: 0.into(),
        })
    }

    /// Lets the bytes up to here come.
    pub fn arrive(&self, end: usize) {
        self.arrived.store(end, Ordering::Relaxed);
    }

    /// How often bytes were asked for that have not come.
    pub fn waits(&self) -> usize {
        self.waits.load(Ordering::Relaxed)
    }
}

impl Source for Arriving {
    fn len(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let here = &self.bytes[..self.arrived.load(Ordering::Relaxed)];
        let here = here.get(offset as usize..).unwrap_or_default();
        if here.is_empty() {
            self.waits.fetch_add(1, Ordering::Relaxed);
            return Err(io::Error::other("these bytes have not come"));
        }
        let count = here.len().min(buffer.len());
        buffer[..count].copy_from_slice(&here[..count]);
        Ok(count)
    }
}

/// A box.
pub fn bx(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = ((body.len() + 8) as u32).to_be_bytes().to_vec();
    out.extend(kind);
    out.extend(body);
    out
}

/// A full box.
pub fn full(kind: &[u8; 4], version: u8, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    let head = (u32::from(version) << 24 | flags).to_be_bytes();
    let mut all = vec![&head[..]];
    all.extend(parts);
    bx(kind, &all)
}

/// Big-endian numbers of 32 bits.
pub fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// A counted table of numbers of 32 bits, `columns` to an entry.
pub fn table(columns: usize, values: &[u32]) -> Vec<u8> {
    let mut out = words(&[(values.len() / columns) as u32]);
    out.extend(words(values));
    out
}

/// The identity matrix of `tkhd` and `mvhd`.
pub const IDENTITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// A track to be built.
pub struct TrackBuilder {
    pub id: u32,
    pub handler: [u8; 4],
    pub scale: u32,
    pub matrix: [u32; 9],
    pub size: (u32, u32),
    /// The body of `elst` after the count, version 0.
    pub edits: Vec<u32>,
    /// Sample entries, one after another.
    pub entry: Vec<u8>,
    /// The boxes of `stbl` besides `stsd`.
    pub tables: Vec<u8>,
}

impl TrackBuilder {
    /// A video track of H.264 with empty tables.
    pub fn video(scale: u32) -> Self {
        Self {
            id: 1,
            handler: *b"vide",
            scale,
            matrix: IDENTITY,
            size: (64, 48),
            edits: Vec::new(),
            entry: visual_entry(
                b"avc1",
                64,
                48,
                &bx(b"avcC", &[b"\x01\x42\xc0\x0a\xff\xe0\0"]),
            ),
            tables: Vec::new(),
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let tkhd = full(
            b"tkhd",
            0,
            3,
            &[
                &words(&[0, 0, self.id, 0, 0]),
                &[0; 16],
                &words(&self.matrix),
                &words(&[self.size.0 << 16, self.size.1 << 16]),
            ],
        );
        let edts = if self.edits.is_empty() {
            Vec::new()
        } else {
            bx(b"edts", &[&full(b"elst", 0, 0, &[&table(3, &self.edits)])])
        };
        let (mut count, mut at) = (0, 0);
        while let Some(size) = self.entry.get(at..at + 4) {
            at += u32::from_be_bytes(size.try_into().expect("4 bytes")) as usize;
            count += 1;
        }
        let stsd = full(b"stsd", 0, 0, &[&words(&[count]), &self.entry]);
        let dref = full(b"dref", 0, 0, &[&words(&[1]), &full(b"url ", 0, 1, &[])]);
        let minf = bx(
            b"minf",
            &[&bx(b"dinf", &[&dref]), &bx(b"stbl", &[&stsd, &self.tables])],
        );
        let mdhd = full(
            b"mdhd",
            0,
            0,
            &[&words(&[0, 0, self.scale, 0]), &[0x55, 0xc4, 0, 0]],
        );
        let hdlr = full(b"hdlr", 0, 0, &[&words(&[0]), &self.handler, &[0; 13]]);
        bx(
            b"trak",
            &[&tkhd, &edts, &bx(b"mdia", &[&mdhd, &hdlr, &minf])],
        )
    }
}

/// A visual sample entry.
pub fn visual_entry(format: &[u8; 4], width: u16, height: u16, boxes: &[u8]) -> Vec<u8> {
    bx(
        format,
        &[
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0; 16],
            &width.to_be_bytes(),
            &height.to_be_bytes(),
            &[0; 50],
            boxes,
        ],
    )
}

/// An audio sample entry, version 0.
pub fn audio_entry(format: &[u8; 4], channels: u16, bits: u16, rate: u32, boxes: &[u8]) -> Vec<u8> {
    bx(
        format,
        &[
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0; 8],
            &channels.to_be_bytes(),
            &bits.to_be_bytes(),
            &[0; 4],
            &(rate << 16).to_be_bytes(),
            boxes,
        ],
    )
}

/// A `moov` box with a time scale of 1000.
pub fn moov(tracks: &[Vec<u8>], more: &[u8]) -> Vec<u8> {
    let mvhd = full(
        b"mvhd",
        0,
        0,
        &[
            &words(&[0, 0, 1000, 0, 0x1_0000]),
            &[0; 12],
            &words(&IDENTITY),
            &[0; 28],
        ],
    );
    bx(b"moov", &[&mvhd, &tracks.concat(), more])
}

/// A progressive file: `ftyp`, `mdat` with `data` (which begins at byte 24), `moov`.
pub fn progressive(data: &[u8], tracks: &[Vec<u8>]) -> Vec<u8> {
    [
        bx(b"ftyp", &[b"isom\0\0\0\0"]),
        bx(b"mdat", &[data]),
        moov(tracks, &[]),
    ]
    .concat()
}

/// Where the data of [`progressive`] begin.
pub const DATA: u32 = 24;

/// The sample tables of a track whose samples are in fragments.
pub fn no_samples() -> Vec<u8> {
    [
        full(b"stts", 0, 0, &[&words(&[0])]),
        full(b"stsc", 0, 0, &[&words(&[0])]),
        full(b"stsz", 0, 0, &[&words(&[0, 0])]),
        full(b"stco", 0, 0, &[&words(&[0])]),
    ]
    .concat()
}

/// The sample tables of ten pictures of one byte and 100 ticks in one chunk at [`DATA`], of which the first and the sixth are key.
pub fn ten_pictures() -> Vec<u8> {
    [
        full(b"stts", 0, 0, &[&table(2, &[10, 100])]),
        full(b"stss", 0, 0, &[&table(1, &[1, 6])]),
        full(b"stsc", 0, 0, &[&table(3, &[1, 10, 1])]),
        full(b"stsz", 0, 0, &[&words(&[1, 10])]),
        full(b"stco", 0, 0, &[&table(1, &[DATA])]),
    ]
    .concat()
}
