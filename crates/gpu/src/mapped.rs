//! Reading memory that wgpu has mapped: the one place where a pointer of wgpu-core's is followed.
#![allow(unsafe_code)]

use wgpu_core::id::BufferId;

use crate::device::{Entered, Gpu};
use crate::error::GpuError;

impl Gpu {
    /// Copies the start of a buffer that is mapped for reading into `to`.
    ///
    /// The bytes are copied, not lent, because wgpu-core unmaps every buffer of a device that is destroyed, at whatever
    /// poll of it comes next.
    pub(crate) fn copy_mapped(
        &self,
        _entered: &Entered<'_>,
        buffer: BufferId,
        to: &mut [u8],
    ) -> Result<(), GpuError> {
        let (start, length) = self
            .global
            .buffer_get_mapped_range(buffer, 0, Some(to.len() as u64))
            .map_err(|error| GpuError::of("a read-back", &error))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(to.len());
        // SAFETY: `buffer_get_mapped_range` checked that the buffer is mapped from 0 for `length` bytes. It stays mapped while
        // this call runs: the buffer is not shared, it is unmapped by the caller after this call, and the owner of the
        // device retires this value, which waits for `_entered`, before it destroys the device. The GPU does not write
        // to a mapped buffer, and `to` is another allocation.
        let mapped = unsafe { std::slice::from_raw_parts(start.as_ptr(), length) };
        to.get_mut(..length)
            .ok_or(GpuError::Lost)?
            .copy_from_slice(mapped);
        Ok(())
    }
}
