//! Audio to packets.

use bytes::Bytes;
use reelcore_media::encode_queue::{EncodeQueue, PacketClock};
use reelcore_media::encoder::{
    AudioBitrateMode, AudioCodecOptions, AudioEncoderConfig, EncodedAudio, EncoderContext,
    OpusApplication, OpusOptions, OpusSignal,
};
use reelcore_media::{
    AudioCodec, AudioData, AudioDecoderConfig, AudioEncoder, AudioEncoderBackend, MediaError,
    SampleFormat,
};
use reelcore_resample::{MAX_SAMPLE_RATE, SampleRateConverter};

use crate::head;
use crate::library::{Library, Setting};

/// Rates that libopus takes as they are. All others become the first.
const NATIVE_RATES: [u32; 5] = [48_000, 24_000, 16_000, 12_000, 8000];

/// The rate that time and delay count at outside of libopus.
const OPUS_RATE: u32 = 48_000;

/// The lowest rate of input. Web Audio's is the same.
const MIN_SAMPLE_RATE: u32 = 3000;

/// Lengths of packets in microseconds: <https://www.rfc-editor.org/rfc/rfc6716#section-2.1.4>, and as many frames of
/// 20 ms as the 120 ms of a packet hold.
const FRAME_DURATIONS: [u64; 9] = [
    2500, 5000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000,
];

/// Opus, mono to 7.1, over libopus.
///
/// The options are those of the registration: <https://w3c.github.io/webcodecs/opus_codec_registration.html>. Packets
/// are bare, and the first one brings the identification header as the description, in both formats. Rates that Opus
/// has not are converted to 48 kHz.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpusEncoder;

/// What libopus 1.6.1 takes for an automatic rate of more than two channels (`surround_rate_allocation`): at 48 kHz and 20 ms
/// 60 kbit/s for each, 8 for the LFE. It has to be told: its surround encoder chooses the bandwidth by the setting itself, and
/// `OPUS_AUTO`, a negative number, is too low for anything above 4 kHz.
fn surround_bitrate(channels: u8, rate: u32, packet_frames: usize) -> i32 {
    // 5.1, 6.1 and 7.1 have an LFE.
    let lfe = i32::from(channels >= 6);
    let packets_per_second = (rate as usize / packet_frames).max(50) as i32;
    (i32::from(channels) - lfe) * (40 * packets_per_second + rate as i32 + 10_000) + lfe * 8000
}

/// A configuration that was looked at.
struct Settings {
    channels: u8,
    /// The rate at which libopus runs.
    rate: u32,
    /// Frames of a packet at that rate.
    packet_frames: usize,
    bitrate: i32,
    options: OpusOptions,
}

fn settings(config: &AudioEncoderConfig) -> Result<Settings, MediaError> {
    let refuse = |message: String| Err(MediaError::unsupported(format!("Opus: {message}")));
    if config.codec != AudioCodec::Opus {
        return refuse(format!("expected opus, found {}", config.codec));
    }
    let options = match config.options {
        AudioCodecOptions::None => OpusOptions::default(),
        AudioCodecOptions::Opus(options) => options,
        other => return refuse(format!("these are options of another codec: {other:?}")),
    };
    let Some(channels) = u8::try_from(config.channels)
        .ok()
        .filter(|n| (1..=8).contains(n))
    else {
        return refuse(format!(
            "expected 1 to 8 channels, found {}",
            config.channels
        ));
    };
    if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&config.sample_rate) {
        return refuse(format!(
            "expected a rate of {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz, found {}",
            config.sample_rate
        ));
    }
    if !FRAME_DURATIONS.contains(&options.frame_duration) {
        return refuse(format!(
            "expected a frameDuration of 2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms, found {} microseconds",
            options.frame_duration
        ));
    }
    if let Some(complexity) = options.complexity.filter(|&complexity| complexity > 10) {
        return refuse(format!(
            "expected a complexity of 0 to 10, found {complexity}"
        ));
    }
    if options.packet_loss_percent > 100 {
        return refuse(format!(
            "expected a packetlossperc of 0 to 100, found {}",
            options.packet_loss_percent
        ));
    }
    let rate = match NATIVE_RATES.contains(&config.sample_rate) {
        true => config.sample_rate,
        false => OPUS_RATE,
    };
    // Every duration is a whole number of frames at every native rate.
    let packet_frames = (u64::from(rate) * options.frame_duration / 1_000_000) as usize;
    // 6 to 510 kbit/s for mono and stereo: https://www.rfc-editor.org/rfc/rfc6716#section-2.1.1
    let highest = 255_000 * u64::from(channels.max(2));
    let bitrate = match config.bitrate {
        None if channels > 2 => surround_bitrate(channels, rate, packet_frames),
        None => opusic_sys::OPUS_AUTO,
        Some(bits) if (6000..=highest).contains(&bits) => bits as i32,
        Some(bits) => {
            return refuse(format!(
                "expected a bitrate of 6000 to {highest} for {channels} channels, found {bits}"
            ));
        }
    };
    Ok(Settings {
        channels,
        rate,
        packet_frames,
        bitrate,
        options,
    })
}

