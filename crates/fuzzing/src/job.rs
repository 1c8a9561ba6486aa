//! Arbitrary bytes as a job specification, and as what stands on a command line.

use reelcore_transcode::job::{Rate, Time};
use reelcore_transcode::short::{Encoding, Resize, Short, Wish};
use reelcore_transcode::{Job, JobError};

/// What is wrong is said in few words, and what is right is written as it is read.
pub fn any(input: &[u8]) {
    match Job::from_json(input) {
        Err(JobError::Spec { path, message }) => {
            assert!(!message.is_empty() && path.len() + message.len() <= 8000);
        }
        Err(other) => panic!("no file was looked at: {other}"),
        Ok(job) => {
            let json = job.to_json().expect("it was JSON before");
            let back = Job::from_json(json.as_bytes()).expect("what was written is read");
            // Filters have numbers with a fraction, of which the last digit may change.
            assert!(back.inputs == job.inputs && back.outputs == job.outputs);
            assert!(
                back.filters
                    .iter()
                    .map(|(name, _)| name)
                    .eq(job.filters.iter().map(|(name, _)| name))
            );
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        short(text);
    }
}

/// Words as the arguments of the short form.
fn short(text: &str) {
    let words = || text.split_whitespace().take(16);
    let mut form = Short::default();
    for (index, word) in words().enumerate() {
        match index {
            0 => form.input = word.into(),
            1 => form.output = word.into(),
            _ => {}
        }
        if let Ok(encoding) = word.parse::<Encoding>() {
            form.video = match form.video {
                Wish::Usual => Wish::Asked(encoding),
                before => {
                    form.audio = Wish::Asked(encoding);
                    before
                }
            };
        }
        form.size = word.parse::<Resize>().ok().or(form.size);
        form.fps = word.parse::<Rate>().ok().or(form.fps);
        form.to = word.parse::<Time>().ok().or(form.to);
    }
    if let Ok(job) = form.job() {
        let json = job.to_json().expect("the paths are UTF-8");
        Job::from_json(json.as_bytes()).expect("what the short form means is a specification");
    }
}
