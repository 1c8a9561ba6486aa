//! Info and Tags: RFC 9559, sections 5.1.2 and 5.1.8.

use reelcore_media::demux::DemuxError;

use super::ebml::Element;
use super::ids;

/// Tags that are kept, at most.
const MAX_TAGS: usize = 1024;

/// Nanoseconds of a tick where the Info element does not say.
const DEFAULT_SCALE: u64 = 1_000_000;

/// The Info element.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    /// Nanoseconds of a tick.
    pub(crate) scale: u64,
    /// In microseconds.
    pub(crate) duration: Option<u64>,
    pub(crate) title: Option<String>,
    pub(crate) muxing_app: Option<String>,
    /// Nanoseconds since 2001.
    pub(crate) date: Option<i64>,
}

impl Default for Info {
    fn default() -> Self {
        Self {
            scale: DEFAULT_SCALE,
            duration: None,
            title: None,
            muxing_app: None,
            date: None,
        }
    }
}

impl Info {
    pub(crate) fn parse(element: &Element) -> Result<Self, DemuxError> {
        let mut info = Self::default();
        let mut ticks = None;
        let mut children = element.children();
        while let Some(child) = children.next()? {
            match child.id {
                ids::TIMESTAMP_SCALE => {
                    info.scale = child.uint_or(DEFAULT_SCALE)?;
                    if info.scale == 0 {
                        return Err(child.error("expected a scale of 1 or more, found 0"));
                    }
                }
                ids::DURATION => ticks = Some(child.float_or(0.0)?),
                ids::TITLE => info.title = Some(child.string()),
                ids::MUXING_APP => info.muxing_app = Some(child.string()),
                ids::DATE_UTC => info.date = Some(child.int()?),
                _ => {}
            }
        }
        let micros = ticks.map(|ticks| (ticks * info.scale as f64 / 1000.0).round());
        info.duration = micros
            .filter(|micros| micros.is_finite() && (1.0..9e18).contains(micros))
            .map(|micros| micros as u64);
        Ok(info)
    }

    /// What it says of the presentation.
    pub(crate) fn tags(&self) -> Tags {
        let mut tags = Tags::default();
        for (name, value) in [
            ("title", self.title.clone()),
            ("encoder", self.muxing_app.clone()),
            ("creation_time", self.date.map(date)),
        ] {
            tags.set(name.to_owned(), value.unwrap_or_default());
        }
        tags
    }
}

/// The time that is `nanos` nanoseconds after the start of 2001, as ISO 8601 has it.
fn date(nanos: i64) -> String {
    let micros = nanos.div_euclid(1000);
    let seconds = micros.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 1 March of year 0, in eras of 400 years: leap days then stand at the end of a year.
    let days = days + 730_791;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        micros.rem_euclid(1_000_000)
    )
}

/// What the Tags elements say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tags {
    /// Of the presentation as a whole.
    pub(crate) global: Vec<(String, String)>,
    /// Durations of tracks in microseconds, by TrackUID.
    pub(crate) durations: Vec<(u64, u64)>,
}

impl Tags {
    /// Sets a tag of the presentation; one of the same name is replaced.
    fn set(&mut self, name: String, value: String) {
        if name.is_empty() || value.is_empty() {
            return;
        }
        if let Some((_, known)) = self.global.iter_mut().find(|(known, _)| *known == name) {
            *known = value;
        } else if self.global.len() < MAX_TAGS {
            self.global.push((name, value));
        }
    }

    /// Adds what a Tags element says.
    pub(crate) fn read(&mut self, element: &Element) -> Result<(), DemuxError> {
        let mut children = element.children();
        while let Some(child) = children.next()? {
            if child.id == ids::TAG {
                self.tag(&child)?;
            }
        }
        Ok(())
    }

    fn tag(&mut self, tag: &Element) -> Result<(), DemuxError> {
        let (mut track, mut part) = (None, false);
        let mut children = tag.children();
        while let Some(child) = children.next()? {
            if child.id != ids::TARGETS {
                continue;
            }
            let mut targets = child.children();
            while let Some(target) = targets.next()? {
                match target.id {
                    // 0 stands for all of them.
                    ids::TAG_TRACK_UID => track = Some(target.uint()?).filter(|&uid| uid > 0),
                    ids::TAG_EDITION_UID | ids::TAG_CHAPTER_UID | ids::TAG_ATTACHMENT_UID => {
                        part |= target.uint()? > 0;
                    }
                    _ => {}
                }
            }
        }
        if part {
            return Ok(());
        }
        let mut children = tag.children();
        while let Some(child) = children.next()? {
            if child.id != ids::SIMPLE_TAG {
                continue;
            }
            let (mut name, mut value) = (String::new(), String::new());
            let mut fields = child.children();
            while let Some(field) = fields.next()? {
                match field.id {
                    ids::TAG_NAME => name = field.string(),
                    ids::TAG_STRING => value = field.string(),
                    _ => {}
                }
            }
            match track {
                None => {
                    let name = match name.as_str() {
                        "LEAD_PERFORMER" => "performer".to_owned(),
                        "PART_NUMBER" => "track".to_owned(),
                        name => name.to_lowercase(),
                    };
                    self.set(name, value);
                }
                Some(uid) if name == "DURATION" && self.durations.len() < MAX_TAGS => {
                    self.durations
                        .extend(clock(&value).map(|micros| (uid, micros)));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// `HH:MM:SS.fraction` in microseconds.
fn clock(text: &str) -> Option<u64> {
    let mut fields = text.trim().splitn(3, ':');
    let hours: u64 = fields.next()?.parse().ok()?;
    let minutes: u64 = fields.next()?.parse().ok()?;
    let seconds: f64 = fields.next()?.parse().ok()?;
    if hours > 1 << 24 || minutes > 59 || !(0.0..60.0).contains(&seconds) {
        return None;
    }
    Some((hours * 60 + minutes) * 60_000_000 + (seconds * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "2001-01-01T00:00:00.000000Z");
        assert_eq!(date(-1000), "2000-12-31T23:59:59.999999Z");
        // 29 February 2024, 12:34:56.5
        assert_eq!(date(730_902_896_500_000_000), "2024-02-29T12:34:56.500000Z");
        date(i64::MIN);
        date(i64::MAX);
    }

    #[test]
    fn clocks_are_read_to_the_microsecond_and_nonsense_is_not() {
        assert_eq!(clock("01:02:03.500000000"), Some(3_723_500_000));
        assert_eq!(clock("00:00:07.3340009"), Some(7_334_001));
        for bad in [
            "",
            "7",
            "1:2",
            "00:61:00",
            "00:00:-1",
            "00:00:NaN",
            "x:00:00",
        ] {
            assert_eq!(clock(bad), None, "{bad}");
        }
    }
}
