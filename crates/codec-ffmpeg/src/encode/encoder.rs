//! Frames to chunks: an encoder of libavcodec, started anew where it must be, and what goes with each picture.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
use reelcore_media::encode_session::{
    EncodeSession, FramePlan, framerate, input_image, repaired_words,
};
use reelcore_media::encoder::{
    EncodeOptions, EncodedVideo, EncoderContext, NalFormat, VideoBitrateMode, VideoEncoderConfig,
};
use reelcore_media::h264::{self, AvcC, NalKind};
use reelcore_media::hevc::{self, HvcC, NalType};
use reelcore_media::pool::BufferPool;
use reelcore_media::{MediaError, PixelFormat, Size, VideoCodec, VideoEncoder, VideoFrame};

use super::library::{self, Input, Options, Packet};
use super::rate::FrameRate;
use super::sets::{Stated, restate};
use super::x265;

/// Bytes of the lengths in "avc" and "hevc" chunks.
const LENGTH_SIZE: usize = 4;

/// How pictures are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Avc {
        annex_b: bool,
        in_band: bool,
    },
    Hevc {
        annex_b: bool,
        in_band: bool,
        /// Written over what the parameter sets say.
        stated: Option<Stated>,
    },
    /// As they come.
    Av1,
}

/// What a library is opened with, at each start.
pub(super) enum Opened {
    /// The level depends on the frame rate.
    X265(x265::Settings),
    Hardware(Options),
}

impl Opened {
    fn options(&self, framerate: f64) -> Result<Options, MediaError> {
        match self {
            Self::X265(settings) => settings.options(framerate),
            Self::Hardware(options) => Ok(Options {
                framerate,
                ..options.clone()
            }),
        }
    }
}

/// A frame that is in the library: its number, and its running time.
type Sent = (i64, i64);

pub(super) struct Encoder {
    input: PixelFormat,
    size: Size,
    opened: Opened,
    options: Options,
    packing: Packing,
    /// Quantizers are those of frames.
    quantizers: bool,
    /// Started with the first frame; again after a flush, which ends libavcodec's streams, and where the colour space
    /// or the frame rate changes, which are fixed when it starts.
    library: Option<library::Encoder>,
    sent: VecDeque<Sent>,
    next_index: i64,
    framerate: FrameRate,
    session: EncodeSession,
    description: Option<Bytes>,
    pool: BufferPool,
}

impl Encoder {
    /// For frames of `input`.
    pub(super) fn new(
        config: &VideoEncoderConfig,
        input: PixelFormat,
        opened: Opened,
        context: &EncoderContext,
    ) -> Result<Self, MediaError> {
        let annex_b = config.nal_format == NalFormat::AnnexB;
        let packing = match config.codec {
            VideoCodec::Avc(avc) => Packing::Avc {
                annex_b,
                in_band: annex_b || avc.in_band,
            },
            VideoCodec::Hevc(hevc) => Packing::Hevc {
                annex_b,
                in_band: annex_b || hevc.in_band,
                stated: match &opened {
                    Opened::X265(settings) => settings.stated(),
                    Opened::Hardware(_) => None,
                },
            },
            _ => Packing::Av1,
        };
        let rate = x265::first_framerate(config);
        Ok(Self {
            input,
            size: config.size,
            options: opened.options(rate)?,
            opened,
            packing,
            quantizers: config.bitrate_mode == VideoBitrateMode::Quantizer,
            library: None,
            sent: VecDeque::new(),
            next_index: 0,
            framerate: FrameRate::new(rate, framerate(config).is_some()),
            session: EncodeSession::new(config, x265::MAX_QUANTIZER, x265::FIRST_QUANTIZER),
            description: None,
            pool: context.pool.clone(),
        })
    }

    /// Whether the library's rate control is to count with another frame rate from `frame` on: it knows no times.
    fn rate_changed(&mut self, frame: &VideoFrame, plan: &FramePlan) -> bool {
        if self.quantizers {
            return false;
        }
        if self.next_index > 0 {
            let free = self.library.is_none() || plan.new_color_space.is_some();
            return self.framerate.next(plan.duration, free);
        }
        // Where the first frame says nothing the plan's duration is a guess.
        frame.duration == Some(plan.duration) && self.framerate.first(plan.duration)
    }

