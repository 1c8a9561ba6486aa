//! Waiting for files that do not block, a moment at a time: who waits can look in between whether it still should.

use std::io;

#[cfg(unix)]
pub(crate) use std::os::fd::AsFd as Waitable;

#[cfg(not(unix))]
pub(crate) trait Waitable {}

#[cfg(not(unix))]
impl<T> Waitable for T {}

/// How long a moment is, in nanoseconds.
#[cfg(unix)]
const MOMENT: i64 = 50_000_000;

/// Waits a moment for `file` to have something to read, or to have ended; gives whether it has.
pub(crate) fn readable(file: &impl Waitable) -> io::Result<bool> {
    wait(file, Direction::Read)
}

/// Waits a moment for `file` to take something, or to have lost its reader; gives whether it does.
pub(crate) fn writable(file: &impl Waitable) -> io::Result<bool> {
    wait(file, Direction::Write)
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

#[cfg(unix)]
fn wait(file: &impl Waitable, direction: Direction) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let flags = match direction {
        Direction::Read => PollFlags::IN,
        Direction::Write => PollFlags::OUT,
    };
    let moment = Timespec {
        tv_sec: 0,
        tv_nsec: MOMENT,
    };
    match poll(&mut [PollFd::new(file, flags)], Some(&moment)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Files block here: they are read at once, and a write that would block is an error.
#[cfg(not(unix))]
fn wait(_file: &impl Waitable, direction: Direction) -> io::Result<bool> {
    match direction {
        Direction::Read => Ok(true),
        Direction::Write => Err(io::ErrorKind::WouldBlock.into()),
    }
}
