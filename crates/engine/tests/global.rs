//! The engine of the process. Alone in its binary, as there is one for each process.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use reelcore_codec_vpx::Vpx;
use reelcore_engine::{AlreadyStarted, ControlQueue, Delivery, Engine, Options, VideoDecode};
use reelcore_media::codec::{Limits, VideoDecoderConfig};
use reelcore_media::{ChunkKind, EncodedChunk, Registry, VideoCodec};

/// The header of a key frame of VP8: <https://www.rfc-editor.org/rfc/rfc6386#section-9.1>.
fn key_frame(width: u16, height: u16) -> EncodedChunk {
    let (tag, start_code) = ([0x10, 0x02, 0x00], [0x9d, 0x01, 0x2a]);
    let (width, height) = (width.to_le_bytes(), height.to_le_bytes());
    let data = [&tag[..], &start_code, &width, &height, &[0; 16]].concat();
    EncodedChunk::new(ChunkKind::Key, 0, Bytes::from(data))
}

/// Why a decoder of the process's engine refuses `chunk`.
fn refusal(chunk: EncodedChunk) -> String {
    let (wake, woken) = mpsc::channel();
    let wake = move || {
        let _ = wake.send(());
    };
    let registry = Registry::new().with_video_decoder(Vpx);
    let mut queue = ControlQueue::<VideoDecode>::new(Engine::global(), registry, wake);
    let codec = VideoCodec::parse("vp8").expect("a codec string");
    queue
        .configure(VideoDecoderConfig::new(codec))
        .expect("configures");
    queue.enqueue(chunk).expect("takes it");
    loop {
        match queue.next_event() {
            Some(Delivery::Failed { error, .. }) => return error.to_string(),
            Some(Delivery::Output(_)) => panic!("it was decoded"),
            Some(_) => {}
            None => {
                let news = woken.recv_timeout(Duration::from_secs(20));
                news.expect("the decoder answers");
                queue.poll();
            }
        }
    }
}

#[test]
fn caps_set_for_the_process_are_those_that_decoders_refuse_by_and_cannot_change_later() {
    let limits = Limits {
        max_frame_pixels: 64 * 64,
        ..Limits::default()
    };
    let options = Options {
        max_outputs_bytes: 1 << 20,
        limits,
        ..Options::default()
    };
    assert_eq!(Engine::init_global(options), Ok(()));
    assert_eq!(Engine::global().options.max_outputs_bytes, 1 << 20);

    let reason = refusal(key_frame(64, 65));
    assert!(reason.contains("64x65"), "{reason}");
    assert!(reason.contains("max_frame_pixels, 4096"), "{reason}");
    // A picture of just that size passes the cap: this one has no data, which is another matter.
    let reason = refusal(key_frame(64, 64));
    assert!(!reason.contains("max_frame_pixels"), "{reason}");

    assert_eq!(Engine::init_global(Options::default()), Err(AlreadyStarted));
    assert_eq!(Engine::global().options.limits.max_frame_pixels, 64 * 64);
}
