//! Reads every packet of a file and says how fast that went: `cargo run --release -p reelcore-containers --example demux
//! -- FILE`; with `--list` it prints the packets instead.

use std::sync::Arc;
use std::time::Instant;

use reelcore_containers::{FileSource, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let list = arguments.iter().any(|argument| argument == "--list");
    arguments.retain(|argument| argument != "--list");
    let path = arguments.first().ok_or("expected a file")?;
    let begun = Instant::now();
    let demuxer = open(Arc::new(FileSource::open(path)?))?;
    println!(
        "{}, {:?} us, opened in {:?}",
        demuxer.container(),
        demuxer.duration(),
        begun.elapsed()
    );
    for (index, track) in demuxer.tracks().iter().enumerate() {
        println!(
            "track {index}, id {}: {:?} {:?}",
            track.id, track.codec, track.kind
        );
        let begun = Instant::now();
        let (mut packets, mut bytes) = (0_u64, 0_u64);
        let mut reader = Arc::clone(&demuxer).reader(index)?;
        while let Some(packet) = reader.next_sample()? {
            packets += 1;
            bytes += packet.chunk.data.len() as u64;
            if list {
                let chunk = &packet.chunk;
                println!(
                    "{:>10} {:>10} {:?} {:?} {} at {}",
                    chunk.timestamp,
                    packet.decode_time,
                    chunk.duration,
                    chunk.kind,
                    chunk.data.len(),
                    packet.offset
                );
            }
        }
        let time = begun.elapsed().as_secs_f64();
        println!(
            "  {packets} packets, {bytes} bytes in {time:.4} s: {:.0} packets/s, {:.0} MB/s of payload",
            packets as f64 / time,
            bytes as f64 / time / 1e6
        );
    }
    Ok(())
}
