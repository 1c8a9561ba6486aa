//! Filters of pictures.

mod alpha;
mod blend;
pub(crate) mod color;
pub(crate) mod filters;
mod light;
pub(crate) mod overlay;
pub(crate) mod paint;
pub(crate) mod shape;
pub(crate) mod time;
