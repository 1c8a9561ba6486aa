//! The WebCodecs API as a deno_core extension.
//!
//! ```no_run
//! # fn bootstrap() -> Vec<deno_core::Extension> { Vec::new() }
//! let mut extensions = bootstrap(); // deno_webidl, deno_web, and what defines their globals
//! extensions.push(webcodecs::init());
//! ```
//!
//! The interfaces are defined on the global object, as a dedicated worker has them; what is not in the
//! specification is in the namespace object `Reelcore`. Decoding runs on the threads of
//! [`engine::Engine::global`], whose caps a program sets with [`engine::Engine::init_global`].

mod audio_data;
mod audio_decoder;
mod audio_encoder;
mod codec_object;
mod codec_strings;
mod codecs;
mod demuxer;
mod encoded_audio_chunk;
mod encoded_video_chunk;
mod event_loop;
#[allow(missing_docs, reason = "op2 defines constants of its own")]
#[rustfmt::skip]
pub mod generated;
#[cfg(feature = "gpu")]
mod gpu;
pub mod interfaces;
mod muxer;
mod scale;
mod serialization;
mod video_color_space;
mod video_decoder;
mod video_encoder;
mod video_frame;
pub mod webidl;

use std::borrow::Cow;
use std::sync::Arc;

#[cfg(not(debug_assertions))]
use deno_core::ascii_str_include;
use deno_core::{Extension, ExtensionFileSource, OpState, op2};
use reelcore_media::Registry;

/// The containers: what [`FileAccess`] gives, and the caps of [`Options`].
pub use reelcore_containers as containers;
/// The engine that runs codecs, and its caps.
pub use reelcore_engine as engine;
/// The vocabulary: [`Registry`](media::Registry), [`DecoderOrder`](media::DecoderOrder), the traits of codecs.
pub use reelcore_media as media;

pub use codecs::default_codecs;
pub use demuxer::{AllFiles, FileAccess};
use demuxer::{
    Caps, Files, op_reelcore_counters, op_reelcore_demuxer_close, op_reelcore_demuxer_info,
    op_reelcore_demuxer_new, op_reelcore_demuxer_open_bytes, op_reelcore_demuxer_open_file,
    op_reelcore_demuxer_open_stream, op_reelcore_demuxer_reader, op_reelcore_demuxer_tracks,
    op_reelcore_reader_close, op_reelcore_reader_config, op_reelcore_reader_fill,
    op_reelcore_reader_seek, op_reelcore_reader_take, op_reelcore_stream_end,
    op_reelcore_stream_new, op_reelcore_stream_push, op_reelcore_stream_wanted,
};
use muxer::{
    op_reelcore_muxer_bytes, op_reelcore_muxer_configure, op_reelcore_muxer_declare,
    op_reelcore_muxer_drain, op_reelcore_muxer_end, op_reelcore_muxer_finish,
    op_reelcore_muxer_new, op_reelcore_muxer_refuse, op_reelcore_muxer_take,
    op_reelcore_muxer_write_audio, op_reelcore_muxer_write_video,
};
use scale::{op_reelcore_scale, op_reelcore_scale_take};
use serialization::{
    op_webcodecs_adopt, op_webcodecs_call_begin, op_webcodecs_call_end, op_webcodecs_check_open,
    op_webcodecs_detach, op_webcodecs_pack, op_webcodecs_receive, op_webcodecs_settle,
    op_webcodecs_share, op_webcodecs_unpack,
};

/// The codecs that a runtime offers.
pub(crate) struct Codecs(pub(crate) Registry);

/// What an embedder decides.
#[derive(Clone)]
pub struct Options {
    /// The codecs; `None` for those that are compiled in ([`default_codecs`]).
    pub codecs: Option<Registry>,
    /// What `Reelcore.Demuxer` may open by path, and `Reelcore.Muxer` create; `None`: nothing.
    pub files: Option<Arc<dyn FileAccess>>,
    /// Caps on what a container may ask `Reelcore.Demuxer` to keep.
    pub container_limits: containers::Limits,
    /// How much `Reelcore.Demuxer` keeps of a stream that a script feeds.
    pub stream_limits: containers::StreamLimits,
    /// Whether the global is a secure context. Where it is not, the codecs, which are `[SecureContext]` interfaces, are not
    /// on it. Asked when the extension's JavaScript runs: of a snapshot, when it is made.
    pub secure_context: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            codecs: None,
            files: None,
            container_limits: containers::Limits::default(),
            stream_limits: containers::StreamLimits::default(),
            secure_context: true,
        }
    }
}

