//! Inputs that two workers process at the same time come out as if one had.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use reelcore_engine::{Codec, CodecHandle, Engine, Event, Options};
use reelcore_media::codec::Successor;
use reelcore_media::frame::Lease;
use reelcore_media::{MediaError, Registry};

/// A codec that gives each input with the one before it, as transforms overlap, and each [mark](Config::marks) with how many
/// there were so far, as random numbers go on.
enum Overlapping {}

#[derive(Clone)]
struct Config {
    successor: Successor,
    /// Inputs that are multiples of this are marks; none where it is 0.
    marks: u32,
    /// The input that cannot be processed: the first one from this one on that a primed instance meets.
    bad_from: u32,
    bad: Arc<AtomicU32>,
    /// From this input on, each takes ten times as long.
    slow_from: u32,
    /// Where no instance can begin.
    no_start: fn(u32) -> bool,
    /// Instances.
    started: Arc<AtomicUsize>,
    /// Priming panics.
    panics: bool,
    /// What an output is said to hold, from this input on.
    large: (u32, usize),
    /// How often an instance was primed.
    primed: Arc<AtomicUsize>,
    /// Inputs of instances that were primed.
    second: Arc<AtomicUsize>,
}

impl Config {
    fn new(successor: Successor) -> Self {
        Self {
            successor,
            marks: 0,
            bad_from: u32::MAX,
            bad: Arc::new(AtomicU32::new(u32::MAX)),
            slow_from: u32::MAX,
            no_start: |_| false,
            started: Arc::default(),
            panics: false,
            large: (u32::MAX, 0),
            primed: Arc::default(),
            second: Arc::default(),
        }
    }

    fn is_mark(&self, input: u32) -> bool {
        self.marks > 0 && input.is_multiple_of(self.marks)
    }
}

struct Instance {
    config: Config,
    before: Option<u32>,
    marks: u32,
    is_primed: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Pair {
    before: Option<u32>,
    input: u32,
    /// Where it is one.
    mark: Option<u32>,
}

/// What came of an input, the bytes that it is said to hold, and what ties it to the engine's count.
#[derive(Debug)]
struct Out(Pair, usize, Option<Lease>);

/// What an input takes.
const PACE: Duration = Duration::from_micros(40);

impl Codec for Overlapping {
    type Config = Config;
    type Input = u32;
    type Output = Out;
    type Backend = ();
    type Instance = Instance;

    const PARALLEL: bool = true;

