//! The engine's promises, proved with a codec whose behaviour each test sets.

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::ThreadId;
use std::time::Duration;

use common::{Config, Fake, HANDED_OVER, Out, Process, UNFLUSHABLE, echo, engine, process};
use reelcore_engine::{CodecHandle, Engine, Event, Options};
use reelcore_media::{MediaError, Registry};

struct Rig {
    handle: CodecHandle<Fake>,
    woken: mpsc::Receiver<()>,
}

impl Rig {
    fn new(engine: &Engine) -> Self {
        let (wake, woken) = mpsc::channel();
        let wake = move || {
            let _ = wake.send(());
        };
        Self {
            handle: CodecHandle::new(engine, Registry::new(), wake),
            woken,
        }
    }

    /// Events until `done` holds of them.
    fn until(&self, done: impl Fn(&[Event<Out>]) -> bool) -> Vec<Event<Out>> {
        let mut events = Vec::new();
        while !done(&events) {
            self.woken
                .recv_timeout(Duration::from_secs(20))
                .unwrap_or_else(|_| panic!("stuck after {events:?}"));
            self.handle.drain(&mut events);
        }
        events
    }
}

fn flushed(events: &[Event<Out>]) -> bool {
    events.iter().any(|e| matches!(e, Event::Flushed(_)))
}

fn failed(events: &[Event<Out>]) -> bool {
    events.iter().any(|e| matches!(e, Event::Failed { .. }))
}

