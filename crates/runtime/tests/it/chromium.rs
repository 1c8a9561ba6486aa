//! What the muxers write, in a browser: `chromium/write.js` writes a file with each, and Chromium's `<video>` plays it from the
//! start to the end. `./x test` leaves this test out, and says so, where no Chromium is on the PATH.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde::Deserialize;

/// The names that browsers of this kind have; `./x test` knows the same.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// How long a browser may take for all files.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `write.js` says of a file.
#[derive(Deserialize)]
struct Written {
    name: String,
    width: u32,
    height: u32,
    frames: u32,
    /// The size of the last picture.
    last: (u32, u32),
    /// Seconds; nothing where the file does not say it.
    duration: Option<f64>,
    alpha: bool,
}

/// What `page.html` found.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Played {
    name: String,
    error: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    /// JSON has no infinity: nothing.
    duration: Option<f64>,
    sought: Option<f64>,
    first: Option<Colours>,
    end: Option<f64>,
    last_width: Option<u32>,
    last_height: Option<u32>,
    frames: Option<u32>,
    audio_bytes: Option<u64>,
    last: Option<Colours>,
}

/// Shares of the pixels that are green and blue, and the least and the greatest alpha.
#[derive(Debug, Deserialize)]
struct Colours {
    green: f64,
    blue: f64,
    least: u8,
    most: u8,
}

fn browser() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .find(|program| program.is_file())
        .unwrap_or_else(|| {
            panic!(
                "none of {BROWSERS:?} is on the PATH: install one (Debian: apt-get install chromium), or leave this test out as ./x test does"
            )
        })
}

/// Serves the files of a folder and the page, and passes on what the page posts.
fn serve(listener: TcpListener, folder: PathBuf, posted: Sender<String>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { return };
        let (folder, posted) = (folder.clone(), posted.clone());
        // A player that changes its mind closes the connection: nobody needs to know.
        std::thread::spawn(move || drop(answer(stream, &folder, &posted)));
    }
}

fn answer(stream: TcpStream, folder: &Path, posted: &Sender<String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let (mut length, mut range) = (0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "range" => range = value.trim().strip_prefix("bytes=").map(str::to_owned),
            _ => {}
        }
    }
    let mut words = request.split_whitespace();
    let (method, path) = (words.next(), words.next().unwrap_or("/"));
    let mut stream = reader.get_ref().try_clone()?;
    if method == Some("POST") {
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let _ = posted.send(String::from_utf8_lossy(&body).into_owned());
        return stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    }
    let name = path.trim_start_matches('/');
    let file = match name {
        "page.html" => here("page.html"),
        _ => folder.join(name),
    };
    let Ok(bytes) = std::fs::read(file) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html",
        Some("json") => "application/json",
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        Some("mkv") => "video/x-matroska",
        Some("ogg") => "audio/ogg",
        Some("wav") => "audio/wav",
        Some("aac") => "audio/aac",
        Some("flac") => "audio/flac",
        Some("mp3") => "audio/mpeg",
        _ => "application/octet-stream",
    };
    let part = range.as_deref().and_then(|range| {
        let (from, to) = range.split_once('-')?;
        let from: usize = from.parse().ok()?;
        let to = to.parse().map_or(bytes.len(), |to: usize| to + 1);
        Some((from, to.min(bytes.len()))).filter(|(from, to)| from < to)
    });
    let (status, content, extra) = match part {
        Some((from, to)) => (
            "206 Partial Content",
            &bytes[from..to],
            format!("Content-Range: bytes {from}-{}/{}\r\n", to - 1, bytes.len()),
        ),
        None => ("200 OK", &bytes[..], String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n{extra}Connection: close\r\n\r\n",
        content.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(content)
}

fn here(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/chromium")).join(name)
}

/// A browser that ends with the test, whatever becomes of that.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn play(folder: &Path) -> Vec<Played> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, results): (_, Receiver<String>) = channel();
    let files = folder.to_owned();
    std::thread::spawn(move || serve(listener, files, sender));
    let profile = tempfile::tempdir().expect("a temporary folder");
    let log = std::fs::File::create(folder.join("browser.log")).expect("a file");
    let browser = Command::new(browser())
        .args([
            "--headless=new",
            // Where tests run as root, or in a container, it has none. It opens nothing but this page.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--mute-audio",
            "--no-first-run",
            "--autoplay-policy=no-user-gesture-required",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://127.0.0.1:{port}/page.html"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the browser starts");
    let browser = Browser(browser);
    let result = results.recv_timeout(PATIENCE);
    drop(browser);
    let result = result.unwrap_or_else(|_| {
        let log = std::fs::read(folder.join("browser.log")).unwrap_or_default();
        panic!(
            "the page said nothing within {PATIENCE:?}: {}",
            String::from_utf8_lossy(&log)
        )
    });
    serde_json::from_str(&result).expect("what the page posts")
}

#[test]
fn chromium_plays_what_the_muxers_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_reelcore"))
        .arg("run")
        .arg(here("write.js"))
        .arg(folder.path())
        .env("XDG_RUNTIME_DIR", std::env::temp_dir())
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    std::fs::write(folder.path().join("files.json"), &output.stdout).expect("a file");
    let written: Vec<Written> = serde_json::from_slice(&output.stdout).expect("what was written");
    assert!(written.len() > 15, "{} files", written.len());
    let played = play(folder.path());
    assert_eq!(played.len(), written.len());
    for (want, got) in written.iter().zip(&played) {
        let name = &want.name;
        assert_eq!(*name, got.name);
        assert_eq!(got.error, None, "{name}");
        // ADTS has no length: browsers guess it from the bit rate.
        let leeway = if name.ends_with(".aac") { 0.3 } else { 0.05 };
        let near = |got: Option<f64>, want: f64| got.is_some_and(|got| (got - want).abs() < leeway);
        if let Some(duration) = want.duration {
            assert!(near(got.duration, duration), "{name}: {got:?}");
            assert!(near(got.sought, duration / 4.0), "{name}: {got:?}");
        }
        assert!(
            near(got.end, want.duration.unwrap_or(2.0)),
            "{name}: {got:?}"
        );
        if want.width == 0 {
            assert!(got.audio_bytes > Some(800), "{name}: {got:?}");
            continue;
        }
        assert_eq!(
            (got.width, got.height),
            (Some(want.width), Some(want.height)),
            "{name}"
        );
        assert_eq!(
            (got.last_width, got.last_height),
            (Some(want.last.0), Some(want.last.1)),
            "{name}"
        );
        // Those that are shown after the seeks are counted too.
        assert!(got.frames >= Some(want.frames), "{name}: {got:?}");
        // A quarter of the picture is the bar: green in the first second, blue in the last.
        let bar = |share: f64| (0.23..0.28).contains(&share);
        let alpha = if want.alpha { (0, 255) } else { (255, 255) };
        if let Some(first) = &got.first {
            assert!(bar(first.green) && first.blue < 0.01, "{name}: {first:?}");
            assert_eq!((first.least, first.most), alpha, "{name}");
        }
        let last = got.last.as_ref().expect("the last picture");
        assert!(bar(last.blue) && last.green < 0.01, "{name}: {last:?}");
        assert_eq!((last.least, last.most), alpha, "{name}");
    }
}
