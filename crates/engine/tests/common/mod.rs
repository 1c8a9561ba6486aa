//! A codec whose behaviour each test sets.

#![allow(dead_code)]

use std::sync::Arc;

use reelcore_engine::{Codec, Engine, Options};
use reelcore_media::frame::Lease;
use reelcore_media::{MediaError, Registry};

pub type Process =
    dyn Fn(&mut Held, u32, &mut dyn FnMut(Out)) -> Result<(), MediaError> + Send + Sync;

/// Inputs a codec holds back until it is flushed, and the one that it does not go on with.
#[derive(Default)]
pub struct Held(pub Vec<u32>, pub Option<u32>);

/// What is added to an input at which a codec takes over.
pub const HANDED_OVER: u32 = 1000;

/// A codec that holds this back cannot be flushed.
pub const UNFLUSHABLE: u32 = u32::MAX;

/// The backends are closures over the number put in.
pub enum Fake {}

#[derive(Clone)]
pub struct Config(pub Vec<Arc<Process>>);

pub struct Out(pub u32, pub Option<Lease>);

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Out({})", self.0)
    }
}

impl Codec for Fake {
    type Config = Config;
    type Input = u32;
    type Output = Out;
    type Backend = Arc<Process>;
    type Instance = (Arc<Process>, Held);

    fn backends(_: &Registry, config: &Config) -> Result<Vec<Arc<Process>>, MediaError> {
        if config.0.is_empty() {
            Err(MediaError::unsupported("none"))
        } else {
            Ok(config.0.clone())
        }
    }
    fn threads(_: &Arc<Process>, _: &Config) -> usize {
        2
    }
    fn start(
        backend: &Arc<Process>,
        _: &Config,
        _: &Engine,
        _: usize,
    ) -> Result<Self::Instance, MediaError> {
        Ok((backend.clone(), Held::default()))
    }
    fn process(
        instance: &mut Self::Instance,
        input: &u32,
        sink: &mut dyn FnMut(Out),
    ) -> Result<(), MediaError> {
        (instance.0)(&mut instance.1, *input, sink)
    }
    fn flush(instance: &mut Self::Instance, sink: &mut dyn FnMut(Out)) -> Result<(), MediaError> {
        if instance.1.0.contains(&UNFLUSHABLE) {
            return Err(MediaError::invalid_data("what is held back is bad"));
        }
        instance.1.0.drain(..).for_each(|n| sink(Out(n, None)));
        Ok(())
    }
    fn accepts(instance: &Self::Instance, input: &u32) -> Result<(), MediaError> {
        if instance.1.1 == Some(*input) {
            return Err(MediaError::unsupported("not from here on"));
        }
        Ok(())
    }
    fn hand_over(_: &Self::Instance, input: &u32) -> u32 {
        input + HANDED_OVER
    }
    fn finish(_: &Config, output: &mut Out, lease: Lease) {
        output.1 = Some(lease);
    }
    fn output_bytes(_: &Out) -> usize {
        100
    }
}

pub fn engine(options: Options) -> Engine {
    Engine::new(Options {
        workers: 4,
        ..options
    })
}

pub fn process(
    f: impl Fn(&mut Held, u32, &mut dyn FnMut(Out)) -> Result<(), MediaError> + Send + Sync + 'static,
) -> Arc<Process> {
    Arc::new(f)
}

pub fn echo() -> Arc<Process> {
    process(|_, n, sink| {
        sink(Out(n, None));
        Ok(())
    })
}