    /// Ends the library's stream: its last pictures come out, and the next frame starts another.
    fn end(&mut self, sink: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
        let Some(mut library) = self.library.take() else {
            return Ok(());
        };
        library.end()?;
        while let Some(packet) = library.receive()? {
            let packed = self.packing.pack(&packet)?;
            self.deliver(packet.index, packed, sink)?;
        }
        if let Some((index, _)) = self.sent.front() {
            return Err(MediaError::backend(format!(
                "libavcodec's encoder lost the frame {index}"
            )));
        }
        Ok(())
    }

    /// Hands on a picture.
    fn deliver(
        &mut self,
        index: i64,
        packed: Packed,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        match self.sent.pop_front() {
            Some((sent, time)) if sent == index => {
                if packed.description.is_some() {
                    self.description = packed.description;
                }
                let description = self.description.as_ref();
                sink(
                    self.session
                        .output(time, packed.key, packed.data, description)?,
                );
                Ok(())
            }
            _ => Err(MediaError::backend(format!(
                "libavcodec's encoder gave the frame {index} out of turn"
            ))),
        }
    }
}

impl VideoEncoder for Encoder {
    fn encode(
        &mut self,
        frame: &VideoFrame,
        options: &EncodeOptions,
        sink: &mut dyn FnMut(EncodedVideo),
    ) -> Result<(), MediaError> {
        let image = input_image(frame, self.input, self.size)?;
        let mut options = *options;
        options.key_frame |= self.library.is_none();
        let plan = self.session.plan(frame, &options)?;
        let new_rate = self.rate_changed(frame, &plan);
        if new_rate || plan.new_color_space.is_some() {
            self.end(sink)?;
        }
        if new_rate {
            let color_space = self.options.color_space;
            self.options = Options {
                color_space,
                ..self.opened.options(self.framerate.rate())?
            };
        }
        if let Some(color_space) = plan.new_color_space {
            self.options.color_space = color_space;
        }
        let first = self.library.is_none();
        let mut library = match self.library.take() {
            Some(library) => library,
            None => library::Encoder::new(&self.options)?,
        };
        let repaired = repaired_words(image, &self.pool);
        let planes = repaired.as_deref().unwrap_or(image.planes());
        let index = self.next_index;
        self.next_index += 1;
        self.sent.push_back((index, plan.time));
        let depth = self.input.bit_depth();
        let taken = library.send(&Input {
            planes: planes.get(..self.input.num_planes()).unwrap_or(planes),
            index,
            key: plan.key || first,
            offset: plan
                .quantizer
                .filter(|_| self.quantizers)
                .map(|quantizer| x265::offset(quantizer, depth)),
        })?;
        if !taken {
            // Every packet was received after each frame.
            return Err(MediaError::backend(
                "libavcodec's encoder neither takes a frame nor gives a packet",
            ));
        }
        while let Some(packet) = library.receive()? {
            let packed = self.packing.pack(&packet)?;
            self.deliver(packet.index, packed, sink)?;
        }
        self.library = Some(library);
        Ok(())
    }

    fn flush(&mut self, sink: &mut dyn FnMut(EncodedVideo)) -> Result<(), MediaError> {
        // One that holds nothing back goes on.
        if self.sent.is_empty() {
            return Ok(());
        }
        self.end(sink)
    }
}

/// A picture as a chunk holds it.
pub(super) struct Packed {
    key: bool,
    pub(super) data: Bytes,
    /// Made of its parameter sets, where it has any and the packing knows one.
    description: Option<Bytes>,
}

impl Packing {
    /// HEVC with its parameter sets in each key picture.
    #[cfg(feature = "bench")]
    pub(super) fn hevc_annex_b(stated: Option<Stated>) -> Self {
        Self::Hevc {
            annex_b: true,
            in_band: true,
            stated,
        }
    }

