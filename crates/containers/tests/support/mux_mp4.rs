//! One track of MP4, written to memory and read back.
#![allow(dead_code)]

use bytes::Bytes;
use reelcore_containers::mp4::Mp4Muxer;
use reelcore_containers::mux::MemorySink;
use reelcore_media::demux::Packet;
use reelcore_media::mux::{MuxOptions, Muxer, OutputPacket, OutputTrack};

use crate::muxed::{audio, open_bytes, tracks};

pub const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

pub fn described(track: OutputTrack, description: &'static [u8]) -> OutputTrack {
    OutputTrack {
        description: Some(Bytes::from_static(description)),
        ..track
    }
}

pub fn opus() -> OutputTrack {
    described(audio("opus", 48_000, 2), OPUS_HEAD)
}

pub fn fragmented() -> MuxOptions {
    MuxOptions {
        fragmented: true,
        ..MuxOptions::default()
    }
}

/// Writes one track to memory.
pub fn write(options: MuxOptions, track: OutputTrack, packets: &[OutputPacket]) -> Bytes {
    let mut sink = MemorySink::default();
    let mut muxer = Mp4Muxer::new(options);
    muxer.add_track(track).expect("a codec");
    for packet in packets {
        muxer.write(0, packet.clone(), &mut sink).expect("written");
    }
    muxer.finish(&mut sink).expect("finished");
    sink.into_bytes()
}

pub fn read(bytes: Bytes) -> Vec<Packet> {
    tracks(&open_bytes(bytes)).remove(0).1
}
