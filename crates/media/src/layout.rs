//! Where the planes of a copied image lie in the caller's buffer.
//!
//! The geometry of `VideoFrame.allocationSize()` and `copyTo()`, and of the constructor that takes
//! a buffer. Sizes and offsets are in bytes; rectangles are in pixels.

use crate::format::PixelFormat;
use crate::geometry::Rect;

/// Where the caller wants one plane: <https://w3c.github.io/webcodecs/#dictdef-planelayout>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlaneLayout {
    /// Where the plane starts, in bytes from the start of the buffer.
    pub offset: u32,
    /// Bytes from the start of a row to the start of the next.
    pub stride: u32,
}

/// Which bytes of a source plane go where: <https://w3c.github.io/webcodecs/#computed-plane-layout>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ComputedPlaneLayout {
    /// Where the plane starts in the destination.
    pub destination_offset: u32,
    /// Bytes from a row of the destination to the next.
    pub destination_stride: u32,
    /// First row of the source plane.
    pub source_top: u32,
    /// Rows.
    pub source_height: u32,
    /// First byte of each row of the source plane.
    pub source_left_bytes: u64,
    /// Bytes of each row. At most `destination_stride`.
    pub source_width_bytes: u32,
}

impl ComputedPlaneLayout {
    /// The offset and the stride, as `copyTo` returns them.
    pub const fn plane_layout(&self) -> PlaneLayout {
        PlaneLayout {
            offset: self.destination_offset,
            stride: self.destination_stride,
        }
    }
}

/// The planes of an image in one buffer: <https://w3c.github.io/webcodecs/#combined-buffer-layout>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CombinedBufferLayout {
    /// Bytes that the buffer must have.
    pub allocation_size: u32,
    /// One for each plane of the format.
    pub computed_layouts: Vec<ComputedPlaneLayout>,
}

/// Why a layout cannot be used. WebCodecs has a TypeError for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LayoutError {
    /// The number of planes is not the format's.
    #[error("layout has {found} planes, {format} has {expected}")]
    PlaneCount {
        /// The format's name.
        format: &'static str,
        /// Planes of the format.
        expected: usize,
        /// Planes of the layout.
        found: usize,
    },
    /// Rows would overlap.
    #[error("plane {plane}: stride {stride} is shorter than a row of {row_bytes} bytes")]
    StrideTooShort {
        /// The plane, counted from 0.
        plane: usize,
        /// The stride that was given.
        stride: u32,
        /// Bytes of a row.
        row_bytes: u64,
    },
    /// A plane ends past what an `unsigned long` can say.
    #[error("plane {plane} would end past 4294967295 bytes")]
    TooLarge {
        /// The plane, counted from 0.
        plane: usize,
    },
    /// Two planes share bytes.
    #[error("plane {plane} overlaps plane {earlier}")]
    Overlap {
        /// The later plane, counted from 0.
        plane: usize,
        /// The earlier plane.
        earlier: usize,
    },
}

