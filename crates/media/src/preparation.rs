//! What is done ahead of time to the frames of one decoder.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use crate::frame::VideoFrame;

/// Something to do to a decoded frame on the decoder's thread, before anybody asks for it: an upload to a GPU, for a
/// script that has all frames uploaded.
pub trait Prepare: Debug + Send + Sync {
    /// Prepares `frame`. `false`: it is not worth it any more, and later frames come unprepared.
    fn prepare(&self, frame: &VideoFrame) -> bool;
}

/// What one decoder does to its frames ahead of time; nothing at first.
#[derive(Debug, Default)]
pub struct Preparation(Mutex<Option<Arc<dyn Prepare>>>);

impl Preparation {
    /// From now on, has `prepare` called with each frame.
    pub fn set(&self, prepare: Arc<dyn Prepare>) {
        *self.lock() = Some(prepare);
    }

    /// Whether frames are prepared.
    pub fn is_set(&self) -> bool {
        self.lock().is_some()
    }

    /// Prepares `frame`.
    pub fn run(&self, frame: &VideoFrame) {
        // Cloned, so that nobody who sets it waits for an upload.
        let found = self.lock().clone();
        if let Some(prepare) = found
            && !prepare.prepare(frame)
        {
            let mut current = self.lock();
            if current
                .as_ref()
                .is_some_and(|now| Arc::ptr_eq(now, &prepare))
            {
                *current = None;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<dyn Prepare>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::{ColorSpace, CpuImage, PixelFormat, Plane, Size};

    #[derive(Debug, Default)]
    struct Twice(AtomicU32);

    impl Prepare for Twice {
        fn prepare(&self, _: &VideoFrame) -> bool {
            self.0.fetch_add(1, Relaxed) == 0
        }
    }

    #[test]
    fn frames_are_prepared_until_it_is_not_worth_it() {
        let plane = Plane {
            data: vec![0; 4].into(),
            stride: 4,
        };
        let image = CpuImage::new(PixelFormat::Rgba, Size::new(1, 1), vec![plane]).unwrap();
        let frame = VideoFrame::from_cpu(image, 0, None, ColorSpace::SRGB);
        let preparation = Preparation::default();
        preparation.run(&frame);
        let twice = Arc::new(Twice::default());
        preparation.set(twice.clone());
        for _ in 0..5 {
            preparation.run(&frame);
        }
        assert_eq!(twice.0.load(Relaxed), 2);
        assert!(!preparation.is_set());
    }
}
