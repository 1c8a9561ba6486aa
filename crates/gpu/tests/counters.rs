//! The counters are the process's, so that all that is counted is in one test.

mod support;

use reelcore_gpu::{FrameInit, TextureDescription};
use reelcore_media::convert::{Fitter, PredefinedColorSpace};
use reelcore_media::counters;
use reelcore_media::pool::BufferPool;
use reelcore_media::{ColorSpace, PixelFormat, Size};
use reelcore_media::{CpuImage, VideoFrame};
use support::{gpu, picture};

const FRAMES: u64 = 300;

#[test]
fn a_frame_goes_up_once_and_comes_down_once_at_a_byte_and_a_half_a_pixel() {
    let gpu = gpu();
    let size = Size::new(320, 180);
    let pixels = size.area();
    let mut fitter = Fitter::new(BufferPool::new(8 << 20));
    let start = counters::read();
    let pictures: Vec<_> = (0..4)
        .map(|seed| picture(PixelFormat::Nv12, size, seed))
        .collect();
    for encoded in [false, true] {
        let before = counters::read();
        for seed in 0..FRAMES as usize {
            // The same memory in a new image, as that of a decoder's pool.
            let planes = pictures[seed % pictures.len()].planes().to_vec();
            let image = CpuImage::new(PixelFormat::Nv12, size, planes).unwrap();
            let frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::REC709);
            // Imported twice, as a script does that draws a frame into two places.
            let texture = gpu.rgba(&frame, PredefinedColorSpace::Srgb).unwrap();
            gpu.rgba(&frame.clone(), PredefinedColorSpace::Srgb)
                .unwrap();
            gpu.rgba(&frame, PredefinedColorSpace::DisplayP3).unwrap();
            let description = TextureDescription {
                format: texture.format(),
                size,
                usage: texture.usage(),
                mip_level: 0,
                layer: 0,
            };
            let out = gpu
                .frame_from_texture(texture.id(), &description, &FrameInit::new(0))
                .unwrap();
            if encoded {
                let fitted = fitter.fit(&out, PixelFormat::I420, size).unwrap();
                assert_eq!(fitted.color_space, ColorSpace::REC709);
                assert!(out.resource.cpu().is_none(), "nothing else came down");
            }
        }
        let after = counters::read();
        assert_eq!(after.uploads - before.uploads, FRAMES);
        assert_eq!(
            after.upload_bytes - before.upload_bytes,
            FRAMES * pixels * 3 / 2
        );
        let downloads = after.downloads - before.downloads;
        let bytes = after.download_bytes - before.download_bytes;
        match encoded {
            false => assert_eq!((downloads, bytes), (0, 0)),
            true => assert_eq!((downloads, bytes), (FRAMES, FRAMES * pixels * 3 / 2)),
        }
        assert_eq!(
            after.cpu_copies, before.cpu_copies,
            "no pixel is copied between CPU buffers"
        );
    }
    drop(pictures);
    assert_eq!(counters::read().frames_alive, start.frames_alive);
}