impl AudioEncoderBackend for OpusEncoder {
    fn name(&self) -> &'static str {
        "opus"
    }

    fn knows(&self, codec: &AudioCodec) -> bool {
        *codec == AudioCodec::Opus
    }

    fn check(&self, config: &AudioEncoderConfig) -> Result<(), MediaError> {
        settings(config).map(drop)
    }

    fn input_format(&self, _config: &AudioEncoderConfig) -> SampleFormat {
        SampleFormat::F32
    }

    fn start(
        &self,
        config: &AudioEncoderConfig,
        _context: &EncoderContext,
    ) -> Result<Box<dyn AudioEncoder>, MediaError> {
        Ok(Box::new(Encoder::new(config)?))
    }
}

struct Encoder {
    sample_rate: u32,
    channels: u32,
    queue: EncodeQueue<f32>,
    /// Where the rate is none of Opus's: the way to one, and the samples that go there.
    converter: Option<(SampleRateConverter, EncodeQueue<f32>)>,
    packets: Packets,
}

/// From full packets of samples to chunks.
struct Packets {
    library: Library,
    clock: PacketClock,
    frames: u64,
    dtx: bool,
    /// For each channel of the input, which one of libopus's it is; empty where the order is the same.
    order: &'static [u8],
    reordered: Vec<f32>,
    /// Whether a packet came out since the last flush.
    begun: bool,
}

impl Encoder {
    fn new(config: &AudioEncoderConfig) -> Result<Self, MediaError> {
        let Settings {
            channels,
            rate,
            packet_frames,
            bitrate,
            options,
        } = settings(config)?;
        let application = match options.application {
            OpusApplication::Voip => opusic_sys::OPUS_APPLICATION_VOIP,
            OpusApplication::Audio => opusic_sys::OPUS_APPLICATION_AUDIO,
            OpusApplication::LowDelay => opusic_sys::OPUS_APPLICATION_RESTRICTED_LOWDELAY,
        };
        let signal = match options.signal {
            OpusSignal::Auto => opusic_sys::OPUS_AUTO,
            OpusSignal::Music => opusic_sys::OPUS_SIGNAL_MUSIC,
            OpusSignal::Voice => opusic_sys::OPUS_SIGNAL_VOICE,
        };
        let mut library = Library::new(rate, channels, application)?;
        let variable = config.bitrate_mode == AudioBitrateMode::Variable;
        library.set("bitrate", Setting::Bitrate, bitrate)?;
        library.set("bitrateMode", Setting::Vbr, i32::from(variable))?;
        library.set("signal", Setting::Signal, signal)?;
        library.set(
            "useinbandfec",
            Setting::InBandFec,
            i32::from(options.in_band_fec),
        )?;
        let loss = options.packet_loss_percent as i32;
        library.set("packetlossperc", Setting::PacketLoss, loss)?;
        library.set("usedtx", Setting::Dtx, i32::from(options.dtx))?;
        if let Some(complexity) = options.complexity {
            library.set("complexity", Setting::Complexity, complexity as i32)?;
        }
        let delay = library.lookahead()?;
        let pre_skip = delay * (OPUS_RATE / rate);
        let decoder_config = AudioDecoderConfig {
            codec: AudioCodec::Opus,
            sample_rate: config.sample_rate,
            channels: config.channels,
            description: Some(head::write(
                library.layout(),
                pre_skip as u16,
                config.sample_rate,
            )),
        };
        let converter = match rate == config.sample_rate {
            true => None,
            false => Some((
                SampleRateConverter::new(config.sample_rate, rate, config.channels)?,
                EncodeQueue::new(CONVERTED, config.channels),
            )),
        };
        Ok(Self {
            sample_rate: config.sample_rate,
            channels: config.channels,
            queue: EncodeQueue::new(packet_frames, config.channels),
            converter,
            packets: Packets {
                library,
                clock: PacketClock::new(rate, u64::from(delay), decoder_config),
                frames: packet_frames as u64,
                dtx: options.dtx,
                order: if channels > 2 {
                    head::order(channels)
                } else {
                    &[]
                },
                reordered: Vec::new(),
                begun: false,
            },
        })
    }
}

/// Frames that go to the converter at a time.
const CONVERTED: usize = 1024;

