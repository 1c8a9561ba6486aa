//! Shaders that say `texture_external`, for devices that have no external textures.
//!
//! wgpu has external textures on Metal and DX12 only. Elsewhere an imported frame is an RGBA
//! texture, and [`lower_external_textures`] turns the shader into one that samples it as
//! `texture_2d<f32>`: a transformation of the naga module, written back as WGSL because
//! `GPUDevice.createShaderModule` takes nothing else. One binding stays one binding, so
//! `layout: "auto"` works as it is, but where only one of two stages samples a texture
//! ([`lower_stages_alike`] is for those), and an explicit `externalTexture: {}` in a bind group
//! layout is `texture: {sampleType: "float", viewDimension: "2d"}`.
//!
//! Who holds wgpu's `Global` can pass [`Lowered::Shader`]'s module to it as it is.

mod alike;
mod constant;
mod deep;
mod interface;
mod names;
mod pointers;
mod results;
mod rewrite;
mod write;

use std::error::Error;

use naga::front::wgsl;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, WithSpan};

use crate::Gpu;
pub use alike::{Alike, Stage, lower_stages_alike};
use interface::Interface;

/// What [`lower_external_textures`] made of a shader.
#[derive(Debug)]
pub enum Lowered {
    /// The shader has no external texture, or does not parse: the source goes to wgpu as it is, and
    /// wgpu's own message to the user.
    Unchanged,
    /// The shader without external textures.
    Shader(Box<LoweredShader>),
}

/// A shader whose external textures are sampled 2D textures now.
#[derive(Debug)]
pub struct LoweredShader {
    /// The shader as WGSL. Names are not those of the source, but for entry points, overrides and
    /// members of structures. Lines are not those of the source either: every error that WGSL knows
    /// has been reported as [`LowerError`] before.
    pub source: String,
    /// The same as a module, for `ShaderModuleSource::Naga`. Spans are those of the user's source.
    pub module: Module,
    /// The bindings that were external textures, ordered by group and binding.
    pub bindings: Vec<ExternalBinding>,
}

/// A binding that is a `texture_external` in the shader's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalBinding {
    /// `@group`.
    pub group: u32,
    /// `@binding`.
    pub binding: u32,
    /// The entry points that use it, in the order of the source. Empty when none does.
    pub entry_points: Vec<String>,
}

/// A shader with external textures that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// The shader is not valid: a compilation error of the user's.
    #[error("{message}")]
    Invalid {
        /// The whole report: what is wrong, with the lines of the source.
        message: String,
        /// Where the source is wrong, if that is known.
        location: Option<Location>,
    },
    /// The shader is valid, and has something that cannot be written back.
    #[error("texture_external cannot be used on this device together with {0}")]
    Unsupported(String),
}

/// A place in a shader's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The line, counted from 1.
    pub line: u32,
    /// The column in bytes, counted from 1.
    pub column: u32,
    /// Bytes from the start of the source.
    pub offset: u32,
    /// Length in bytes.
    pub length: u32,
}

impl Gpu {
    /// [`lower_external_textures`] for this device: what it lacks is reported with the user's lines.
    ///
    /// # Errors
    /// Those of [`lower_external_textures`]. Of a device that is lost nothing is lowered: wgpu has
    /// the error for that.
    pub fn lower_wgsl(&self, source: &str) -> Result<Lowered, LowerError> {
        if !source.contains(WORD) {
            return Ok(Lowered::Unchanged);
        }
        let Ok(_entered) = self.enter() else {
            return Ok(Lowered::Unchanged);
        };
        let downlevel = self.global().device_downlevel_properties(self.device_id());
        let capabilities =
            wgpu_naga_bridge::features_to_naga_capabilities(self.features(), downlevel.flags);
        lower_external_textures(source, capabilities)
    }
}

/// What a source says that has an external texture.
const WORD: &str = "texture_external";

