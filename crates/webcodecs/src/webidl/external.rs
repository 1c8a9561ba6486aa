//! Platform objects of other extensions.

use deno_core::v8;

/// Whether `value` implements the interface `name` of another extension. Of an extension that is not there, no object
/// can be.
pub fn is_external<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    name: &str,
) -> bool {
    #[cfg(feature = "gpu")]
    {
        use deno_core::cppgc::try_unwrap_cppgc_object;
        match name {
            "GPUTexture" => {
                try_unwrap_cppgc_object::<deno_webgpu::texture::GPUTexture>(scope, value).is_some()
            }
            "ImageBitmap" => {
                try_unwrap_cppgc_object::<deno_image::bitmap::ImageBitmap>(scope, value).is_some()
            }
            "OffscreenCanvas" => crate::gpu::canvas::size(scope, value).is_some(),
            _ => false,
        }
    }
    #[cfg(not(feature = "gpu"))]
    {
        let _ = (scope, value, name);
        false
    }
}