fn numbers(events: &[Event<Out>]) -> Vec<u32> {
    events
        .iter()
        .filter_map(|e| {
            if let Event::Output(out) = e {
                Some(out.0)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn outputs_keep_their_order_and_come_before_the_flush_that_asked_for_them() {
    let rig = Rig::new(&engine(Options::default()));
    let hold = process(|held, n, sink| {
        held.0.push(n);
        if held.0.len() > 3 {
            sink(Out(held.0.remove(0), None));
        }
        Ok(())
    });
    rig.handle.configure(Config(vec![hold]));
    (0..1000).for_each(|n| rig.handle.process(n));
    rig.handle.flush(7);
    let events = rig.until(flushed);
    assert_eq!(numbers(&events), (0..1000).collect::<Vec<_>>());
    assert!(matches!(events.last(), Some(Event::Flushed(7))));
    assert!(matches!(events.first(), Some(Event::Configured)));
}

#[test]
fn every_command_is_reported_as_done_once() {
    let rig = Rig::new(&engine(Options::default()));
    rig.handle.configure(Config(vec![echo()]));
    (0..500).for_each(|n| rig.handle.process(n));
    rig.handle.flush(1);
    let (mut events, mut done) = (Vec::new(), 0);
    while done < 502 {
        rig.woken.recv_timeout(Duration::from_secs(20)).unwrap();
        done += rig.handle.drain(&mut events);
    }
    assert_eq!(done, 502);
    assert!(flushed(&events));
}

#[test]
fn nothing_of_the_old_configuration_arrives_after_a_reset() {
    let engine = engine(Options::default());
    for round in 0..200 {
        let rig = Rig::new(&engine);
        rig.handle.configure(Config(vec![echo()]));
        (0..50).for_each(|n| rig.handle.process(n));
        rig.handle.flush(1);
        if round % 2 == 0 {
            std::thread::yield_now();
        }
        rig.handle.reset();
        rig.handle.configure(Config(vec![echo()]));
        rig.handle.process(999);
        rig.handle.flush(2);
        let events = rig.until(flushed);
        assert_eq!(numbers(&events), [999]);
        assert!(matches!(events.last(), Some(Event::Flushed(2))));
    }
}

#[test]
fn a_failure_before_the_first_output_moves_to_the_next_backend_without_losing_input() {
    let rig = Rig::new(&engine(Options::default()));
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let fails_late = process(move |_, n, _| {
        counted.fetch_add(1, SeqCst);
        if n == 2 {
            Err(MediaError::backend("device lost"))
        } else {
            Ok(())
        }
    });
    rig.handle.configure(Config(vec![fails_late, echo()]));
    (0..5).for_each(|n| rig.handle.process(n));
    rig.handle.flush(1);
    assert_eq!(numbers(&rig.until(flushed)), [0, 1, 2, 3, 4]);
    assert_eq!(tries.load(SeqCst), 3);
}

#[test]
fn a_failure_after_the_first_output_is_reported_and_nothing_follows() {
    let rig = Rig::new(&engine(Options::default()));
    let fails = process(|_, n, sink| {
        if n == 2 {
            return Err(MediaError::invalid_data("bad"));
        }
        sink(Out(n, None));
        Ok(())
    });
    rig.handle.configure(Config(vec![fails, echo()]));
    (0..5).for_each(|n| rig.handle.process(n));
    let events = rig.until(failed);
    assert_eq!(numbers(&events), [0, 1]);
    assert!(
        matches!(events.last(), Some(Event::Failed { error, configuring: false }) if error.message == "bad")
    );
}

/// Holds back two inputs, and does not go on with `end`.
fn until_input(end: u32) -> Arc<Process> {
    process(move |held, n, sink| {
        held.1 = Some(end);
        held.0.push(n);
        if held.0.len() > 2 {
            sink(Out(held.0.remove(0), None));
        }
        Ok(())
    })
}

#[test]
fn a_codec_that_does_not_go_on_gives_what_it_holds_back_before_another_one_starts() {
    let engine = engine(Options {
        codec_threads: 2,
        ..Options::default()
    });
    let rig = Rig::new(&engine);
    let backends = vec![until_input(5), until_input(HANDED_OVER + 8), until_input(8)];
    rig.handle.configure(Config(backends));
    (0..12).for_each(|n| rig.handle.process(n));
    rig.handle.flush(1);
    let events = rig.until(flushed);
    // From 5 on the second one, which goes on with 8: that is none of its 1008.
    let handed: Vec<u32> = (0..5).chain([HANDED_OVER + 5]).chain(6..12).collect();
    assert_eq!(numbers(&events), handed);
    assert!(matches!(events.last(), Some(Event::Flushed(1))));
    rig.handle.reset();
    rig.handle
        .configure(Config(vec![until_input(3), until_input(6)]));
    (0..9).for_each(|n| rig.handle.process(n));
    rig.handle.flush(2);
    // There and back, as the first one starts anew.
    let handed = [0, 1, 2, HANDED_OVER + 3, 4, 5, HANDED_OVER + 6, 7, 8];
    assert_eq!(numbers(&rig.until(flushed)), handed);
    rig.handle.reset();
    rig.handle.configure(Config(vec![echo()]));
    rig.handle.flush(3);
    rig.until(flushed);
    assert_eq!(engine.budget.lease(100).threads(), 2, "threads come back");
}

#[test]
fn a_codec_that_does_not_go_on_and_fails_before_its_first_output_is_replaced_from_the_front() {
    let rig = Rig::new(&engine(Options::default()));
    let fails = process(|held, _, _| {
        held.0.push(UNFLUSHABLE);
        held.1 = Some(3);
        Ok(())
    });
    rig.handle.configure(Config(vec![fails, echo()]));
    (0..6).for_each(|n| rig.handle.process(n));
    rig.handle.flush(1);
    // It had all inputs before: nothing is handed over.
    assert_eq!(numbers(&rig.until(flushed)), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn an_input_that_no_other_backend_takes_fails_once_and_after_all_outputs_before_it() {
    let rig = Rig::new(&engine(Options::default()));
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let never = process(move |_, _, _| {
        counted.fetch_add(1, SeqCst);
        Err(MediaError::unsupported("never"))
    });
    rig.handle
        .configure(Config(vec![until_input(5), never.clone(), never]));
    (0..9).for_each(|n| rig.handle.process(n));
    let events = rig.until(failed);
    assert_eq!(numbers(&events), [0, 1, 2, 3, 4]);
    assert!(
        matches!(events.last(), Some(Event::Failed { error, configuring: false }) if error.message == "never")
    );
    assert_eq!(tries.load(SeqCst), 2, "each once");
}

#[test]
fn the_only_backend_is_fed_what_it_may_not_go_on_with() {
    let rig = Rig::new(&engine(Options::default()));
    rig.handle.configure(Config(vec![until_input(3)]));
    (0..6).for_each(|n| rig.handle.process(n));
    rig.handle.flush(1);
    assert_eq!(numbers(&rig.until(flushed)), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_configuration_that_no_backend_serves_fails() {
    let rig = Rig::new(&engine(Options::default()));
    rig.handle.configure(Config(vec![]));
    let events = rig.until(failed);
    assert!(matches!(
        events.last(),
        Some(Event::Failed {
            configuring: true,
            ..
        })
    ));
}

#[test]
fn a_library_that_panics_is_an_error_and_the_pool_lives_on() {
    let engine = engine(Options::default());
    let rig = Rig::new(&engine);
    rig.handle
        .configure(Config(vec![process(|_, _, _| panic!("on purpose"))]));
    rig.handle.process(1);
    assert!(failed(&rig.until(failed)));
    rig.handle.reset();
    rig.handle.configure(Config(vec![echo()]));
    rig.handle.process(5);
    rig.handle.flush(1);
    assert_eq!(numbers(&rig.until(flushed)), [5]);
}

#[test]
fn a_decoder_waits_at_the_cap_and_goes_on_when_outputs_are_closed() {
    let options = Options {
        max_outputs_bytes: 1000,
        min_outputs: 4,
        ..Options::default()
    };
    let rig = Rig::new(&engine(options));
    rig.handle.configure(Config(vec![echo()]));
    (0..25).for_each(|n| rig.handle.process(n));
    rig.handle.flush(1);
    let stalled = |events: &[Event<Out>]| events.iter().any(|e| matches!(e, Event::Stalled { .. }));
    let mut seen = Vec::new();
    loop {
        let events = rig.until(|events| stalled(events) || flushed(events));
        seen.extend(numbers(&events));
        let (alive, bytes) = rig.handle.outputs();
        assert!(
            alive <= 10 && bytes <= 1000,
            "{alive} outputs, {bytes} bytes"
        );
        if flushed(&events) {
            break;
        }
        // Dropping the events closes the outputs, and the codec goes on.
        drop(events);
    }
    assert_eq!(seen, (0..25).collect::<Vec<_>>());
}

#[test]
fn codecs_together_stay_under_one_cap_and_one_that_leaks_does_not_stop_another() {
    let engine = engine(Options {
        max_outputs_bytes: 1000,
        min_outputs: 3,
        ..Options::default()
    });
    let stalled = |events: &[Event<Out>]| events.iter().any(|e| matches!(e, Event::Stalled { .. }));
    let feed = |rig: &Rig| {
        rig.handle.configure(Config(vec![echo()]));
        (0..25).for_each(|n| rig.handle.process(n));
        rig.handle.flush(1);
    };
    let leaky = Rig::new(&engine);
    feed(&leaky);
    let leaked = leaky.until(stalled);
    assert_eq!((numbers(&leaked).len(), engine.outputs.used()), (10, 1000));
    // The other one has no bytes left, and works with its few outputs.
    let other = Rig::new(&engine);
    feed(&other);
    let mut seen = Vec::new();
    loop {
        let events = other.until(|events| stalled(events) || flushed(events));
        seen.extend(numbers(&events));
        assert!(
            other.handle.outputs().0 <= 3,
            "{:?}",
            other.handle.outputs()
        );
        assert!(engine.outputs.used() <= 1300, "{}", engine.outputs.used());
        if flushed(&events) {
            break;
        }
    }
    assert_eq!(seen, (0..25).collect::<Vec<_>>());
    // The first goes on when its own are closed.
    drop(leaked);
    while !flushed(&leaky.until(|events| stalled(events) || flushed(events))) {}
    assert_eq!(engine.outputs.used(), 0);
}

#[test]
fn the_codec_is_saturated_while_its_mailbox_is_full() {
    let options = Options {
        max_inputs: 4,
        ..Options::default()
    };
    let rig = Rig::new(&engine(options));
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let slow = process(move |_, n, sink| {
        let _ = gate.lock().unwrap().recv();
        sink(Out(n, None));
        Ok(())
    });
    rig.handle.configure(Config(vec![slow]));
    (0..6).for_each(|n| rig.handle.process(n));
    assert!(rig.handle.is_saturated());
    (0..6).for_each(|_| open.send(()).unwrap());
    rig.handle.flush(1);
    rig.until(flushed);
    assert!(!rig.handle.is_saturated());
}

#[test]
fn the_threads_of_a_codec_that_is_still_ending_are_free_for_the_next_one() {
    let engine = engine(Options {
        codec_threads: 2,
        ..Options::default()
    });
    let free = || engine.budget.lease(100).threads();
    let (entered, began) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let slow = process(move |_, _, _| {
        let _ = entered.send(());
        let _ = gate.lock().unwrap().recv();
        Ok(())
    });
    let first = Rig::new(&engine);
    first.handle.configure(Config(vec![slow]));
    first.handle.process(0);
    began.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(free(), 1);
    first.handle.reset();
    assert_eq!(free(), 2);
    // Once it has ended they are not given back a second time.
    first.handle.configure(Config(vec![echo()]));
    first.handle.flush(1);
    drop(open);
    first.until(flushed);
    assert_eq!(free(), 2);
}

#[test]
fn many_instances_share_few_threads_and_none_starves() {
    let engine = engine(Options::default());
    let threads = Arc::new(Mutex::new(HashSet::<ThreadId>::new()));
    let rigs: Vec<_> = (0..200).map(|_| Rig::new(&engine)).collect();
    for rig in &rigs {
        let threads = threads.clone();
        rig.handle.configure(Config(vec![process(move |_, n, sink| {
            threads.lock().unwrap().insert(std::thread::current().id());
            sink(Out(n, None));
            Ok(())
        })]));
        (0..20).for_each(|n| rig.handle.process(n));
        rig.handle.flush(1);
    }
    for rig in &rigs {
        assert_eq!(numbers(&rig.until(flushed)).len(), 20);
    }
    assert!(threads.lock().unwrap().len() <= 4);
}
