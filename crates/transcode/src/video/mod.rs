//! Filters of pictures.

pub(crate) mod color;
pub(crate) mod filters;
pub(crate) mod overlay;
pub(crate) mod paint;
pub(crate) mod time;
