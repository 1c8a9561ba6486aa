//! What is done ahead of time to the frames of one decoder.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use crate::color::ColorSpace;
use crate::format::PixelFormat;
use crate::frame::VideoFrame;
use crate::geometry::{Rect, Rotation, Size};

/// Something to do to a decoded frame on the decoder's thread, before anybody asks for it: an upload to a GPU, for a
/// script that has all frames uploaded.
pub trait Prepare: Debug + Send + Sync {
    /// Prepares `frame`. `false`: it is not worth it any more, and later frames come unprepared.
    fn prepare(&self, frame: &VideoFrame) -> bool;
}

/// What one decoder does to its frames ahead of time; nothing at first.
#[derive(Debug, Default)]
pub struct Preparation(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    prepare: Option<Arc<dyn Prepare>>,
    /// How the last frame is shown.
    shown: Option<Shown>,
}

/// How a frame is shown, on which depends what is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    format: Option<PixelFormat>,
    visible_rect: Rect,
    display_size: Size,
    rotation: Rotation,
    flip: bool,
    color_space: ColorSpace,
}

impl Shown {
    fn of(frame: &VideoFrame) -> Self {
        Self {
            format: frame.format,
            visible_rect: frame.visible_rect,
            display_size: frame.display_size,
            rotation: frame.rotation,
            flip: frame.flip,
            color_space: frame.color_space,
        }
    }
}

impl Preparation {
    /// From now on, has `prepare` called with each frame.
    pub fn set(&self, prepare: Arc<dyn Prepare>) {
        self.lock().prepare = Some(prepare);
    }

    /// Whether frames are prepared.
    pub fn is_set(&self) -> bool {
        self.lock().prepare.is_some()
    }

    /// Whether the decoder's last frame is shown as `frame` is: what is done to its frames serves `frame`. It does not serve
    /// what a script made of them, a part of each for instance.
    pub fn gives(&self, frame: &VideoFrame) -> bool {
        self.lock().shown == Some(Shown::of(frame))
    }

    /// Prepares `frame`.
    pub fn run(&self, frame: &VideoFrame) {
        // Cloned, so that nobody who sets it waits for an upload.
        let found = {
            let mut state = self.lock();
            state.shown = Some(Shown::of(frame));
            state.prepare.clone()
        };
        if let Some(prepare) = found
            && !prepare.prepare(frame)
        {
            let mut state = self.lock();
            if state
                .prepare
                .as_ref()
                .is_some_and(|now| Arc::ptr_eq(now, &prepare))
            {
                state.prepare = None;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::{CpuImage, Plane};

    #[derive(Debug, Default)]
    struct Twice(AtomicU32);

    impl Prepare for Twice {
        fn prepare(&self, _: &VideoFrame) -> bool {
            self.0.fetch_add(1, Relaxed) == 0
        }
    }

    fn frame() -> VideoFrame {
        let plane = Plane {
            data: vec![0; 4 * 4].into(),
            stride: 8,
        };
        let image = CpuImage::new(PixelFormat::Rgba, Size::new(2, 2), vec![plane]).unwrap();
        VideoFrame::from_cpu(image, 0, None, ColorSpace::SRGB)
    }

    #[test]
    fn frames_that_are_shown_otherwise_than_they_come_are_not_what_is_prepared() {
        let preparation = Preparation::default();
        let frame = frame();
        assert!(!preparation.gives(&frame));
        preparation.run(&frame);
        // One that comes later is.
        let later = VideoFrame {
            timestamp: 40,
            ..frame.clone()
        };
        assert!(preparation.gives(&later));
        let part = Rect {
            x: 1,
            y: 0,
            width: 1,
            height: 2,
        };
        for other in [
            VideoFrame {
                visible_rect: part,
                ..frame.clone()
            },
            VideoFrame {
                display_size: Size::new(4, 2),
                ..frame.clone()
            },
            VideoFrame {
                rotation: Rotation::R180,
                ..frame.clone()
            },
            VideoFrame {
                flip: true,
                ..frame.clone()
            },
            VideoFrame {
                format: Some(PixelFormat::Rgbx),
                ..frame.clone()
            },
            VideoFrame {
                color_space: ColorSpace::REC709,
                ..frame.clone()
            },
        ] {
            assert!(!preparation.gives(&other), "{other:?}");
        }
    }

    #[test]
    fn frames_are_prepared_until_it_is_not_worth_it() {
        let frame = frame();
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
