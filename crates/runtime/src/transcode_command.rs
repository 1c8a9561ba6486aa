//! `reelcore transcode IN OUT`: a job in its short form.

use lexopt::prelude::*;
use reelcore_media::Registry;
use reelcore_transcode::short::{Short as Form, Wish};

use crate::job_command::{Settings, run_job, unknown};
use crate::progress::Reporter;

pub const HELP: &str = "\
reelcore transcode: one file in, one file out

Usage:
  reelcore transcode [OPTIONS] IN OUT

The extension of OUT says what is written: .mp4 .webm .mkv .ogg .wav .flac .mp3 .aac .ivf .ts, or .png for one picture.
Codec, size and rate are what suits it, as far as no option says otherwise. The first track of pictures and the
first track of sound are taken, as far as they are there.

Options:
  --video CODEC[:RATE]  h264, vp8, vp9, av1, a codec string of WebCodecs, or copy for the packets as they are.
                        RATE is in bits a second, as in vp9:2M or vp9:800k, or the quantizer of every picture, as
                        in vp9:q120 (0 to 51 of h264 and hevc, 0 to 255 of vp9 and av1)
  --audio CODEC[:RATE]  aac, opus, vorbis, flac, pcm-s16, ..., or copy; as in opus:96k
  --no-video            no pictures
  --no-audio            no sound
  --size WxH            pictures of that size, all of each between black bars; 1280x or x720: the other side follows
  --fps N               a constant frame rate, such as 25 or 30000/1001
  --from T, --to T      the part between these times: 90, 1:30 or 1:02:03.5
  --realtime            encoders prefer speed to quality
  --overwrite, -y       replace OUT if it is there; without it the job is refused
  --progress STYLE      auto (a bar where stderr is a terminal, else the last lines), bar, json or none
  --print-job           do nothing, and print the specification that this is short for, for `reelcore job`
  --help, -h            this text

Exit code: see `reelcore job --help`. Nothing is written unless all is.
";

/// What the command line asks for.
pub enum Options {
    Help,
    Run {
        form: Box<Form>,
        settings: Settings,
        print_job: bool,
    },
}

/// The arguments behind `transcode`.
///
/// # Errors
/// What is wrong with them.
pub fn parse(parser: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut form = Box::new(Form::default());
    let (mut paths, mut print_job) = (Vec::new(), false);
    let mut settings = Settings::default();
    while let Some(argument) = parser.next()? {
        let name = match argument {
            Long("help") | Short('h') => return Ok(Options::Help),
            Long(name) => name.to_owned(),
            Short(letter) => letter.to_string(),
            Value(path) if paths.len() < 2 => {
                paths.push(path);
                continue;
            }
            other => return Err(other.unexpected()),
        };
        match name.as_str() {
            "video" => form.video = Wish::Asked(parser.value()?.parse()?),
            "audio" => form.audio = Wish::Asked(parser.value()?.parse()?),
            "no-video" => form.video = Wish::None,
            "no-audio" => form.audio = Wish::None,
            "size" => form.size = Some(parser.value()?.parse()?),
            "fps" => form.fps = Some(parser.value()?.parse()?),
            "from" => form.from = Some(parser.value()?.parse()?),
            "to" => form.to = Some(parser.value()?.parse()?),
            "realtime" => form.realtime = true,
            "print-job" => print_job = true,
            name if settings.take(name, parser)? => {}
            name => return Err(unknown(name)),
        }
    }
    let [input, output] = <[_; 2]>::try_from(paths)
        .map_err(|_| "expected two files: reelcore transcode [OPTIONS] IN OUT")?;
    form.input = input.into();
    form.output = output.into();
    Ok(Options::Run {
        form,
        settings,
        print_job,
    })
}

/// Does it, and gives the exit code.
pub fn run(options: &Options, registry: &Registry) -> i32 {
    let Options::Run {
        form,
        settings,
        print_job,
    } = options
    else {
        return crate::print(HELP);
    };
    let done = match form.job() {
        // Only as text it has to be Unicode: a file may have any name.
        Ok(job) if *print_job => job.to_json().map(|json| crate::print(&(json + "\n"))),
        Ok(job) => Ok(run_job(&job, registry, settings, None)),
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| {
        Reporter::new(settings.progress).failed(&error, None);
        error.exit_code()
    })
}