    fn backends(_: &Registry, _: &Config) -> Result<Vec<()>, MediaError> {
        Ok(vec![()])
    }
    fn max_inputs(_: &Options) -> usize {
        1 << 20
    }
    fn threads(_: &(), _: &Config) -> usize {
        1
    }
    fn start(_: &(), config: &Config, _: &Engine, _: usize) -> Result<Instance, MediaError> {
        config.started.fetch_add(1, SeqCst);
        Ok(Instance {
            config: config.clone(),
            before: None,
            marks: 0,
            is_primed: false,
        })
    }
    fn process(
        instance: &mut Instance,
        input: &u32,
        sink: &mut dyn FnMut(Out),
    ) -> Result<(), MediaError> {
        let config = &instance.config;
        let slow = *input >= config.slow_from;
        let until = Instant::now() + PACE * if slow { 10 } else { 1 };
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        if instance.is_primed && *input >= config.bad_from {
            let _ = (config.bad).compare_exchange(u32::MAX, *input, SeqCst, SeqCst);
        }
        if config.bad.load(SeqCst) == *input {
            return Err(MediaError::invalid_data("bad"));
        }
        let is_mark = instance.config.is_mark(*input);
        instance.marks += u32::from(is_mark);
        let pair = Pair {
            before: instance.before.replace(*input),
            input: *input,
            mark: is_mark.then_some(instance.marks),
        };
        let is_primed = usize::from(instance.is_primed);
        instance.config.second.fetch_add(is_primed, SeqCst);
        let (from, bytes) = instance.config.large;
        let bytes = if *input >= from { bytes } else { 100 };
        sink(Out(pair, bytes, None));
        Ok(())
    }
    fn flush(_: &mut Instance, _: &mut dyn FnMut(Out)) -> Result<(), MediaError> {
        Ok(())
    }
    fn preroll(_: &Instance, before: &[u32]) -> Option<usize> {
        (!before.is_empty()).then_some(1)
    }
    fn prime(instance: &mut Instance, preroll: &[u32]) -> Result<(), MediaError> {
        instance.config.primed.fetch_add(1, SeqCst);
        assert!(!instance.config.panics, "on purpose");
        assert_eq!(preroll.len(), 1);
        if (instance.config.no_start)(preroll[0]) {
            return Err(MediaError::unsupported("not after this one"));
        }
        instance.before = preroll.last().copied();
        instance.is_primed = true;
        Ok(())
    }
    fn is_seamless(instance: &Instance, input: &u32) -> bool {
        !instance.config.is_mark(*input)
    }
    fn catch_up(instance: &mut Instance, inputs: &[u32]) -> Result<Successor, MediaError> {
        if instance.config.successor == Successor::First {
            instance.before = inputs.last().copied();
        }
        Ok(instance.config.successor)
    }
    fn finish(_: &Config, output: &mut Out, lease: Lease) {
        output.2 = Some(lease);
    }
    fn output_bytes(output: &Out) -> usize {
        output.1
    }
}

fn expected(config: &Config, inputs: u32) -> Vec<Pair> {
    let pairs = (0..inputs).map(|input| Pair {
        before: input.checked_sub(1),
        input,
        mark: config
            .is_mark(input)
            .then(|| input / config.marks.max(1) + 1),
    });
    pairs.collect()
}

struct Ended {
    pairs: Vec<Pair>,
    error: Option<MediaError>,
    /// Of outputs, when they were fetched.
    most_alive: usize,
}

/// Configures, processes `0..inputs`, flushes, and closes each output as soon as it is there.
fn run(options: Options, config: &Config, inputs: u32) -> Ended {
    let engine = Engine::new(options);
    let (wake, woken) = mpsc::channel();
    let handle = CodecHandle::<Overlapping>::new(&engine, Registry::new(), move || {
        let _ = wake.send(());
    });
    handle.configure(config.clone());
    (0..inputs).for_each(|input| handle.process(input));
    handle.flush(0);
    let mut ended = Ended {
        pairs: Vec::new(),
        error: None,
        most_alive: 0,
    };
    let mut commands = 0;
    loop {
        woken
            .recv_timeout(Duration::from_secs(20))
            .unwrap_or_else(|_| panic!("stuck after {} outputs", ended.pairs.len()));
        let mut events = Vec::new();
        commands += handle.drain(&mut events);
        ended.most_alive = ended.most_alive.max(handle.outputs().0);
        for event in events {
            match event {
                Event::Output(out) => ended.pairs.push(out.0),
                Event::Flushed(_) => {
                    assert_eq!(commands, inputs as usize + 2, "each is reported once");
                    return ended;
                }
                Event::Failed { error, .. } => ended.error = Some(error),
                Event::Configured | Event::Stalled { .. } => {}
            }
        }
        if ended.error.is_some() {
            assert_eq!(commands, ended.pairs.len() + 2, "with the one that failed");
            // Whatever follows has time to come.
            let more = woken.recv_timeout(Duration::from_millis(20));
            let mut events = Vec::new();
            handle.drain(&mut events);
            assert!(events.is_empty(), "{more:?}: {events:?}");
            return ended;
        }
    }
}

fn workers(workers: usize) -> Options {
    Options {
        workers,
        ..Options::default()
    }
}

/// Runs until a second worker has done what `count` counts, which on a busy machine it may not each time.
fn run_until(count: &AtomicUsize, config: &Config, inputs: u32, check: impl Fn(Ended)) {
    for _ in 0..100 {
        check(run(workers(2), config, inputs));
        if count.load(SeqCst) > 0 {
            return;
        }
    }
    panic!("no second worker ever did");
}

#[test]
fn outputs_of_two_workers_are_in_order_and_those_of_one_instance() {
    for successor in [Successor::First, Successor::Second] {
        let config = Config::new(successor);
        run_until(&config.second, &config, 1000, |ended| {
            assert_eq!(ended.error, None);
            assert!(ended.pairs == expected(&config, 1000), "{successor:?}");
        });
    }
}

#[test]
fn what_a_second_instance_cannot_know_is_the_first_ones_to_process() {
    let config = Config {
        marks: 37,
        ..Config::new(Successor::First)
    };
    run_until(&config.second, &config, 1000, |ended| {
        assert!(ended.pairs == expected(&config, 1000));
    });
}

#[test]
fn outputs_of_a_second_instance_that_does_not_match_are_not_given() {
    let config = Config::new(Successor::Neither);
    run_until(&config.second, &config, 500, |ended| {
        assert!(ended.pairs == expected(&config, 500));
    });
}

#[test]
fn an_error_of_the_second_instance_comes_once_and_after_all_outputs_before_it() {
    for _ in 0..4 {
        let found = (0..100).find_map(|_| {
            let config = Config {
                bad_from: 300,
                ..Config::new(Successor::Second)
            };
            let ended = run(workers(2), &config, 1000);
            let bad = config.bad.load(SeqCst);
            assert_eq!(ended.error.is_some(), bad < 1000);
            assert!(ended.pairs == expected(&config, bad.min(1000)));
            ended.error
        });
        assert!(found.is_some(), "no second worker met it");
    }
}

#[test]
fn an_error_of_the_first_instance_comes_once_and_after_all_outputs_before_it() {
    for bad in 500..530 {
        let config = Config::new(Successor::First);
        config.bad.store(bad, SeqCst);
        let ended = run(workers(2), &config, 1000);
        assert!(ended.error.is_some());
        assert!(ended.pairs == expected(&config, bad));
    }
}

#[test]
fn inputs_that_become_slow_in_a_run_are_processed_in_order() {
    for successor in [Successor::First, Successor::Second] {
        for slow_from in [300, 350, 400] {
            let config = Config {
                slow_from,
                ..Config::new(successor)
            };
            run_until(&config.second, &config, 600, |ended| {
                assert!(ended.pairs == expected(&config, 600), "{successor:?}");
            });
        }
    }
}

#[test]
fn an_instance_that_cannot_begin_somewhere_is_kept_for_another_place() {
    let config = Config {
        no_start: |before| before % 3 != 0,
        ..Config::new(Successor::First)
    };
    let runs = AtomicUsize::new(0);
    run_until(&config.second, &config, 2000, |ended| {
        runs.fetch_add(1, SeqCst);
        assert!(ended.pairs == expected(&config, 2000));
    });
    // One of each kind a run.
    let started = config.started.load(SeqCst);
    assert!(started <= 2 * runs.load(SeqCst), "{started} instances");
}

#[test]
fn a_second_instance_that_panics_loses_nothing() {
    let config = Config {
        panics: true,
        ..Config::new(Successor::Second)
    };
    run_until(&config.primed, &config, 500, |ended| {
        assert_eq!(ended.error, None);
        assert!(ended.pairs == expected(&config, 500));
    });
}

#[test]
fn one_worker_processes_all_inputs_where_there_is_no_other_or_no_room_for_more_outputs() {
    let alone = Config::new(Successor::First);
    let ended = run(workers(1), &alone, 300);
    assert!(ended.pairs == expected(&alone, 300));
    assert_eq!(alone.second.load(SeqCst), 0);

    let narrow = Config::new(Successor::First);
    let options = Options {
        max_outputs_bytes: 900,
        min_outputs: 4,
        ..workers(2)
    };
    let ended = run(options, &narrow, 300);
    assert!(ended.pairs == expected(&narrow, 300));
    assert_eq!(narrow.second.load(SeqCst), 0);
    assert!(ended.most_alive <= 9, "{}", ended.most_alive);
}

#[test]
fn outputs_that_grow_large_stop_both_workers_near_the_cap() {
    // 64 outputs fill the cap, of which there is an end in sight in no run.
    let (bytes, cap) = (1 << 20, 64 << 20);
    let config = Config {
        large: (600, bytes),
        ..Config::new(Successor::Second)
    };
    let options = Options {
        max_outputs_bytes: cap,
        ..workers(2)
    };
    for _ in 0..100 {
        let engine = Engine::new(options);
        let (wake, woken) = mpsc::channel();
        let handle = CodecHandle::<Overlapping>::new(&engine, Registry::new(), move || {
            let _ = wake.send(());
        });
        handle.configure(config.clone());
        (0..1000).for_each(|input| handle.process(input));
        handle.flush(0);
        let (mut events, mut pairs) = (Vec::new(), Vec::new());
        while !matches!(events.last(), Some(Event::Flushed(_))) {
            woken
                .recv_timeout(Duration::from_secs(20))
                .expect("goes on");
            handle.drain(&mut events);
            if matches!(events.last(), Some(Event::Stalled { .. })) {
                let (_, held) = handle.outputs();
                // A second worker's part is 8 MiB and an output at most, and each worker's own count goes beyond by one.
                assert!((cap..=cap + 10 * bytes).contains(&held), "{held} bytes");
                // Closed, all of them.
                pairs.extend(events.drain(..).filter_map(pair));
            }
        }
        pairs.extend(events.drain(..).filter_map(pair));
        assert!(pairs == expected(&config, 1000));
        if config.second.load(SeqCst) > 0 {
            return;
        }
    }
    panic!("no second worker ever did");
}

fn pair(event: Event<Out>) -> Option<Pair> {
    match event {
        Event::Output(out) => Some(out.0),
        _ => None,
    }
}

#[test]
fn a_reset_forgets_what_two_workers_are_processing() {
    let engine = Engine::new(workers(2));
    let (wake, woken) = mpsc::channel();
    let handle = CodecHandle::<Overlapping>::new(&engine, Registry::new(), move || {
        let _ = wake.send(());
    });
    let config = Config::new(Successor::Second);
    let mut round = 0;
    while round < 30 || config.second.load(SeqCst) == 0 {
        assert!(round < 3000, "no second worker took part in any round");
        handle.configure(config.clone());
        (0..400).for_each(|input| handle.process(input));
        // At different points of a run.
        std::thread::sleep(Duration::from_micros(300 * (round % 30)));
        round += 1;
        handle.reset();
        while woken.try_recv().is_ok() {}
        let mut events = Vec::new();
        handle.drain(&mut events);
        assert!(events.is_empty(), "{events:?}");
    }
    handle.configure(config.clone());
    (0..3).for_each(|input| handle.process(input));
    handle.flush(1);
    let mut pairs = Vec::new();
    let mut events = Vec::new();
    while !matches!(events.last(), Some(Event::Flushed(1))) {
        woken.recv_timeout(Duration::from_secs(20)).expect("ends");
        handle.drain(&mut events);
    }
    for event in events {
        if let Event::Output(out) = event {
            pairs.push(out.0);
        }
    }
    assert!(pairs == expected(&config, 3));
}
