//! flacenc, kept from frames that are larger than what they stand for.
//!
//! flacenc 0.5.1 estimates what fixed predictors cost as if a Rice parameter could be as large as it takes; it is 14 at
//! most. Noise of 24 bits takes 50 bits a sample then. And it adds up the cost of parameters modulo 2^28: regular samples of 24
//! bits can get the parameter 0 and a million bits for a sample.

use flacenc::component::{BitRepr, Frame, StreamInfo, SubFrame};
use flacenc::config::{Encoder, OrderSel};
use flacenc::error::{EncodeError, Verified, Verify, VerifyError};
use flacenc::source::FrameBuf;

/// Settings of flacenc to try one after the other.
pub struct Library {
    first: Verified<Encoder>,
    /// For blocks that came out too large: fixed predictors by what they truly cost, and none. What linear prediction costs
    /// is always counted, so that the last can be no larger than the samples.
    others: [Verified<Encoder>; 2],
}

impl Library {
    /// # Errors
    /// Settings that flacenc does not have.
    pub fn new(settings: Encoder) -> Result<Self, VerifyError> {
        let verified = |settings: Encoder| settings.into_verified().map_err(|(_, error)| error);
        let mut counted = settings.clone();
        counted.subframe_coding.fixed.order_sel = OrderSel::BitCount;
        let mut without = settings.clone();
        without.subframe_coding.use_fixed = false;
        Ok(Self {
            first: verified(settings)?,
            others: [verified(counted)?, verified(without)?],
        })
    }

    /// The frame of a block of samples.
    ///
    /// # Errors
    /// Samples that `info` has no bits for.
    pub fn encode(
        &self,
        samples: &FrameBuf,
        number: usize,
        info: &StreamInfo,
    ) -> Result<Frame, EncodeError> {
        let encode = |settings| flacenc::encode_fixed_size_frame(settings, samples, number, info);
        let mut best = encode(&self.first)?;
        if !is_oversized(&best) {
            return Ok(best);
        }
        for settings in &self.others {
            let frame = encode(settings)?;
            if frame.count_bits() < best.count_bits() {
                best = frame;
            }
        }
        Ok(best)
    }
}

/// Whether a channel takes more than its samples as they are.
fn is_oversized(frame: &Frame) -> bool {
    (0..frame.subframe_count()).any(|channel| match frame.subframe(channel) {
        Some(SubFrame::FixedLpc(fixed)) => {
            fixed.count_bits() > 8 + frame.block_size() * fixed.bits_per_sample()
        }
        // flacenc counts the bits of all others.
        _ => false,
    })
}
