//! What wptserve would answer for a URL, read from the checkout.

use crate::discover::{HOST, HTTP_PORT, HTTPS_PORT};
use deno_core::url::Url;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Response header fields, in order: name, value.
pub type Headers = Vec<(String, String)>;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// A file as it is.
    File {
        /// Where it is.
        path: PathBuf,
        /// Extra header fields.
        headers: Headers,
    },
    /// Bytes made for this request.
    Bytes {
        /// The body.
        body: Vec<u8>,
        /// Extra header fields.
        headers: Headers,
    },
    /// No such file.
    NotFound,
}

/// Serves a WPT checkout and the project's own tests.
#[derive(Clone, Debug)]
pub struct Server {
    root: PathBuf,
    own: Option<PathBuf>,
}

/// The URL path below which the project's own tests are served.
pub const OWN_PREFIX: &str = "/reelcore/";

impl Server {
    /// `root`: the checkout. `own`: the folder served at [`OWN_PREFIX`].
    pub fn new(root: &Path, own: Option<&Path>) -> std::io::Result<Self> {
        Ok(Self {
            root: root.canonicalize()?,
            own: own.map(Path::canonicalize).transpose()?,
        })
    }

    /// The answer for `url`; `None` where the URL is on none of wptserve's hosts.
    pub fn get(&self, url: &Url) -> Option<Served> {
        if !matches!(url.scheme(), "http" | "https") || !is_own_host(url.host_str()?) {
            return None;
        }
        Some(self.respond(url).unwrap_or(Served::NotFound))
    }

    /// Whether the document of `script` (a URL path) is cross-origin isolated: its header fields
    /// ask for it and its origin is trustworthy.
    /// <https://html.spec.whatwg.org/multipage/browsers.html#cross-origin-opener-policies>
    pub fn cross_origin_isolated(&self, script: &str, secure: bool) -> bool {
        let Some(file) = self.file(script) else {
            return false;
        };
        let headers = self.headers(&file);
        let value = |name: &str| {
            let mut fields = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
            // Parameters (`; report-to=...`) do not matter here.
            fields
                .next_back()
                .map(|(_, value)| match value.split_once(';') {
                    Some((token, _)) => token.trim(),
                    None => value.trim(),
                })
        };
        secure
            && value("Cross-Origin-Opener-Policy") == Some("same-origin")
            && matches!(
                value("Cross-Origin-Embedder-Policy"),
                Some("require-corp" | "credentialless")
            )
    }

    /// The source of a script that the runner itself loads.
    pub fn script(&self, url: &Url) -> std::io::Result<String> {
        let missing = || {
            std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!("{url} is not in the checkout"),
            )
        };
        let bytes = match self.get(url).ok_or_else(missing)? {
            Served::File { path, .. } => fs::read(path)?,
            Served::Bytes { body, .. } => body,
            Served::NotFound => return Err(missing()),
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn respond(&self, url: &Url) -> Option<Served> {
        let path = self.file(url.path())?;
        let mut headers = self.headers(&path);
        let mut body = None;
        let name = path.file_name()?.to_str()?;
        if name.split('.').any(|flag| flag == "sub") {
            body = Some(substitute(&fs::read_to_string(&path).ok()?, url)?);
        }
        // https://web-platform-tests.org/writing-tests/server-pipes.html
        let pipes = url.query_pairs().find(|(key, _)| key == "pipe");
        for pipe in pipes.iter().flat_map(|(_, value)| value.split('|')) {
            let arguments = |name: &str| pipe.strip_prefix(name)?.strip_suffix(')');
            if pipe == "sub" {
                let text = match body.take() {
                    Some(text) => text,
                    None => fs::read_to_string(&path).ok()?,
                };
                body = Some(substitute(&text, url)?);
            } else if let Some((name, value)) = arguments("header(").and_then(|a| a.split_once(','))
            {
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            } else {
                // A pipe that is not served must not look like the plain file.
                return None;
            }
        }
        Some(match body {
            Some(text) => Served::Bytes {
                body: text.into_bytes(),
                headers,
            },
            None => Served::File { path, headers },
        })
    }

    /// The file behind a URL path. A path cannot leave the checkout, by dots or by links.
    fn file(&self, url_path: &str) -> Option<PathBuf> {
        // The one rewrite rule of wptserve that tests use.
        let url_path = match url_path {
            "/resources/WebIDLParser.js" => "/resources/webidl2/lib/webidl2.js",
            other => other,
        };
        let (root, relative) = match (url_path.strip_prefix(OWN_PREFIX), &self.own) {
            (Some(rest), Some(own)) => (own, rest),
            _ => (&self.root, url_path.strip_prefix('/')?),
        };
        let relative = percent_decode(relative)?;
        let relative = Path::new(&relative);
        if !relative
            .components()
            .all(|c| matches!(c, Component::Normal(_)))
        {
            return None;
        }
        let file = root.join(relative).canonicalize().ok()?;
        (file.starts_with(root) && file.is_file()).then_some(file)
    }

    /// The fields of `__dir__.headers` and of `<file>.headers`.
    fn headers(&self, file: &Path) -> Headers {
        let mut headers = Headers::new();
        let mut own = file.as_os_str().to_owned();
        own.push(".headers");
        for source in [file.with_file_name("__dir__.headers"), PathBuf::from(own)] {
            if let Ok(text) = fs::read_to_string(source) {
                let fields = text.lines().filter_map(|line| line.split_once(':'));
                headers.extend(fields.map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())));
            }
        }
        headers
    }
}

