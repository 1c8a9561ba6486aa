//! The caps of an engine hold for pictures that are to be encoded as for those that are decoded.

use std::sync::mpsc;
use std::time::Duration;

use reelcore_codec_vpx::VpxEncoder;
use reelcore_engine::{ControlQueue, Delivery, Engine, Options, VideoEncode};
use reelcore_media::codec::Limits;
use reelcore_media::encoder::VideoEncoderConfig;
use reelcore_media::{ErrorKind, Registry, Size, VideoCodec};

fn registry() -> Registry {
    Registry::new().with_video_encoder(VpxEncoder)
}

fn config(width: u32, height: u32) -> VideoEncoderConfig {
    let codec = VideoCodec::parse("vp8").expect("a codec string");
    VideoEncoderConfig::new(codec, Size::new(width, height))
}

/// What comes of configuring an encoder, and of nothing else.
fn configured(engine: &Engine, config: VideoEncoderConfig) -> Delivery<()> {
    let (wake, woken) = mpsc::channel();
    let wake = move || {
        let _ = wake.send(());
    };
    let mut queue = ControlQueue::<VideoEncode>::new(engine, registry(), wake);
    queue.configure(config).expect("takes it");
    queue.flush().expect("takes it");
    loop {
        match queue.next_event() {
            Some(Delivery::Failed { error, configuring }) => {
                return Delivery::Failed { error, configuring };
            }
            Some(Delivery::Flushed(number)) => return Delivery::Flushed(number),
            Some(_) => {}
            None => {
                let news = woken.recv_timeout(Duration::from_secs(20));
                news.expect("the encoder answers");
                queue.poll();
            }
        }
    }
}

#[test]
fn pictures_beyond_the_cap_are_not_supported_and_refused_before_a_frame_comes() {
    let engine = Engine::new(Options {
        limits: Limits {
            max_frame_pixels: 64 * 64,
            ..Limits::default()
        },
        ..Options::default()
    });
    assert!(VideoEncode::supports(&registry(), &config(64, 64), &engine));
    assert!(matches!(
        configured(&engine, config(64, 64)),
        Delivery::Flushed(_)
    ));

    let large = config(64, 65);
    assert!(!VideoEncode::supports(&registry(), &large, &engine));
    match configured(&engine, large.clone()) {
        Delivery::Failed {
            error,
            configuring: true,
        } => {
            assert_eq!(error.kind, ErrorKind::LimitExceeded);
            let told = error.message.contains("64x65") && error.message.contains("4096");
            assert!(told, "{error}");
        }
        other => panic!("{other:?}"),
    }
    // The encoder itself has nothing against it.
    let default = Engine::new(Options::default());
    assert!(VideoEncode::supports(&registry(), &large, &default));
    assert!(!VideoEncode::supports(&Registry::new(), &large, &default));
}