    /// One copy out of libavcodec's memory, which the next packet takes.
    pub(super) fn pack(self, packet: &Packet<'_>) -> Result<Packed, MediaError> {
        match self {
            Self::Avc { annex_b, in_band } => pack_avc(packet.data, annex_b, in_band),
            Self::Hevc {
                annex_b,
                in_band,
                stated,
            } => pack_hevc(packet.data, annex_b, in_band, stated),
            Self::Av1 => Ok(Packed {
                key: packet.key,
                data: Bytes::copy_from_slice(packet.data),
                description: None,
            }),
        }
    }
}

/// Appends a NAL unit after a start code or its length.
fn push_unit(data: &mut Vec<u8>, unit: &[u8], annex_b: bool) -> Result<(), MediaError> {
    if annex_b {
        data.extend_from_slice(&hevc::START_CODE);
    } else {
        let length =
            u32::try_from(unit.len()).map_err(|_| MediaError::backend("a NAL unit of 4 GiB"))?;
        data.extend_from_slice(&length.to_be_bytes());
    }
    data.extend_from_slice(unit);
    Ok(())
}

fn pack_hevc(
    packet: &[u8],
    annex_b: bool,
    in_band: bool,
    stated: Option<Stated>,
) -> Result<Packed, MediaError> {
    let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
    let mut data = Vec::with_capacity(packet.len() + LENGTH_SIZE);
    let mut key = false;
    for nal in hevc::nal_units(packet, hevc::Packaging::AnnexB) {
        let nal = nal?;
        let set = match nal.nal_type {
            NalType::VPS => Some(&mut vps),
            NalType::SPS => Some(&mut sps),
            NalType::PPS => Some(&mut pps),
            _ => None,
        };
        key |= nal.nal_type.is_irap();
        let Some(sets) = set else {
            push_unit(&mut data, nal.bytes, annex_b)?;
            continue;
        };
        let unit = match stated {
            Some(stated) => restate(nal.bytes, nal.nal_type, stated)?,
            None => None,
        };
        let unit = unit.map_or(Cow::Borrowed(nal.bytes), Cow::Owned);
        if in_band {
            push_unit(&mut data, &unit, annex_b)?;
        }
        sets.push(unit);
    }
    let described = !annex_b && !sps.is_empty();
    let description = described
        .then(|| {
            let [vps, sps, pps] = [&vps, &sps, &pps].map(|sets| units_of(sets));
            HvcC::of_parameter_sets(&vps, &sps, &pps, LENGTH_SIZE, !in_band)?.write()
        })
        .transpose()?;
    Ok(Packed {
        key,
        data: data.into(),
        description: description.map(Bytes::from),
    })
}

fn units_of<'a>(sets: &'a [Cow<'_, [u8]>]) -> Vec<&'a [u8]> {
    sets.iter().map(|set| &**set).collect()
}

fn pack_avc(packet: &[u8], annex_b: bool, in_band: bool) -> Result<Packed, MediaError> {
    let (mut sps, mut pps) = (Vec::new(), Vec::new());
    let mut data = Vec::with_capacity(packet.len() + LENGTH_SIZE);
    let mut key = false;
    for nal in h264::nal_units(packet, h264::Packaging::AnnexB) {
        let nal = nal?;
        let set = match nal.kind {
            NalKind::Sps => Some(&mut sps),
            NalKind::Pps => Some(&mut pps),
            _ => None,
        };
        key |= nal.kind == NalKind::IdrSlice;
        if let Some(sets) = set {
            sets.push(nal.bytes);
            if !in_band {
                continue;
            }
        }
        push_unit(&mut data, nal.bytes, annex_b)?;
    }
    let described = !annex_b && !sps.is_empty();
    let description = described
        .then(|| AvcC::of_parameter_sets(&sps, &pps, LENGTH_SIZE)?.write())
        .transpose()?;
    Ok(Packed {
        key,
        data: data.into(),
        description: description.map(Bytes::from),
    })
}