impl AudioEncoder for Encoder {
    fn encode(
        &mut self,
        data: &AudioData,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        if data.sample_rate != self.sample_rate as f32 {
            return Err(MediaError::argument(format!(
                "expected {} Hz, found {} Hz",
                self.sample_rate, data.sample_rate
            )));
        }
        let (queue, packets) = (&mut self.queue, &mut self.packets);
        let Some((converter, raw)) = &mut self.converter else {
            packets.clock.input(data.timestamp, u64::from(data.frames));
            return queue.push_run(data, &mut |samples| packets.encode(samples, false, sink));
        };
        packets.clock.input(data.timestamp, 0);
        let channels = self.channels as usize;
        raw.push_run(data, &mut |samples| {
            converter.push(samples, &mut |samples| {
                // The first timestamp is noted above.
                packets.clock.input(0, (samples.len() / channels) as u64);
                queue.push(samples, &mut |samples| packets.encode(samples, false, sink))
            })
        })
    }

    fn flush(&mut self, sink: &mut dyn FnMut(EncodedAudio)) -> Result<(), MediaError> {
        let (queue, packets) = (&mut self.queue, &mut self.packets);
        if !packets.clock.is_running() {
            return Ok(());
        }
        if let Some((converter, raw)) = &mut self.converter {
            let channels = self.channels as usize;
            let mut out = |samples: &[f32]| {
                packets.clock.input(0, (samples.len() / channels) as u64);
                queue.push(samples, &mut |samples| packets.encode(samples, false, sink))
            };
            converter.push(raw.take_rest(), &mut out)?;
            converter.finish(&mut out)?;
        }
        // The end of the input comes out of the encoder when as much again as its delay went in.
        while packets.clock.missing() > 0 {
            let last = packets.clock.missing() <= packets.frames;
            queue.pad(true, &mut |samples| packets.encode(samples, last, sink))?;
        }
        packets.library.reset()?;
        packets.clock.restart();
        packets.begun = false;
        Ok(())
    }
}

impl Packets {
    fn encode(
        &mut self,
        samples: &[f32],
        last: bool,
        sink: &mut dyn FnMut(EncodedAudio),
    ) -> Result<(), MediaError> {
        let samples = if self.order.is_empty() {
            samples
        } else {
            self.reordered.resize(samples.len(), 0.0);
            let channels = self.order.len();
            let frames = self.reordered.chunks_exact_mut(channels);
            for (to, from) in frames.zip(samples.chunks_exact(channels)) {
                for (&place, &sample) in self.order.iter().zip(from) {
                    to[usize::from(place)] = sample;
                }
            }
            &self.reordered
        };
        let streams = self.library.layout().streams;
        let packet = self.library.encode(samples)?;
        // With DTX a packet that says nothing need not be sent. The last one is: it says how long the sound is.
        if self.dtx && self.begun && !last && is_empty(packet, streams) {
            self.clock.skip(self.frames);
            return Ok(());
        }
        // Copied: the room for the largest packet is many times what one needs.
        let data = Bytes::copy_from_slice(packet);
        self.begun = true;
        sink(self.clock.output(data, self.frames, last));
        Ok(())
    }
}

/// Whether no stream of a packet has a byte for any of its frames.
/// <https://www.rfc-editor.org/rfc/rfc6716#section-3.2>, and appendix B for the lengths of all streams but the last.
fn is_empty(packet: &[u8], streams: u8) -> bool {
    let mut rest = packet;
    for stream in 1..=streams {
        let Some((toc, mut tail)) = rest.split_first() else {
            return false;
        };
        match toc & 3 {
            // One frame, or two of one length.
            0 | 1 => {}
            // So many frames of one length, without padding.
            3 => match tail.split_first() {
                Some((count, after)) if count & 0xc0 == 0 => tail = after,
                _ => return false,
            },
            _ => return false,
        }
        if stream < streams {
            match tail.split_first() {
                Some((0, after)) => tail = after,
                _ => return false,
            }
        }
        rest = tail;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::is_empty;

    #[test]
    fn only_packets_without_a_byte_of_sound_are_empty() {
        for (packet, streams, empty) in [
            (&[0x08][..], 1, true),
            (&[0x08, 0x01], 1, false),
            (&[0x09], 1, true),
            (&[0x0b, 0x03], 1, true),
            (&[0x0b, 0x83, 0], 1, false),
            (&[0x0b], 1, false),
            (&[0x0a, 0], 1, false),
            (&[], 1, false),
            (&[0x0c, 0, 0x08], 2, true),
            (&[0x0c, 1, 0xaa, 0x08], 2, false),
            (&[0x0c, 0, 0x08, 0x11], 2, false),
            (&[0x0b, 3, 0, 0x0b, 3], 2, true),
        ] {
            assert_eq!(is_empty(packet, streams), empty, "{packet:x?}");
        }
    }
}
