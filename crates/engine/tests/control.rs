//! The control message queue does what the WebCodecs processing model says.

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{Config, Fake, Out, Process, echo, engine, process};
use reelcore_engine::{ControlQueue, Delivery, InvalidState, Options, State};
use reelcore_media::{MediaError, Registry};

struct Rig {
    queue: ControlQueue<Fake>,
    woken: mpsc::Receiver<()>,
}

impl Rig {
    fn new(options: Options) -> Self {
        let (wake, woken) = mpsc::channel();
        let wake = move || {
            let _ = wake.send(());
        };
        Self {
            queue: ControlQueue::new(&engine(options), Registry::new(), wake),
            woken,
        }
    }

    /// Polls once after the next wake-up.
    fn turn(&mut self) {
        self.woken
            .recv_timeout(Duration::from_secs(20))
            .expect("no wake-up");
        self.queue.poll();
    }

    /// The next thing to deliver, but for tasks that come before it.
    fn next(&mut self) -> Delivery<Out> {
        loop {
            match self.any() {
                Delivery::Dequeued => {}
                delivery => return delivery,
            }
        }
    }

    fn any(&mut self) -> Delivery<Out> {
        loop {
            if let Some(delivery) = self.queue.next_event() {
                return delivery;
            }
            self.turn();
        }
    }