/// Turns the external textures of a WGSL shader into sampled 2D float textures.
///
/// `capabilities` are those of the device that will get the shader (`wgpu_naga_bridge` derives them
/// from its features): what the device lacks is reported here, with the user's own lines. A source
/// that does not contain the word `texture_external` is not parsed.
///
/// # Errors
/// [`LowerError::Invalid`] when the shader is not valid, [`LowerError::Unsupported`] when it has
/// something besides external textures that cannot be written back as WGSL: ray queries, for one.
pub fn lower_external_textures(
    source: &str,
    capabilities: Capabilities,
) -> Result<Lowered, LowerError> {
    let Some((module, info, bindings)) = lower(source, capabilities)? else {
        return Ok(Lowered::Unchanged);
    };
    let written = finish(&module, &info, source, capabilities)?;
    Ok(Lowered::Shader(Box::new(LoweredShader {
        source: written,
        module,
        bindings,
    })))
}

fn parse(source: &str, capabilities: Capabilities) -> Result<Module, wgsl::ParseError> {
    let mut options = wgsl::Options::new();
    options.capabilities = capabilities;
    wgsl::Frontend::new_with_options(options).parse(source)
}

/// The module without external textures, what the validator says of it, and the bindings that were external. `None` where there
/// are none, or where the source does not parse.
fn lower(
    source: &str,
    capabilities: Capabilities,
) -> Result<Option<(Module, ModuleInfo, Vec<ExternalBinding>)>, LowerError> {
    if !source.contains(WORD) {
        return Ok(None);
    }
    let Ok(mut module) = parse(source, capabilities) else {
        return Ok(None);
    };
    // The word may have been in a comment, or name something of the user's.
    if !module
        .types
        .iter()
        .any(|(_, ty)| rewrite::is_external(&ty.inner))
    {
        return Ok(None);
    }

    let lacking = capabilities - Capabilities::TEXTURE_EXTERNAL;
    let info = validate(&module, lacking | Capabilities::TEXTURE_EXTERNAL)
        .map_err(|error| invalid(&error, source))?;
    pointers::check(&module, &info).map_err(|error| invalid(&error, source))?;
    let bindings = external_bindings(&module, &info);
    rewrite::rewrite(&mut module, &info);
    let info = validate(&module, lacking).map_err(|error| invalid(&error, source))?;
    Ok(Some((module, info, bindings)))
}

/// `module` as WGSL, of which nothing that a pipeline can see was lost.
fn finish(
    module: &Module,
    info: &ModuleInfo,
    source: &str,
    capabilities: Capabilities,
) -> Result<String, LowerError> {
    let lacking = capabilities - Capabilities::TEXTURE_EXTERNAL;
    let unsupported = LowerError::Unsupported;
    let written = write::write(module, info, source, lacking).map_err(unsupported)?;
    let again = parse(&written, capabilities).map_err(|e| {
        unsupported(format!(
            "code that cannot be written back: {}",
            e.emit_to_string(&written)
        ))
    })?;
    let again_info = validate(&again, lacking).map_err(|e| {
        unsupported(format!(
            "code that cannot be written back: {}",
            e.emit_to_string(&written)
        ))
    })?;
    let own = |name: &str| !source.contains(name);
    if Interface::of(module, info, own) != Interface::of(&again, &again_info, own) {
        return Err(unsupported(
            "an interface that cannot be written back".to_owned(),
        ));
    }
    Ok(written)
}

fn validate(
    module: &Module,
    capabilities: Capabilities,
) -> Result<ModuleInfo, Box<WithSpan<naga::valid::ValidationError>>> {
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(module)
        .map_err(Box::new)
}

fn invalid<E: Error>(error: &WithSpan<E>, source: &str) -> LowerError {
    LowerError::Invalid {
        message: error.emit_to_string(source),
        location: error.location(source).map(|location| Location {
            line: location.line_number,
            column: location.line_position,
            offset: location.offset,
            length: location.length,
        }),
    }
}

fn external_bindings(module: &Module, info: &ModuleInfo) -> Vec<ExternalBinding> {
    let mut bindings: Vec<ExternalBinding> = module
        .global_variables
        .iter()
        .filter(|(_, global)| rewrite::is_external(&module.types[global.ty].inner))
        .filter_map(|(handle, global)| {
            let binding = global.binding?;
            let entry_points = module
                .entry_points
                .iter()
                .enumerate()
                .filter(|&(index, _)| !info.get_entry_point(index)[handle].is_empty())
                .map(|(_, entry_point)| entry_point.name.clone())
                .collect();
            Some(ExternalBinding {
                group: binding.group,
                binding: binding.binding,
                entry_points,
            })
        })
        .collect();
    bindings.sort_by_key(|b| (b.group, b.binding));
    bindings
}
