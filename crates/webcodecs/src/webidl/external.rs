//! Platform objects of other extensions.

use deno_core::v8;

/// Whether `value` implements the interface `name` of another extension. Of an extension that is not there, no object
/// can be.
pub fn is_external(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
    name: &str,
) -> bool {
    #[cfg(feature = "gpu")]
    if name == "GPUTexture" {
        use deno_core::cppgc::try_unwrap_cppgc_object;
        return try_unwrap_cppgc_object::<deno_webgpu::texture::GPUTexture>(scope, value).is_some();
    }
    let _ = (scope, value, name);
    false
}