    fn until_flushed(&mut self) -> Vec<u32> {
        let mut outputs = Vec::new();
        loop {
            match self.next() {
                Delivery::Output(out) => outputs.push(out.0),
                Delivery::Flushed(_) => return outputs,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A codec that tells what it was given, and gives it back.
fn telling() -> (Arc<Process>, mpsc::Receiver<u32>) {
    let (seen, worked) = mpsc::channel();
    let seen = Mutex::new(seen);
    let telling = process(move |_, n, sink| {
        seen.lock().unwrap().send(n).unwrap();
        sink(Out(n, None));
        Ok(())
    });
    (telling, worked)
}

#[test]
fn inputs_wait_until_the_configuration_is_done() {
    let mut rig = Rig::new(Options::default());
    assert_eq!(rig.queue.enqueue(1), Err(InvalidState(State::Unconfigured)));
    rig.queue.configure(Config(vec![echo()])).unwrap();
    (0..5).for_each(|n| rig.queue.enqueue(n).unwrap());
    // Nothing was polled yet, so the queue is still blocked by the configuration.
    assert_eq!(rig.queue.queue_size(), 5);
    rig.queue.flush().unwrap();
    assert_eq!(rig.until_flushed(), [0, 1, 2, 3, 4]);
    assert_eq!(rig.queue.queue_size(), 0);
}

#[test]
fn a_worker_has_its_inputs_while_the_owner_has_not_yet_learnt_that_it_is_configured() {
    let mut rig = Rig::new(Options {
        max_inputs: 4,
        ..Options::default()
    });
    let (telling, worked) = telling();
    rig.queue.configure(Config(vec![telling])).unwrap();
    (0..3).for_each(|n| rig.queue.enqueue(n).unwrap());
    rig.queue.flush().unwrap();
    rig.queue.configure(Config(vec![echo()])).unwrap();
    rig.queue.enqueue(7).unwrap();
    rig.queue.flush().unwrap();
    // No event was fetched: what the script sees is as it was.
    for n in 0..3 {
        assert_eq!(worked.recv_timeout(Duration::from_secs(20)), Ok(n));
    }
    assert_eq!(rig.queue.queue_size(), 4);
    assert_eq!(rig.until_flushed(), [0, 1, 2]);
    assert_eq!(rig.until_flushed(), [7]);
    assert_eq!(rig.queue.queue_size(), 0);
    assert!(rig.queue.take_dequeue_request());
    rig.queue.dequeue_fired();
    assert!(!rig.queue.has_work());
}

#[test]
fn dequeue_comes_before_anything_that_was_done_ahead() {
    let mut rig = Rig::new(Options::default());
    rig.queue.configure(Config(vec![echo()])).unwrap();
    (0..3).for_each(|n| rig.queue.enqueue(n).unwrap());
    rig.queue.flush().unwrap();
    // All of it is done before the owner looks once.
    while rig.woken.recv_timeout(Duration::from_millis(200)).is_ok() {}
    rig.queue.poll();
    assert!(!rig.queue.take_dequeue_request(), "the queue is blocked");
    assert_eq!(rig.queue.queue_size(), 3);
    assert!(!rig.queue.is_dequeue_due());
    assert!(matches!(rig.any(), Delivery::Dequeued));
    assert_eq!(rig.queue.queue_size(), 0);
    assert!(rig.queue.is_dequeue_due());
    assert!(rig.queue.take_dequeue_request());
    assert!(rig.queue.is_dequeue_due(), "asked for, and not fired yet");
    rig.queue.dequeue_fired();
    assert!(!rig.queue.is_dequeue_due());
    assert_eq!(rig.until_flushed(), [0, 1, 2]);
}

#[test]
fn a_reset_forgets_what_was_sent_behind_a_configuration() {
    let mut rig = Rig::new(Options::default());
    let (telling, worked) = telling();
    rig.queue.configure(Config(vec![echo()])).unwrap();
    (0..5).for_each(|n| rig.queue.enqueue(n).unwrap());
    assert!(rig.queue.reset().unwrap().is_empty());
    rig.queue.configure(Config(vec![telling])).unwrap();
    (5..8).for_each(|n| rig.queue.enqueue(n).unwrap());
    assert_eq!(rig.queue.queue_size(), 3);
    // The new ones are sent ahead as those before were.
    for n in 5..8 {
        assert_eq!(worked.recv_timeout(Duration::from_secs(20)), Ok(n));
    }
    rig.queue.flush().unwrap();
    assert_eq!(rig.until_flushed(), [5, 6, 7]);
    assert_eq!(rig.queue.queue_size(), 0);
}

#[test]
fn a_first_output_comes_before_a_slow_codec_has_taken_the_next_input() {
    let mut rig = Rig::new(Options::default());
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let slow = process(move |_, n, sink| {
        if n > 0 {
            gate.lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(20))
                .unwrap();
        } else {
            // More than a turn's time, after a configuration that took none.
            std::thread::sleep(Duration::from_millis(5));
        }
        sink(Out(n, None));
        Ok(())
    });
    rig.queue.configure(Config(vec![slow])).unwrap();
    (0..3).for_each(|n| rig.queue.enqueue(n).unwrap());
    rig.queue.flush().unwrap();
    match rig.next() {
        Delivery::Output(out) => assert_eq!(out.0, 0),
        other => panic!("{other:?}"),
    }
    (0..2).for_each(|_| open.send(()).unwrap());
    assert_eq!(rig.until_flushed(), [1, 2]);
}

#[test]
fn the_queue_size_counts_inputs_that_a_saturated_codec_has_not_taken() {
    let mut rig = Rig::new(Options {
        max_inputs: 2,
        ..Options::default()
    });
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let slow = process(move |_, n, sink| {
        let _ = gate.lock().unwrap().recv();
        sink(Out(n, None));
        Ok(())
    });
    rig.queue.configure(Config(vec![slow])).unwrap();
    rig.turn();
    assert!(
        rig.queue.next_event().is_none(),
        "only the configuration is done"
    );
    (0..10).for_each(|n| rig.queue.enqueue(n).unwrap());
    assert!(
        rig.queue.queue_size() >= 7,
        "one at work and two queued at most, not {}",
        rig.queue.queue_size()
    );
    assert!(rig.queue.take_dequeue_request());
    assert!(!rig.queue.take_dequeue_request(), "one event for many");
    rig.queue.dequeue_fired();
    (0..10).for_each(|_| open.send(()).unwrap());
    rig.queue.flush().unwrap();
    assert_eq!(rig.until_flushed().len(), 10);
    assert_eq!(rig.queue.queue_size(), 0);
    assert!(rig.queue.take_dequeue_request());
    rig.queue.dequeue_fired();
    assert!(
        !rig.queue.has_work(),
        "an idle codec would keep the event loop alive"
    );
}

#[test]
fn a_reset_between_two_deliveries_leaves_nothing_to_deliver() {
    let mut rig = Rig::new(Options::default());
    rig.queue.configure(Config(vec![echo()])).unwrap();
    (0..50).for_each(|n| rig.queue.enqueue(n).unwrap());
    let flush = rig.queue.flush().unwrap();
    assert!(matches!(rig.next(), Delivery::Output(Out(0, _))));
    assert_eq!(rig.queue.reset(), Ok(vec![flush]), "the flush is rejected");
    assert_eq!(rig.queue.state(), State::Unconfigured);
    assert_eq!(rig.queue.queue_size(), 0);
    rig.queue.configure(Config(vec![echo()])).unwrap();
    rig.queue.enqueue(99).unwrap();
    rig.queue.flush().unwrap();
    assert_eq!(rig.until_flushed(), [99]);
}

#[test]
fn failures_say_whether_the_configuration_is_to_blame() {
    let mut rig = Rig::new(Options::default());
    rig.queue.configure(Config(vec![])).unwrap();
    assert!(matches!(
        rig.next(),
        Delivery::Failed {
            configuring: true,
            ..
        }
    ));
    rig.queue.reset().unwrap();
    rig.queue
        .configure(Config(vec![process(|_, _, _| {
            Err(MediaError::invalid_data("bad"))
        })]))
        .unwrap();
    rig.queue.enqueue(1).unwrap();
    assert!(matches!(
        rig.next(),
        Delivery::Failed {
            configuring: false,
            ..
        }
    ));
}

#[test]
fn a_closed_codec_refuses_everything() {
    let mut rig = Rig::new(Options::default());
    rig.queue.configure(Config(vec![echo()])).unwrap();
    let flush = rig.queue.flush().unwrap();
    assert_eq!(rig.queue.close(), Ok(vec![flush]));
    let closed = InvalidState(State::Closed);
    assert_eq!(rig.queue.configure(Config(vec![echo()])), Err(closed));
    assert_eq!(rig.queue.enqueue(1), Err(closed));
    assert_eq!(rig.queue.flush(), Err(closed));
    assert_eq!(rig.queue.reset(), Err(closed));
    assert_eq!(rig.queue.close(), Err(closed));
}

#[test]
fn reconfiguring_keeps_what_was_queued_and_held_back_before_it() {
    let mut rig = Rig::new(Options::default());
    let hold = process(|held, n, _| {
        held.0.push(n);
        Ok(())
    });
    rig.queue.configure(Config(vec![hold])).unwrap();
    rig.queue.enqueue(1).unwrap();
    let add = process(|_, n, sink| {
        sink(Out(n + 100, None));
        Ok(())
    });
    rig.queue.configure(Config(vec![add])).unwrap();
    rig.queue.enqueue(1).unwrap();
    rig.queue.flush().unwrap();
    assert_eq!(rig.until_flushed(), [1, 101]);
}
