//! Codec configuration boxes: the codec string, and the description in the form of the codec's WebCodecs
//! registration (<https://www.w3.org/TR/webcodecs-codec-registry/>).

pub(crate) mod audio;
pub(crate) mod esds;
pub(crate) mod video;

use bytes::Bytes;

/// A codec as WebCodecs configures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Codec {
    pub(crate) string: String,
    pub(crate) description: Option<Bytes>,
}

impl Codec {
    pub(crate) fn new(string: impl Into<String>, description: Option<Bytes>) -> Self {
        Self {
            string: string.into(),
            description,
        }
    }
}
