//! One coded stream: what is checked before libvpx sees a chunk, and the picture that the chunk shows.

use reelcore_media::codec::DecoderContext;
use reelcore_media::vpx::{Superframe, Vp8FrameHeader, Vp9FrameHeader, Vp9FrameKind};
use reelcore_media::{MediaError, Size};

use crate::library::{Codec, Library};
use crate::picture::{Picture, Planes};

/// A VP8 or VP9 stream on its way through libvpx.
pub(crate) struct Stream {
    codec: Codec,
    /// Which planes of its pictures are wanted.
    planes: Planes,
    context: DecoderContext,
    /// Runs from the first key frame on.
    library: Option<Library>,
    /// The next chunk must start with a key frame.
    expects_key: bool,
    /// A VP9 frame with an index of its own, see [`Stream::decode_vp9`]; as large as the largest frame so far.
    framed: Vec<u8>,
}

impl Stream {
    /// A stream that waits for its first key frame.
    pub fn new(codec: Codec, planes: Planes, context: &DecoderContext) -> Self {
        Self {
            codec,
            planes,
            context: context.clone(),
            library: None,
            expects_key: true,
            framed: Vec::new(),
        }
    }

    /// Decodes one chunk; the picture is the one it shows, if any.
    ///
    /// # Errors
    /// What the headers or libvpx find wrong. The stream must then be stopped.
    pub fn decode(&mut self, data: &[u8]) -> Result<Option<Picture>, MediaError> {
        match self.codec {
            Codec::Vp8 => self.decode_vp8(data),
            Codec::Vp9 => self.decode_vp9(data),
        }
    }

    /// The next chunk must start with a key frame. References are kept until then.
    pub fn expect_key(&mut self) {
        self.expects_key = true;
    }

    /// Ends libvpx, whose references go back to the pool. The next chunk must start with a key frame.
    pub fn stop(&mut self) {
        self.library = None;
        self.framed = Vec::new();
        self.expects_key = true;
    }

    fn decode_vp8(&mut self, data: &[u8]) -> Result<Option<Picture>, MediaError> {
        let header = Vp8FrameHeader::parse(data)?;
        self.check(header.key.is_some(), header.key)?;
        self.decode_frame(data)
    }

    /// libvpx splits superframes by itself, but hands out only the last picture, and decodes what is left after a
    /// frame as another frame, of a size that nobody has checked. So it gets frame by frame, each with an index for
    /// one frame behind it, after which it looks for no other. This copies the coded bytes, of which there are few.
    fn decode_vp9(&mut self, data: &[u8]) -> Result<Option<Picture>, MediaError> {
        let superframe = Superframe::parse(data)?;
        let mut shown = None;
        for range in superframe.frames() {
            let frame = data.get(range.clone()).unwrap_or_default();
            let header = Vp9FrameHeader::parse(frame)?;
            if let Some(color) = header.color
                && !color.subsampling_x
                && color.subsampling_y
            {
                return Err(MediaError::unsupported(
                    "VP9 of 4:4:0, for which WebCodecs has no pixel format",
                ));
            }
            self.check(header.kind == Vp9FrameKind::Key, header.size)?;
            let Ok(size) = u32::try_from(frame.len()) else {
                return Err(MediaError::limit(format!(
                    "a frame of {} bytes, libvpx takes at most {}",
                    frame.len(),
                    u32::MAX
                )));
            };
            // superframe_marker, frame_sizes_bytes_minus_1 = 3, frames_in_superframe_minus_1 = 0.
            const INDEX_OF_ONE: u8 = 0xd8;
            let mut framed = std::mem::take(&mut self.framed);
            framed.clear();
            framed.reserve_exact(frame.len() + 6);
            framed.extend_from_slice(frame);
            framed.push(INDEX_OF_ONE);
            framed.extend_from_slice(&size.to_le_bytes());
            framed.push(INDEX_OF_ONE);
            let picture = self.decode_frame(&framed);
            self.framed = framed;
            // Of several shown pictures (spatial layers of scalable video) the last is the best.
            shown = picture?.or(shown);
        }
        Ok(shown)
    }

    /// Checks what a frame's header says before libvpx allocates for it.
    fn check(&mut self, is_key: bool, size: Option<Size>) -> Result<(), MediaError> {
        if self.expects_key && !is_key {
            return Err(MediaError::invalid_data(
                "the first chunk has no key frame at its start, expected one",
            ));
        }
        let cap = self.context.limits.max_frame_pixels;
        if let Some(size) = size
            && size.area() > cap
        {
            return Err(MediaError::limit(format!(
                "a picture of {}x{} pixels is larger than the cap max_frame_pixels, {cap}",
                size.width, size.height
            )));
        }
        self.expects_key = false;
        Ok(())
    }

    /// Decodes one frame whose header was checked.
    fn decode_frame(&mut self, frame: &[u8]) -> Result<Option<Picture>, MediaError> {
        let library = match &mut self.library {
            Some(library) => library,
            empty => empty.insert(Library::new(self.codec, &self.context)?),
        };
        library.decode(frame)?;
        library.picture(self.planes, &self.context.pool)
    }
}