/// Whether wptserve answers for the host name.
fn is_own_host(host: &str) -> bool {
    let alternative = format!("not-{HOST}");
    [HOST, &alternative].iter().any(|known| {
        host.strip_suffix(known)
            .is_some_and(|left| left.is_empty() || left.ends_with('.'))
    })
}

fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            out.push(byte);
        }
    }
    // A NUL, or a slash that was hidden from the URL parser, is no part of a file name here.
    let hidden = text.to_ascii_lowercase().contains("%2f");
    let text = String::from_utf8(out).ok()?;
    (!hidden && !text.contains('\0')).then_some(text)
}

/// Replaces `{{...}}` as wptserve's `sub` pipe does, for the names that need no state of a server.
/// `None` on a name it does not know: a wrong script is worse than a missing one.
fn substitute(text: &str, url: &Url) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, tail) = after.split_once("}}")?;
        out.push_str(before);
        out.push_str(&substitution(name.trim(), url)?);
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}

fn substitution(name: &str, url: &Url) -> Option<String> {
    let indexes = |prefix: &str| -> Option<Vec<&str>> {
        let rest = name.strip_prefix(prefix)?.strip_prefix('[')?;
        Some(rest.strip_suffix(']')?.split("][").collect())
    };
    let subdomain = |sub: &str, host: &str| match sub {
        "" => host.to_owned(),
        sub => format!("{sub}.{host}"),
    };
    if name == "host" {
        return Some(HOST.to_owned());
    }
    if let Some(keys) = indexes("ports") {
        let [scheme, index] = keys.as_slice() else {
            return None;
        };
        let first = match *scheme {
            "http" => HTTP_PORT,
            "https" => HTTPS_PORT,
            _ => return None,
        };
        let index: u16 = index.parse().ok().filter(|index| *index < 2)?;
        return Some(first.checked_add(index)?.to_string());
    }
    if let Some(keys) = indexes("domains") {
        let [sub] = keys.as_slice() else { return None };
        return Some(subdomain(sub, HOST));
    }
    if let Some(keys) = indexes("hosts") {
        return match keys.as_slice() {
            ["" | "default", sub] => Some(subdomain(sub, HOST)),
            ["alt", sub] => Some(subdomain(sub, &format!("not-{HOST}"))),
            _ => None,
        };
    }
    if let Some(keys) = indexes("location") {
        let host = url.host_str()?;
        let port = url.port_or_known_default()?;
        return Some(match keys.as_slice() {
            ["scheme"] => url.scheme().to_owned(),
            ["host"] => format!("{host}:{port}"),
            ["hostname"] => host.to_owned(),
            ["port"] => port.to_string(),
            ["server"] => format!("{}://{host}:{port}", url.scheme()),
            ["path"] => url.path().to_owned(),
            ["pathname"] => url.path().to_owned(),
            ["query"] => url.query().map(|q| format!("?{q}")).unwrap_or_default(),
            _ => return None,
        });
    }
    if let Some(keys) = indexes("GET") {
        let [key] = keys.as_slice() else { return None };
        let pair = url.query_pairs().find(|(name, _)| name == key);
        return pair.map(|(_, value)| value.into_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        _dir: tempfile::TempDir,
        server: Server,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().expect("temporary folder");
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, text).expect("file");
        };
        put("secret", "outside");
        put("wpt/resources/webidl2/lib/webidl2.js", "parser");
        put("wpt/t/x.https.any.js", "x");
        put(
            "wpt/t/x.https.any.js.headers",
            "Cross-Origin-Opener-Policy: same-origin\nCross-Origin-Embedder-Policy: require-corp\n",
        );
        put("wpt/t/plain.https.any.js", "x");
        put(
            "wpt/common/h.sub.js",
            "{{host}} {{ports[https][1]}} {{domains[www2]}} {{hosts[alt][]}}",
        );
        put("wpt/common/bad.sub.js", "{{uuid()}}");
        put("own/o.any.js", "own");
        let server = Server::new(&dir.path().join("wpt"), Some(&dir.path().join("own")));
        Fixture {
            server: server.expect("server"),
            _dir: dir,
        }
    }

    fn get(server: &Server, text: &str) -> Option<Served> {
        server.get(&Url::parse(text).expect("url"))
    }

    fn script(server: &Server, path: &str) -> Option<String> {
        let url = Url::parse(&format!("https://web-platform.test:8443{path}")).expect("url");
        server.script(&url).ok()
    }

    #[test]
    fn the_parser_is_rewritten_and_own_tests_have_their_prefix() {
        let f = fixture();
        assert_eq!(
            script(&f.server, "/resources/WebIDLParser.js").as_deref(),
            Some("parser")
        );
        assert_eq!(
            script(&f.server, "/reelcore/o.any.js").as_deref(),
            Some("own")
        );
        assert_eq!(script(&f.server, "/o.any.js"), None);
    }

    #[test]
    fn nothing_outside_the_checkout_is_served() {
        let f = fixture();
        for path in [
            "/%2e%2e/secret",
            "/t/..%2f..%2fsecret",
            "/t/%2F/secret",
            "/",
            "/t",
        ] {
            assert_eq!(script(&f.server, path), None, "{path}");
        }
        #[cfg(unix)]
        {
            let link = f.server.root.join("t/link.js");
            std::os::unix::fs::symlink("../../secret", link).expect("link");
            assert_eq!(script(&f.server, "/t/link.js"), None);
        }
    }

    #[test]
    fn other_hosts_and_schemes_are_not_ours() {
        let f = fixture();
        assert_eq!(get(&f.server, "https://example.org/t/x.https.any.js"), None);
        assert_eq!(get(&f.server, "https://evilweb-platform.test/t/x"), None);
        assert_eq!(get(&f.server, "file:///t/x.https.any.js"), None);
        let sub = get(
            &f.server,
            "http://www1.web-platform.test:8000/t/plain.https.any.js",
        );
        assert!(matches!(sub, Some(Served::File { .. })));
    }

    #[test]
    fn sub_files_are_substituted_and_unknown_names_are_refused() {
        let f = fixture();
        assert_eq!(
            script(&f.server, "/common/h.sub.js").as_deref(),
            Some("web-platform.test 8444 www2.web-platform.test not-web-platform.test")
        );
        assert_eq!(script(&f.server, "/common/bad.sub.js"), None);
    }

    #[test]
    fn pipes_add_header_fields_and_unknown_pipes_are_refused() {
        let f = fixture();
        let base = "https://web-platform.test:8443/t/plain.https.any.js?pipe=";
        let piped = get(&f.server, &format!("{base}header(X-Y,*)"));
        let Some(Served::File { headers, .. }) = piped else {
            panic!("{piped:?}");
        };
        assert_eq!(headers, [("X-Y".to_owned(), "*".to_owned())]);
        assert_eq!(
            get(&f.server, &format!("{base}trickle(d1)")),
            Some(Served::NotFound)
        );
    }

    #[test]
    fn isolation_needs_both_header_fields_and_a_secure_origin() {
        let f = fixture();
        assert!(f.server.cross_origin_isolated("/t/x.https.any.js", true));
        assert!(!f.server.cross_origin_isolated("/t/x.https.any.js", false));
        assert!(
            !f.server
                .cross_origin_isolated("/t/plain.https.any.js", true)
        );
    }
}
