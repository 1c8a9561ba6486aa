//! CodecID and CodecPrivate (RFC 9559 and draft-ietf-cellar-codec) as WebCodecs has them: the codec string and the
//! description of <https://www.w3.org/TR/webcodecs-codec-registry/>.

mod audio;
mod video;

use bytes::Bytes;

use crate::mp4::parse::{FourCc, Reader};

pub(crate) use self::audio::{Sound, Vorbis, audio};
pub(crate) use self::video::{InFrame, Picture, Told, from_frame, video};

/// CodecPrivate and where it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Private {
    pub(crate) data: Bytes,
    pub(crate) offset: u64,
}

impl Private {
    /// A reader of it as the body of the MP4 box that holds the same.
    fn as_box(&self, kind: &[u8; 4]) -> Reader {
        Reader::new(FourCc(*kind), self.data.clone(), self.offset)
    }

    fn skip(&self, count: usize) -> Self {
        let count = count.min(self.data.len());
        Self {
            data: self.data.slice(count..),
            offset: self.offset.saturating_add(count as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_codecs_are_none_and_not_errors() {
        let picture = Picture::default();
        let sound = Sound {
            sample_rate: 8000,
            output_rate: None,
            channels: 1,
            bit_depth: 16,
        };
        for id in ["V_THEORA", "V_UNCOMPRESSED", "V_MPEG4/ISO/AVC", "V_MPEG2"] {
            let found = video(id, &Private::default(), &picture).expect(id);
            assert_eq!(found.codec, None);
        }
        for id in ["A_TRUEHD", "A_DTS", "A_PCM/INT/BIG", "A_FLAC", "A_WAVPACK4"] {
            let found = audio(id, &Private::default(), &sound).expect(id);
            assert_eq!(found.codec, None);
        }
        let bitmap = Private {
            data: [&b"\x28\0\0\0\0\0\0\0\0\0\0\0\x01\0\x18\0VP80"[..], &[0; 20]]
                .concat()
                .into(),
            offset: 0,
        };
        let found = video("V_MS/VFW/FOURCC", &bitmap, &picture).expect("valid");
        assert_eq!(
            found.codec.map(|codec| codec.string).as_deref(),
            Some("vp8")
        );
    }
}
