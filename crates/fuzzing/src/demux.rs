//! Arbitrary bytes as a container.

use std::sync::Arc;

use bytes::Bytes;
use reelcore_containers::{BytesSource, Limits, StreamLimits, open_with, stream};
use reelcore_media::demux::{Demuxer, Source};

/// Caps that keep one input quick: what passes them is an error, which is as good as any.
pub(crate) fn limits() -> Limits {
    Limits {
        max_header_bytes: 8 << 20,
        max_tracks: 64,
        max_packet_bytes: 8 << 20,
    }
}

/// Packets of one track that are read, at most.
const PACKETS: usize = 10_000;

/// What must hold of whatever a demuxer says.
pub(crate) fn examine(demuxer: &Arc<dyn Demuxer>, len: u64, seek: bool) {
    let _ = demuxer.duration();
    let _ = demuxer.tags();
    for (index, track) in demuxer.tracks().iter().enumerate() {
        assert!(
            track.encryption.is_none() || track.codec.is_none(),
            "an encrypted track has no codec to configure"
        );
        let Ok(mut reader) = demuxer.clone().reader(index) else {
            continue;
        };
        let read = |reader: &mut Box<dyn reelcore_media::demux::PacketReader>, most: usize| {
            let mut bytes = 0_u64;
            for _ in 0..most {
                match reader.next_sample() {
                    Ok(Some(packet)) => bytes += packet.chunk.data.len() as u64,
                    Ok(None) => return,
                    Err(error) => {
                        assert!(!error.to_string().is_empty());
                        // After an error a reader is at its end.
                        assert!(matches!(reader.next_sample(), Ok(None)));
                        return;
                    }
                }
                // Samples may overlap, and headers may be put before packets, but nothing makes bytes out of nothing.
                assert!(
                    bytes <= len.saturating_mul(64).max(1 << 20),
                    "{bytes} bytes out of {len}"
                );
            }
        };
        read(&mut reader, PACKETS);
        if !seek {
            continue;
        }
        for time in [0, 40_000, 10_000_000, -5, i64::MIN, i64::MAX] {
            if reader.seek(time).is_ok() {
                read(&mut reader, 16);
            }
        }
    }
    assert!(demuxer.clone().reader(usize::MAX).is_err());
}

/// As a file in memory.
pub fn any(input: &[u8]) {
    let source = Arc::new(BytesSource::new(Bytes::copy_from_slice(input)));
    if let Ok(demuxer) = open_with(source, &limits()) {
        examine(&demuxer, input.len() as u64, true);
    }
}

/// As a stream that arrives in pieces, whose size the first byte gives.
pub fn streamed(input: &[u8]) {
    let Some((&size, content)) = input.split_first() else {
        return;
    };
    let (feed, source) = stream_with(content, usize::from(size) + 1);
    if let Ok(demuxer) = open_with(source, &limits()) {
        examine(&demuxer, content.len() as u64, false);
    }
    drop(feed);
}

/// All of it is there from the start, so that nothing waits.
fn stream_with(content: &[u8], size: usize) -> (reelcore_containers::StreamFeed, Arc<dyn Source>) {
    let (feed, source) = stream(StreamLimits::default(), || ());
    for piece in content.chunks(size) {
        feed.push(Bytes::copy_from_slice(piece));
    }
    feed.finish();
    (feed, Arc::new(source))
}
