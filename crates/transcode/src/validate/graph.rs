//! What the filters make of one another.

use std::collections::{BTreeMap, BTreeSet};

use super::filters::check_filter;
use super::name_of;
use crate::error::JobError;
use crate::job::{Filter, Job, Named, Source, SourceKind, Stream};

/// What the filters make of one another.
pub(super) struct Graph<'a> {
    filters: &'a Named<Filter>,
    /// For each filter that has been seen: what it gives, and how many filters and sources run for it.
    pub(super) known: BTreeMap<&'a str, (SourceKind, u64)>,
    pub(super) used: BTreeSet<&'a str>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(job: &'a Job) -> Result<Self, JobError> {
        let mut graph = Self {
            filters: &job.filters,
            known: BTreeMap::new(),
            used: BTreeSet::new(),
        };
        for (name, filter) in job.filters.iter() {
            let path = format!("filters.{name}");
            name_of(&path, name)?;
            check_filter(&format!("{path}.{}", filter.name()), filter)?;
            for (_, source) in filter.inputs() {
                if let Source::Filter(name) = source {
                    graph.used.insert(name);
                }
            }
            if let Some(name) = job.filters.0.get_key_value(name).map(|(name, _)| name) {
                graph.visit(job, name, &mut Vec::new())?;
            }
        }
        for output in &job.outputs {
            for stream in &output.streams {
                let source = match stream {
                    Stream::Video(stream) => &stream.source,
                    Stream::Audio(stream) => &stream.source,
                };
                if let Some(Source::Filter(name)) = source {
                    graph.used.insert(name);
                }
            }
        }
        Ok(graph)
    }

    /// What the filter of that name gives. `above` are those that take from it.
    fn visit(
        &mut self,
        job: &'a Job,
        name: &'a str,
        above: &mut Vec<&'a str>,
    ) -> Result<(SourceKind, u64), JobError> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let Some(filter) = self.filters.get(name) else {
            return Err(JobError::spec(
                "filters",
                format!("no filter has the name {name:?}"),
            ));
        };
        let path = format!("filters.{name}.{}", filter.name());
        above.push(name);
        let mut first = None;
        let mut running = 1u64;
        for (index, (field, source)) in filter.inputs().into_iter().enumerate() {
            let path = format!("{path}.{field}");
            let (kind, count) = match source {
                Source::Track { .. } => (track(job, &path, source)?, 1),
                Source::Filter(name) => {
                    if above.contains(&name.as_str()) {
                        return Err(JobError::spec(
                            path,
                            format!(
                                "a cycle: {} takes from itself by way of {}",
                                name,
                                above.join(", ")
                            ),
                        ));
                    }
                    if self.filters.get(name).is_none() {
                        return Err(JobError::spec(
                            path,
                            format!("no filter has the name {name:?}"),
                        ));
                    }
                    self.visit(job, name, above)?
                }
            };
            running = running.saturating_add(count);
            let wanted = match (filter, index) {
                (
                    Filter::Volume(_) | Filter::Mix(_) | Filter::Resample(_) | Filter::Atrim(_),
                    _,
                ) => SourceKind::Audio,
                (Filter::Fade(_) | Filter::Crossfade(_), 0) => kind,
                (Filter::Crossfade(_), _) => first.unwrap_or(kind),
                _ => SourceKind::Video,
            };
            if kind != wanted {
                return Err(JobError::spec(
                    path,
                    format!(
                        "{} takes {} here, {source} is {}",
                        filter.name(),
                        wanted.as_str(),
                        kind.as_str()
                    ),
                ));
            }
            first = first.or(Some(kind));
        }
        if let (Filter::Fade(fade), Some(SourceKind::Audio)) = (filter, first)
            && fade.color.is_some()
        {
            return Err(JobError::spec(
                format!("{path}.color"),
                "sound has no colour",
            ));
        }
        above.pop();
        // Every filter takes something: mix is checked to have inputs.
        let result = (first.unwrap_or(SourceKind::Audio), running);
        self.known.insert(name, result);
        Ok(result)
    }
}

/// What a track is, if its input is there.
pub(super) fn track(job: &Job, path: &str, source: &Source) -> Result<SourceKind, JobError> {
    match source {
        Source::Track { input, kind, .. } if job.inputs.get(input).is_some() => Ok(*kind),
        Source::Track { input, .. } => Err(JobError::spec(
            path,
            format!("no input has the name {input:?}"),
        )),
        Source::Filter(name) => Err(JobError::spec(path, format!("{name:?} is no track"))),
    }
}