impl CombinedBufferLayout {
    /// Compute Layout and Allocation Size, for `rect` of an image of `format`; without `layout`
    /// the planes are packed, one after another.
    /// <https://w3c.github.io/webcodecs/#videoframe-compute-layout-and-allocation-size>
    ///
    /// `rect` starts on whole samples ([`PixelFormat::rect_is_sample_aligned`]); its size may be
    /// odd.
    ///
    /// # Errors
    /// [`LayoutError`], as the algorithm says.
    pub fn compute(
        rect: Rect,
        format: PixelFormat,
        layout: Option<&[PlaneLayout]>,
    ) -> Result<Self, LayoutError> {
        // 1. Let numPlanes be the number of planes as defined by format.
        let num_planes = format.num_planes();
        // 2. If layout is not undefined and its length does not equal numPlanes, throw a TypeError.
        if let Some(layout) = layout
            && layout.len() != num_planes
        {
            return Err(LayoutError::PlaneCount {
                format: format.as_str(),
                expected: num_planes,
                found: layout.len(),
            });
        }
        // 3. Let minAllocationSize be 0.
        let mut min_allocation_size = 0u32;
        // 4. Let computedLayouts be a new list.
        let mut computed_layouts: Vec<ComputedPlaneLayout> = Vec::with_capacity(num_planes);
        // 5. Let endOffsets be a new list.
        let mut end_offsets: Vec<u32> = Vec::with_capacity(num_planes);
        // 6. Let planeIndex be 0.
        // 7. While planeIndex < numPlanes:
        for plane in 0..num_planes {
            // 7.1-7.4. Plane, sampleBytes, sampleWidth, sampleHeight.
            let sample_bytes = format.sample_bytes(plane) as u64;
            let (sample_width, sample_height) = format.subsampling(plane);
            // 7.5-7.9. The source: top and left are whole samples, the size rounds up.
            let source_top = rect.y.div_ceil(sample_height);
            let source_height = rect.height.div_ceil(sample_height);
            let source_left_bytes = u64::from(rect.x / sample_width) * sample_bytes;
            let row_bytes = u64::from(rect.width.div_ceil(sample_width)) * sample_bytes;
            let (destination_offset, destination_stride) =
                match layout.and_then(|layout| layout.get(plane)) {
                    // 7.10. If layout is not undefined:
                    Some(given) => {
                        // 7.10.2. If planeLayout.stride is less than sourceWidthBytes, return a
                        //         TypeError.
                        if u64::from(given.stride) < row_bytes {
                            return Err(LayoutError::StrideTooShort {
                                plane,
                                stride: given.stride,
                                row_bytes,
                            });
                        }
                        // 7.10.3-7.10.4. destinationOffset and destinationStride as given.
                        (given.offset, given.stride)
                    }
                    // 7.11. Otherwise: destinationOffset is minAllocationSize, destinationStride
                    //       is sourceWidthBytes.
                    None => (
                        min_allocation_size,
                        u32::try_from(row_bytes).map_err(|_| LayoutError::TooLarge { plane })?,
                    ),
                };
            // 7.12. Let planeSize be the product of destinationStride and sourceHeight.
            // 7.13. Let planeEnd be the sum of planeSize and destinationOffset.
            // 7.14. If planeSize or planeEnd is greater than the maximum range of unsigned long,
            //       return a TypeError.
            let plane_end = destination_stride
                .checked_mul(source_height)
                .and_then(|plane_size| plane_size.checked_add(destination_offset))
                .ok_or(LayoutError::TooLarge { plane })?;
            // 7.15. Append planeEnd to endOffsets.
            end_offsets.push(plane_end);
            // 7.16. Assign the maximum of minAllocationSize and planeEnd to minAllocationSize.
            min_allocation_size = min_allocation_size.max(plane_end);
            // 7.17-7.18. Each earlier plane ends before this one starts, or starts after its end.
            for (earlier, (other, &end)) in computed_layouts.iter().zip(&end_offsets).enumerate() {
                if plane_end > other.destination_offset && end > destination_offset {
                    return Err(LayoutError::Overlap { plane, earlier });
                }
            }
            // 7.19. Append computedLayout to computedLayouts.
            computed_layouts.push(ComputedPlaneLayout {
                destination_offset,
                destination_stride,
                source_top,
                source_height,
                source_left_bytes,
                // A row is never longer than the stride, which is 32 bits wide.
                source_width_bytes: u32::try_from(row_bytes)
                    .map_err(|_| LayoutError::TooLarge { plane })?,
            });
        }
        // 8-9. Return the combined buffer layout.
        Ok(Self {
            allocation_size: min_allocation_size,
            computed_layouts,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect {
            x,
            y,
            width,
            height,
        }
    }

    fn at(offset: u32, stride: u32) -> PlaneLayout {
        PlaneLayout { offset, stride }
    }

    #[test]
    fn planes_are_packed_one_after_another_without_a_layout() {
        let layout =
            CombinedBufferLayout::compute(rect(2, 2, 5, 3), PixelFormat::I420AP10, None).unwrap();
        assert_eq!(layout.allocation_size, 30 + 12 + 12 + 30);
        assert_eq!(
            layout.computed_layouts[1],
            ComputedPlaneLayout {
                destination_offset: 30,
                destination_stride: 6,
                source_top: 1,
                source_height: 2,
                source_left_bytes: 2,
                source_width_bytes: 6,
            }
        );
        let nv12 =
            CombinedBufferLayout::compute(rect(4, 2, 5, 3), PixelFormat::Nv12, None).unwrap();
        assert_eq!(nv12.computed_layouts[1].plane_layout(), at(15, 6));
        assert_eq!(nv12.computed_layouts[1].source_left_bytes, 4);
    }

    #[test]
    fn each_bad_layout_is_told_apart() {
        let compute = |layout: &[PlaneLayout]| {
            CombinedBufferLayout::compute(rect(0, 0, 4, 2), PixelFormat::I420, Some(layout))
        };
        assert_eq!(
            compute(&[at(0, 4)]),
            Err(LayoutError::PlaneCount {
                format: "I420",
                expected: 3,
                found: 1
            })
        );
        assert_eq!(
            compute(&[at(0, 4), at(8, 1), at(10, 2)]),
            Err(LayoutError::StrideTooShort {
                plane: 1,
                stride: 1,
                row_bytes: 2
            })
        );
        assert_eq!(
            compute(&[at(0, 4), at(7, 2), at(10, 2)]),
            Err(LayoutError::Overlap {
                plane: 1,
                earlier: 0
            })
        );
        // The bytes after the last row belong to the plane, as the algorithm has it.
        assert_eq!(
            compute(&[at(0, 4), at(8, 9), at(10, 2)]),
            Err(LayoutError::Overlap {
                plane: 2,
                earlier: 1
            })
        );
        let last = compute(&[at(u32::MAX - 8, 4), at(0, 2), at(2, 2)]).unwrap();
        assert_eq!(last.allocation_size, u32::MAX);
        assert_eq!(
            compute(&[at(u32::MAX - 7, 4), at(0, 2), at(2, 2)]),
            Err(LayoutError::TooLarge { plane: 0 })
        );
        assert_eq!(
            compute(&[at(0, u32::MAX), at(0, 2), at(2, 2)]),
            Err(LayoutError::TooLarge { plane: 0 })
        );
        assert_eq!(
            CombinedBufferLayout::compute(rect(0, 0, u32::MAX, 1), PixelFormat::Rgba, None),
            Err(LayoutError::TooLarge { plane: 0 })
        );
    }

    proptest! {
        #[test]
        fn a_packed_layout_is_exactly_as_large_as_the_packed_image(
            format in select(PixelFormat::ALL),
            x in 0..500u32, y in 0..500u32, width in 1..2000u32, height in 1..2000u32,
        ) {
            let rect = rect(x * 2, y * 2, width, height);
            let layout = CombinedBufferLayout::compute(rect, format, None).unwrap();
            prop_assert_eq!(Some(layout.allocation_size as usize), format.packed_size(rect.size()));
        }

        #[test]
        fn what_is_accepted_fits_and_does_not_overlap(
            format in select(PixelFormat::ALL),
            width in prop_oneof![1..64u32, any::<u32>()],
            height in prop_oneof![1..64u32, any::<u32>()],
            planes in prop::collection::vec(
                (prop_oneof![0..40_000u32, any::<u32>()], prop_oneof![0..300u32, any::<u32>()]), 1..5),
        ) {
            let given: Vec<_> = planes.iter().map(|&(offset, stride)| at(offset, stride)).collect();
            let rect = rect(0, 0, width, height);
            let layout = CombinedBufferLayout::compute(rect, format, Some(&given));
            let spans: Vec<_> = given.iter().enumerate().map(|(plane, layout)| {
                let rows = u128::from(height.div_ceil(format.subsampling(plane.min(3)).1));
                let start = u128::from(layout.offset);
                (start, start + rows * u128::from(layout.stride))
            }).collect();
            let good = given.len() == format.num_planes()
                && given.iter().enumerate().all(|(plane, layout)| {
                    layout.stride as usize >= format.row_bytes(plane, width)
                })
                && spans.iter().all(|span| span.1 <= u128::from(u32::MAX))
                && spans.iter().enumerate().all(|(i, a)| {
                    spans[..i].iter().all(|b| a.1 <= b.0 || b.1 <= a.0)
                });
            prop_assert_eq!(layout.is_ok(), good, "{:?}", layout);
            if let Ok(layout) = layout {
                let end = spans.iter().map(|span| span.1).max();
                prop_assert_eq!(Some(u128::from(layout.allocation_size)), end);
            }
        }
    }
}
