//! Stretches of sound that two decoders decode in turns, as the engine has them do at the same time.

use reelcore_media::codec::{DecoderContext, Successor};
use reelcore_media::{
    AudioData, AudioDecoderBackend, AudioDecoderConfig, EncodedChunk, ErrorKind, MediaError,
};

use crate::random::Random;
use crate::sound::context;

/// A stretch has at most so many chunks.
const LONGEST: usize = 12;

/// What came of decoding.
#[derive(Debug)]
pub struct Decoded {
    /// All outputs before the error, if there was one.
    pub outputs: Vec<AudioData>,
    /// Why it ended.
    pub error: Option<MediaError>,
    /// Chunks that the second decoder decoded.
    pub by_second: usize,
}

impl Decoded {
    /// Whether the outputs are the same to the bit and the tick, and the errors are.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |(a, b): (&AudioData, &AudioData)| {
            (a.format, a.frames, a.channels, a.timestamp, &a.planes)
                == (b.format, b.frames, b.channels, b.timestamp, &b.planes)
                && a.sample_rate.to_bits() == b.sample_rate.to_bits()
        };
        self.error == other.error
            && self.outputs.len() == other.outputs.len()
            && self.outputs.iter().zip(&other.outputs).all(same)
    }
}

/// Decodes `chunks` one after the other with one decoder. `None` where it does not start.
pub fn decode_in_order(
    backend: &dyn AudioDecoderBackend,
    config: &AudioDecoderConfig,
    context: &DecoderContext,
    chunks: &[EncodedChunk],
) -> Option<Decoded> {
    let mut decoder = backend.start(config, context).ok()?;
    let mut outputs = Vec::new();
    let result = chunks
        .iter()
        .try_for_each(|chunk| decoder.decode(chunk, &mut |output| outputs.push(output)));
    Some(Decoded {
        outputs,
        error: result.err(),
        by_second: 0,
    })
}

/// Decodes `chunks` in stretches of random lengths: one is the first decoder's, and the next one a second decoder's as far
/// as it says that it can. `None` where they do not start.
pub fn decode_in_stretches(
    backend: &dyn AudioDecoderBackend,
    config: &AudioDecoderConfig,
    context: &DecoderContext,
    chunks: &[EncodedChunk],
    random: &mut Random,
) -> Option<Decoded> {
    let mut first = backend.start(config, context).ok()?;
    let mut second = backend.start(config, context).ok()?;
    let mut decoded = Decoded {
        outputs: Vec::new(),
        error: None,
        by_second: 0,
    };
    let mut rest = chunks;
    while !rest.is_empty() {
        let (own, after) = rest.split_at((1 + random.next(LONGEST)).min(rest.len()));
        let (others, _) = after.split_at((1 + random.next(LONGEST)).min(after.len()));
        // Asked before it decodes its own.
        let preroll = first
            .preroll(own)
            .filter(|_| !decoded.outputs.is_empty())
            .and_then(|preroll| own.get(own.len().checked_sub(preroll)?..));
        for chunk in own {
            let result = first.decode(chunk, &mut |output| decoded.outputs.push(output));
            if let Err(error) = result {
                decoded.error = Some(error);
                return Some(decoded);
            }
        }
        rest = after;
        let Some(preroll) = preroll else { continue };
        let (mut done, mut outputs) = (0, Vec::new());
        let result = second.prime(preroll).and_then(|()| {
            while let Some(chunk) = others.get(done).filter(|chunk| second.is_seamless(chunk)) {
                second.decode(chunk, &mut |output| outputs.push(output))?;
                done += 1;
            }
            Ok(())
        });
        if let Err(error) = result {
            // One that says that it cannot begin there may begin elsewhere.
            if error.kind != ErrorKind::Unsupported {
                second = backend.start(config, context).ok()?;
            }
            continue;
        }
        let (Some(behind), true) = (others.get(..done), done > 0) else {
            continue;
        };
        match first.catch_up(behind) {
            Ok(Successor::First) => {}
            Ok(Successor::Second) => std::mem::swap(&mut first, &mut second),
            Ok(Successor::Neither) => continue,
            Err(error) => {
                decoded.error = Some(error);
                return Some(decoded);
            }
        }
        decoded.outputs.append(&mut outputs);
        decoded.by_second += done;
        rest = after.get(done..).unwrap_or_default();
    }
    Some(decoded)
}

/// Ways of cutting that [`check_stretches`] tries.
pub const CUTS: usize = 8;

/// Asserts that `chunks` in stretches give what they give in order, in each way of cutting; gives how many chunks the second
/// decoder decoded in all of them.
///
/// # Panics
/// Where they do not, where the decoder does not start, or where nothing comes out.
pub fn check_stretches(
    what: &str,
    backend: &dyn AudioDecoderBackend,
    config: &AudioDecoderConfig,
    chunks: &[EncodedChunk],
) -> usize {
    let context = context();
    let want = decode_in_order(backend, config, &context, chunks).expect("starts");
    assert!(!want.outputs.is_empty(), "{what}");
    let by_second = (1..=CUTS as u64).map(|seed| {
        let random = &mut Random(seed);
        let got = decode_in_stretches(backend, config, &context, chunks, random).expect("starts");
        assert!(got.is_same(&want), "{what}, seed {seed}");
        got.by_second
    });
    by_second.sum()
}