/// Whether the global is a secure context.
struct SecureContext(bool);

#[op2(fast)]
fn op_webcodecs_secure_context(state: &mut OpState) -> bool {
    state.borrow::<SecureContext>().0
}

/// A script of this extension. In release builds it is part of the program, where `extension!` would have it read from
/// the source tree when a runtime starts; in others it is read from there, so that a changed one needs no build.
#[cfg(not(debug_assertions))]
macro_rules! script {
    ($file:literal) => {
        ExtensionFileSource::new(
            concat!("ext:webcodecs/", $file),
            ascii_str_include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../js/", $file)),
        )
    };
}

#[cfg(debug_assertions)]
macro_rules! script {
    ($file:literal) => {
        ExtensionFileSource::loaded_during_snapshot(
            concat!("ext:webcodecs/", $file),
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../js/", $file),
        )
    };
}

static SCRIPTS: &[ExtensionFileSource] = &[
    script!("webcodecs.js"),
    script!("webidl.js"),
    script!("canvas.js"),
    script!("serialization.js"),
    script!("gpu.js"),
    script!("support.js"),
    script!("muxer.js"),
    script!("reelcore.js"),
    script!("generated/interfaces.js"),
];

deno_core::extension!(
    webcodecs,
    deps = [deno_webidl, deno_web],
    ops = [
        webidl::op_webidl_set_host,
        op_reelcore_counters,
        op_reelcore_demuxer_close,
        op_reelcore_demuxer_info,
        op_reelcore_demuxer_new,
        op_reelcore_demuxer_open_bytes,
        op_reelcore_demuxer_open_file,
        op_reelcore_demuxer_open_stream,
        op_reelcore_demuxer_reader,
        op_reelcore_demuxer_tracks,
        op_reelcore_muxer_bytes,
        op_reelcore_muxer_configure,
        op_reelcore_muxer_declare,
        op_reelcore_muxer_drain,
        op_reelcore_muxer_end,
        op_reelcore_muxer_finish,
        op_reelcore_muxer_new,
        op_reelcore_muxer_refuse,
        op_reelcore_muxer_take,
        op_reelcore_muxer_write_audio,
        op_reelcore_muxer_write_video,
        op_reelcore_reader_close,
        op_reelcore_reader_fill,
        op_reelcore_reader_seek,
        op_reelcore_reader_config,
        op_reelcore_reader_take,
        op_reelcore_stream_end,
        op_reelcore_stream_new,
        op_reelcore_stream_push,
        op_reelcore_stream_wanted,
        op_reelcore_scale,
        op_reelcore_scale_take,
        op_webcodecs_adopt,
        op_webcodecs_call_begin,
        op_webcodecs_call_end,
        op_webcodecs_check_open,
        op_webcodecs_detach,
        op_webcodecs_pack,
        op_webcodecs_receive,
        op_webcodecs_secure_context,
        op_webcodecs_settle,
        op_webcodecs_share,
        op_webcodecs_unpack,
    ],
    esm_entry_point = "ext:webcodecs/webcodecs.js",
    options = { options: Options },
    state = |state, options| {
        state.put(Codecs(options.options.codecs.unwrap_or_else(default_codecs)));
        state.put(Files(options.options.files));
        state.put(SecureContext(options.options.secure_context));
        state.put(Caps {
            container: options.options.container_limits,
            stream: options.options.stream_limits,
        });
        state.put(serialization::Shared::default());
    },
);

/// The extension with default [`Options`], for `RuntimeOptions::extensions`, after deno_webidl's and deno_web's.
pub fn init() -> Extension {
    init_with(Options::default())
}

/// The extension, as [`init`].
pub fn init_with(options: Options) -> Extension {
    let mut extension = webcodecs::init(options);
    extension.esm_files = Cow::Borrowed(SCRIPTS);
    extension.objects = Cow::Owned(generated::objects());
    #[cfg(feature = "gpu")]
    extension.ops.to_mut().extend(gpu::ops());
    extension
}
