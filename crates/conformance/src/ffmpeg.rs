//! The `ffmpeg` command as a test tool.

use std::path::{Path, PathBuf};
use std::process::Command;

use md5::{Digest, Md5};

use crate::error::Error;

/// The MD5 of each frame that `ffmpeg` decodes from the first video track of `path`, as `pix_fmt`, tightly packed.
///
/// # Errors
/// [`Error::Ffmpeg`], with what the command said, also when there is none.
pub fn ffmpeg_framemd5(path: &Path, pix_fmt: &str) -> Result<Vec<String>, Error> {
    framemd5(path, pix_fmt, &[])
}

/// As [`ffmpeg_framemd5`], with options for the decoder: `["-c:v", "libdav1d"]`.
pub(crate) fn framemd5(path: &Path, pix_fmt: &str, decoder: &[&str]) -> Result<Vec<String>, Error> {
    let path = path.to_string_lossy();
    let mut args = decoder.to_vec();
    args.extend(["-i", &path, "-map", "0:v:0", "-fps_mode", "passthrough"]);
    args.extend(["-pix_fmt", pix_fmt, "-f", "framemd5", "-"]);
    Ok(sums(&run(&args)?))
}

/// The last column of the lines that are no comments.
fn sums(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .map(|sum| sum.trim().to_string())
        .collect()
}

/// Makes the file `name` with `ffmpeg ARGS... FILE`, once: a folder under cargo's target folder keeps it for the next
/// call with the same arguments and name.
///
/// # Errors
/// [`Error::Ffmpeg`], with what the command said, also when there is none; [`Error::File`].
pub fn ffmpeg_make(args: &[&str], name: &str) -> Result<PathBuf, Error> {
    let mut hash = Md5::new();
    for arg in args {
        hash.update(arg.as_bytes());
        hash.update([0]);
    }
    let key = format!("{:x}", hash.finalize());
    let folder = cache().join(key.get(..12).unwrap_or(&key));
    std::fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, error))?;
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    // Other tests may make the same file now: each makes its own, and moving one there is one step.
    let thread = std::thread::current().id();
    let unique = format!("{}-{thread:?}-{name}", std::process::id());
    let part = folder.join(unique.replace(['(', ')'], ""));
    let target = part.to_string_lossy();
    let args: Vec<&str> = [&["-y"], args, &[&target]].concat();
    run(&args)?;
    std::fs::rename(&part, &path).map_err(|error| Error::file(&path, error))?;
    Ok(path)
}

/// The folder of made clips: in cargo's target folder, where this test runs from, or else the system's for temporary
/// files.
fn cache() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let target = exe
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let folder = target.map_or_else(std::env::temp_dir, Path::to_path_buf);
    folder.join("conformance-clips")
}

fn run(args: &[&str]) -> Result<String, Error> {
    let fail = |reason: String| Error::Ffmpeg {
        args: args.join(" "),
        reason,
    };
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(args)
        .output()
        .map_err(|error| fail(format!("{error} (the package ffmpeg brings the command)")))?;
    if !output.status.success() {
        return Err(fail(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_last_column_without_the_comments() {
        let text = "#format: frame checksums\n0, 0, 0, 1, 6144, aabb\n0, 1, 1, 1, 6144, ccdd\n";
        assert_eq!(sums(text), ["aabb", "ccdd"]);
    }

    #[test]
    fn a_clip_is_made_once_and_again_for_other_arguments() {
        let make = |color: &str| {
            let source = format!("color={color}:size=16x16:rate=5:duration=1");
            let args = [
                "-f", "lavfi", "-i", &source, "-c:v", "rawvideo", "-pix_fmt", "yuv420p",
            ];
            ffmpeg_make(&args, "color.avi").unwrap()
        };
        let red = make("red");
        let written = std::fs::metadata(&red).unwrap().modified().unwrap();
        assert_eq!(make("red"), red);
        let again = std::fs::metadata(&red).unwrap().modified().unwrap();
        assert_eq!(again, written);
        let blue = make("blue");
        assert_ne!(blue, red);
        let (a, b) = (
            ffmpeg_framemd5(&red, "yuv420p"),
            ffmpeg_framemd5(&blue, "yuv420p"),
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.len(), b.len()), (5, 5));
        assert_ne!(a[0], b[0]);
    }

    #[test]
    fn a_failing_command_says_what_it_said() {
        let error = ffmpeg_framemd5(Path::new("no such file"), "yuv420p").unwrap_err();
        assert!(error.to_string().contains("no such file"), "{error}");
    }
}
