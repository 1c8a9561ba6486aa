//! `AudioData`: <https://w3c.github.io/webcodecs/#audiodata-interface>

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use deno_core::{GarbageCollected, v8};
use reelcore_media::AudioData as MediaAudio;
use reelcore_media::convert::{AudioCopyError, audio_copy_elements, copy_audio};
use reelcore_media::format::SampleFormat;

use crate::generated::{
    AudioDataCopyToOptions, AudioDataInit, AudioDataMethods, AudioSampleFormat,
};
use crate::webidl::{BufferSource, Exception, ExternalMemory, Handle, Transfer};

/// The slots of audio data that is not closed.
#[derive(Clone)]
pub(crate) struct Open {
    /// `[[resource reference]]`, and the slots that describe it.
    pub(crate) audio: MediaAudio,
    /// Shared by all objects over the resource.
    memory: Rc<ExternalMemory>,
}

/// An AudioData object.
pub struct AudioData {
    /// `None` when `[[Detached]]` is true.
    open: RefCell<Option<Open>>,
    /// `[[timestamp]]` outlives `close()`.
    timestamp: Cell<i64>,
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for AudioData {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"AudioData"
    }
}

impl AudioData {
    /// An AudioData object over samples whose memory V8 does not know of yet.
    pub(crate) fn new(scope: &mut v8::PinScope<'_, '_>, audio: MediaAudio) -> Self {
        let memory = Rc::new(ExternalMemory::new(scope, audio.byte_size()));
        Self::over(Open { audio, memory })
    }

    /// An AudioData object over what other objects may have as well.
    pub(crate) fn over(open: Open) -> Self {
        Self {
            timestamp: Cell::new(open.audio.timestamp),
            open: RefCell::new(Some(open)),
        }
    }

    /// The slots, unless the data is closed.
    pub(crate) fn open(&self) -> Option<Open> {
        self.open.borrow().clone()
    }

    /// Takes the slots and leaves the data closed: the transfer steps.
    pub(crate) fn take(&self) -> Option<Open> {
        self.open.borrow_mut().take()
    }

    fn with<T>(&self, closed: T, open: impl FnOnce(&MediaAudio) -> T) -> T {
        self.open
            .borrow()
            .as_ref()
            .map_or(closed, |slots| open(&slots.audio))
    }

    /// Step 1 of most methods: if `[[Detached]]` is true, throw an InvalidStateError. Else does `open` with the samples, which
    /// are borrowed: a list of many channels takes long to clone.
    fn with_open<T>(
        &self,
        open: impl FnOnce(&MediaAudio) -> Result<T, Exception>,
    ) -> Result<T, Exception> {
        self.with(None, |audio| Some(open(audio)))
            .unwrap_or_else(|| Err(closed()))
    }
}

fn closed() -> Exception {
    Exception::invalid_state("The AudioData is closed.")
}

fn sample_format(format: AudioSampleFormat) -> SampleFormat {
    match format {
        AudioSampleFormat::U8 => SampleFormat::U8,
        AudioSampleFormat::S16 => SampleFormat::S16,
        AudioSampleFormat::S32 => SampleFormat::S32,
        AudioSampleFormat::F32 => SampleFormat::F32,
        AudioSampleFormat::U8Planar => SampleFormat::U8Planar,
        AudioSampleFormat::S16Planar => SampleFormat::S16Planar,
        AudioSampleFormat::S32Planar => SampleFormat::S32Planar,
        AudioSampleFormat::F32Planar => SampleFormat::F32Planar,
    }
}

/// What both `allocationSize()` and `copyTo()` need to know of a copy.
struct Plan {
    format: SampleFormat,
    frames: u32,
    bytes: usize,
}

/// Compute Copy Element Count, and the bytes that many elements take.
/// <https://w3c.github.io/webcodecs/#compute-copy-element-count>
fn plan(audio: &MediaAudio, options: &AudioDataCopyToOptions) -> Result<Plan, Exception> {
    // 1., 2. destFormat is options.format, or else [[format]].
    let format = options.format.map_or(audio.format, sample_format);
    let elements = audio_copy_elements(
        audio,
        format,
        options.plane_index,
        options.frame_offset,
        options.frame_count,
    )
    .map_err(|error: AudioCopyError| Exception::range_error(error.to_string()))?;
    let frames = options
        .frame_count
        .unwrap_or(audio.frames - options.frame_offset);
    Ok(Plan {
        format,
        frames,
        bytes: elements.saturating_mul(format.sample_bytes()),
    })
}

