//! A decoder, with those that take over where it refuses the stream.

use std::collections::VecDeque;

use reelcore_engine::{Codec, ThreadLease};
use reelcore_media::frame::Lease;
use reelcore_media::{ErrorKind, MediaError};

use crate::stream::Context;

/// Chunks that are kept until a decoder gave something, so that another can take over.
pub(super) const REPLAY: usize = 64;

/// A decoder, and those that take over if it refuses the stream before it gave anything.
pub(super) struct Decoding<C: Codec> {
    pub(super) config: C::Config,
    instance: C::Instance,
    others: VecDeque<C::Backend>,
    replay: Vec<C::Input>,
    settled: bool,
    _threads: ThreadLease,
    context: Context,
}

impl<C: Codec> Decoding<C> {
    pub(super) fn start(context: &Context, config: C::Config) -> Result<Self, MediaError> {
        let mut others: VecDeque<_> = C::backends(&context.registry, &config)?.into();
        let (instance, threads) = Self::next(context, &config, &mut others)?;
        Ok(Self {
            config,
            instance,
            others,
            replay: Vec::new(),
            settled: false,
            _threads: threads,
            context: context.clone(),
        })
    }

    fn next(
        context: &Context,
        config: &C::Config,
        others: &mut VecDeque<C::Backend>,
    ) -> Result<(C::Instance, ThreadLease), MediaError> {
        let mut result = Err(MediaError::unsupported("no backend is left"));
        while let Some(backend) = others.pop_front() {
            // Encoders need threads more than decoders do.
            let half = context.engine.options.codec_threads.div_ceil(2);
            let lease = context
                .engine
                .budget
                .lease(C::threads(&backend, config).min(half));
            match C::start(&backend, config, &context.engine, lease.threads()) {
                Ok(instance) => return Ok((instance, lease)),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Decodes `input`, or all that is held back where there is none.
    pub(super) fn decode(
        &mut self,
        input: Option<&C::Input>,
        sink: &mut dyn FnMut(C::Output),
    ) -> Result<(), MediaError> {
        let mut result = self.feed(input, sink);
        while let Err(error) = &result
            && !self.settled
            && error.kind == ErrorKind::Unsupported
            && !self.others.is_empty()
        {
            let (instance, threads) = Self::next(&self.context, &self.config, &mut self.others)?;
            self.instance = instance;
            self._threads = threads;
            result = Ok(());
            for chunk in std::mem::take(&mut self.replay) {
                if result.is_ok() {
                    result = self.feed(Some(&chunk), sink);
                } else {
                    self.replay.push(chunk);
                }
            }
            if result.is_ok() && input.is_none() {
                result = self.feed(None, sink);
            }
        }
        result
    }

    fn feed(
        &mut self,
        input: Option<&C::Input>,
        sink: &mut dyn FnMut(C::Output),
    ) -> Result<(), MediaError> {
        if let Some(input) = input.filter(|_| !self.settled) {
            self.replay.push(input.clone());
        }
        let (settled, config) = (&mut self.settled, &self.config);
        let mut sink = |mut output| {
            *settled = true;
            C::finish(config, &mut output, Lease::new(|| {}));
            sink(output);
        };
        let result = match input {
            Some(input) => C::process(&mut self.instance, input, &mut sink),
            None => C::flush(&mut self.instance, &mut sink),
        };
        if self.settled || self.replay.len() >= REPLAY {
            self.settled = true;
            self.replay = Vec::new();
        }
        result
    }
}
