//! What can be said of a specification without opening its files.

mod filters;
mod graph;
mod outputs;

use std::collections::BTreeSet;

use crate::error::JobError;
use crate::job::is_name;
use crate::job::{Input, Job, Operation, Time, VERSION};
use crate::output::place_of;
use graph::Graph;
use outputs::check_output;

pub(crate) use outputs::{Target, kinds, source, streams, target};

/// Of inputs, outputs, parts, tracks of an output, and filters. Each stream has threads of its own.
const MAX_COUNT: usize = 64;

/// Filters that are run in all. A filter that two others take from runs once for each.
const MAX_RUNNING: u64 = 256;

type Checked = Result<(), JobError>;

pub(crate) fn validate(job: &Job) -> Checked {
    if job.version != VERSION {
        return Err(JobError::spec(
            "version",
            format!("expected {VERSION}, found {}", job.version),
        ));
    }
    count("inputs", job.inputs.iter().count(), true)?;
    for (name, input) in job.inputs.iter() {
        let path = format!("inputs.{name}");
        name_of(&path, name)?;
        check_input(&path, input)?;
    }
    if job.operation == Operation::Probe {
        if !job.filters.is_empty() {
            return Err(JobError::spec("filters", "a probe has no filters"));
        }
        if !job.outputs.is_empty() {
            return Err(JobError::spec("outputs", "a probe has no outputs"));
        }
        for (name, input) in job.inputs.iter() {
            for (field, set) in [
                ("concat", !input.concat.is_empty()),
                ("from", input.from.is_some()),
                ("to", input.to.is_some()),
            ] {
                if set {
                    return Err(JobError::spec(
                        format!("inputs.{name}.{field}"),
                        "a probe looks at one whole file for each input",
                    ));
                }
            }
        }
        return Ok(());
    }
    count("filters", job.filters.iter().count(), false)?;
    let graph = Graph::new(job)?;
    count("outputs", job.outputs.len(), true)?;
    let mut paths = BTreeSet::new();
    let mut running = 0u64;
    for (index, output) in job.outputs.iter().enumerate() {
        let path = format!("outputs[{index}]");
        if !paths.insert(place_of(&output.path)) {
            return Err(JobError::spec(
                format!("{path}.path"),
                "another output is the same file",
            ));
        }
        running = running.saturating_add(check_output(job, &graph, &path, output)?);
    }
    if running > MAX_RUNNING {
        return Err(JobError::spec(
            "filters",
            format!(
                "expected at most {MAX_RUNNING} filters and sources to run, found {running}: those that several take from run once for each"
            ),
        ));
    }
    for name in job.filters.0.keys() {
        if !graph.used.contains(name.as_str()) {
            return Err(JobError::spec(
                format!("filters.{name}"),
                "nothing takes its output: no filter and no output has it as its source",
            ));
        }
    }
    Ok(())
}

fn count(path: &str, count: usize, needed: bool) -> Checked {
    if (count == 0 && needed) || count > MAX_COUNT {
        let least = usize::from(needed);
        return Err(JobError::spec(
            path,
            format!("expected {least} to {MAX_COUNT}, found {count}"),
        ));
    }
    Ok(())
}

fn name_of(path: &str, name: &str) -> Checked {
    match is_name(name) {
        true => Ok(()),
        false => Err(JobError::spec(
            path,
            "expected a name of 1 to 64 letters, digits, `-` and `_`",
        )),
    }
}

fn range(path: &str, from: Option<Time>, to: Option<Time>) -> Checked {
    match to {
        Some(to) if to <= from.unwrap_or_default() => Err(JobError::spec(
            format!("{path}.to"),
            format!(
                "expected a time after `from` ({} s), found {} s",
                from.unwrap_or_default().seconds(),
                to.seconds()
            ),
        )),
        _ => Ok(()),
    }
}

fn file(path: &str, file: &std::path::Path) -> Checked {
    match file.as_os_str().to_str() {
        Some("") => Err(JobError::spec(
            path,
            "expected the path of a file, found an empty one",
        )),
        Some("-") => Err(JobError::spec(
            path,
            "expected the path of a file: standard input and output cannot be sought in, which most containers need",
        )),
        _ => Ok(()),
    }
}

fn check_input(path: &str, input: &Input) -> Checked {
    match (&input.path, input.concat.is_empty()) {
        (Some(name), true) => {
            file(&format!("{path}.path"), name)?;
            range(path, input.from, input.to)
        }
        (None, false) => {
            if input.from.is_some() || input.to.is_some() {
                let field = if input.from.is_some() { "from" } else { "to" };
                return Err(JobError::spec(
                    format!("{path}.{field}"),
                    "each part of a concatenation has its own `from` and `to`",
                ));
            }
            count(&format!("{path}.concat"), input.concat.len(), true)?;
            for (index, part) in input.concat.iter().enumerate() {
                let path = format!("{path}.concat[{index}]");
                file(&format!("{path}.path"), &part.path)?;
                range(&path, part.from, part.to)?;
            }
            Ok(())
        }
        _ => Err(JobError::spec(path, "expected either `path` or `concat`")),
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    path: &str,
    field: &str,
    value: Option<T>,
    min: T,
    max: T,
) -> Checked {
    match value {
        Some(value) if !(min <= value && value <= max) => Err(JobError::spec(
            format!("{path}.{field}"),
            format!("expected {min} to {max}, found {value}"),
        )),
        _ => Ok(()),
    }
}

fn longer_than_nothing(path: &str, field: &str, time: Time) -> Checked {
    match time.0 {
        0 => Err(JobError::spec(
            format!("{path}.{field}"),
            "expected more than 0 seconds",
        )),
        _ => Ok(()),
    }
}