impl AudioDataMethods for AudioData {
    /// <https://w3c.github.io/webcodecs/#dom-audiodata-audiodata>
    fn constructor<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        init: AudioDataInit<'s>,
    ) -> Result<Self, Exception> {
        // 1. If init is not a valid AudioDataInit, throw a TypeError.
        // https://w3c.github.io/webcodecs/#valid-audiodatainit
        if init.sample_rate <= 0.0 {
            return Err(Exception::type_error(format!(
                "sampleRate must be greater than 0, not {}",
                init.sample_rate
            )));
        }
        if init.number_of_frames == 0 || init.number_of_channels == 0 {
            return Err(Exception::type_error(
                "numberOfFrames and numberOfChannels must not be 0",
            ));
        }
        let format = sample_format(init.format);
        let needed = u128::from(init.number_of_frames)
            * u128::from(init.number_of_channels)
            * format.sample_bytes() as u128;
        let found = init.data.byte_length();
        if (found as u128) < needed {
            return Err(Exception::type_error(format!(
                "{} frames of {} channels of {} need {needed} bytes, data has {found}",
                init.number_of_frames,
                init.number_of_channels,
                format.as_str()
            )));
        }
        // 2., 3. Check the transfer list. 4.7., 4.8. Reference data if it is in the list, else copy it.
        // 5. Detach every buffer of the list.
        let data = Transfer::new(&init.transfer)?.finish(scope, &init.data)?;
        // 4. The slots.
        let audio = MediaAudio::new(
            format,
            init.sample_rate,
            init.number_of_frames,
            init.number_of_channels,
            init.timestamp,
            data,
        )
        .map_err(|error| Exception::type_error(error.message))?;
        // 6. Return frame.
        Ok(Self::new(scope, audio))
    }

    fn format(&self) -> Option<AudioSampleFormat> {
        self.with(None, |audio| {
            AudioSampleFormat::parse(audio.format.as_str())
        })
    }

    fn sample_rate(&self) -> f32 {
        self.with(0.0, |audio| audio.sample_rate)
    }

    fn number_of_frames(&self) -> u32 {
        self.with(0, |audio| audio.frames)
    }

    fn number_of_channels(&self) -> u32 {
        self.with(0, |audio| audio.channels)
    }

    fn duration(&self) -> u64 {
        self.with(0, MediaAudio::duration)
    }

    fn timestamp(&self) -> i64 {
        self.timestamp.get()
    }

    /// <https://w3c.github.io/webcodecs/#dom-audiodata-allocationsize>
    fn allocation_size(
        &self,
        _scope: &mut v8::PinScope<'_, '_>,
        options: AudioDataCopyToOptions,
    ) -> Result<u32, Exception> {
        // 1. If [[Detached]] is true, throw an InvalidStateError.
        // 2. to 6. Bytes per sample times copyElementCount.
        let bytes = self.with_open(|audio| plan(audio, &options))?.bytes;
        u32::try_from(bytes).map_err(|_| {
            Exception::range_error(format!(
                "{bytes} bytes are more than an unsigned long can say"
            ))
        })
    }

    /// <https://w3c.github.io/webcodecs/#dom-audiodata-copyto>
    fn copy_to<'s>(
        &self,
        _scope: &mut v8::PinScope<'s, '_>,
        destination: BufferSource<'s>,
        options: AudioDataCopyToOptions,
    ) -> Result<(), Exception> {
        // 1. If [[Detached]] is true, throw an InvalidStateError.
        self.with_open(|audio| {
            // 2. to 5. Compute Copy Element Count, destFormat and bytesPerSample.
            let plan = plan(audio, &options)?;
            // 6. If the product is greater than destination.byteLength, throw a RangeError.
            let found = destination.byte_length();
            if plan.bytes > found {
                return Err(Exception::range_error(format!(
                    "The copy needs {} bytes, the destination has {found}.",
                    plan.bytes
                )));
            }
            // 7. to 9. Copy and convert.
            let (plane, offset) = (options.plane_index, options.frame_offset);
            destination
                .with_bytes_mut(|bytes| {
                    copy_audio(audio, plan.format, plane, offset, plan.frames, bytes)
                })
                .map_err(|error| Exception::range_error(error.message))
        })
    }

    /// <https://w3c.github.io/webcodecs/#dom-audiodata-clone>
    fn clone<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<Handle<'s, AudioData>, Exception> {
        // 1. If [[Detached]] is true, throw an InvalidStateError. 2. Clone AudioData.
        let open = self.open().ok_or_else(closed)?;
        Handle::new(scope, Self::over(open))
    }

    /// Close AudioData: <https://w3c.github.io/webcodecs/#close-audiodata>
    fn close(&self, scope: &mut v8::PinScope<'_, '_>) -> Result<(), Exception> {
        // 1. Assign true to [[Detached]]. 2. Assign null to [[resource reference]]. 3. to 6. The other slots read as
        // 0 and null from now on.
        if let Some(open) = self.take()
            && Rc::strong_count(&open.memory) == 1
        {
            open.memory.release(scope);
        }
        Ok(())
    }
}
