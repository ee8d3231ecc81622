//! The page `/remote`: doors for phones without an app, end-to-end encrypted, in nothing but a browser.
//!
//! The page is one *build*: nine files and an id that is the SHA-256 of their list. A browser that has loaded it once keeps
//! that build (`worker.js`) and asks before it runs another, so that whoever carries the page cannot change it later. The
//! house shows the id too; people compare both.

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use std::{fmt::Write, sync::LazyLock};

/// Where the page is. Its files are below.
const HOME: &str = "/remote";
/// The script that pins the build.
const WORKER: &str = "/remote/worker.js";
/// Digits of the id that people compare: 128 bits.
const COMPARED: usize = 32;

struct File {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:literal, $name:literal, $kind:literal) => {
        File { path: $path, kind: $kind, bytes: include_bytes!(concat!("../assets/remote/", $name)) }
    };
}

/// The files of the page, by their paths in order.
static FILES: [File; 9] = [
    file!("/remote", "remote.html", "text/html; charset=utf-8"),
    file!("/remote/icon-192.png", "icon-192.png", "image/png"),
    file!("/remote/icon-512.png", "icon-512.png", "image/png"),
    file!("/remote/icon.svg", "icon.svg", "image/svg+xml"),
    file!("/remote/remote.css", "remote.css", "text/css; charset=utf-8"),
    file!("/remote/remote.js", "remote.js", "text/javascript; charset=utf-8"),
    file!("/remote/remote.webmanifest", "remote.webmanifest", "application/manifest+json"),
    file!("/remote/tunnel.js", "tunnel.js", "text/javascript; charset=utf-8"),
    file!("/remote/worker.js", "worker.js", "text/javascript; charset=utf-8"),
];

/// What goes with every file. The worker holds the same ones, since it answers for the house later.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         manifest-src 'self'; worker-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

static BUILD: LazyLock<Build> = LazyLock::new(Build::new);

struct Build {
    id: String,
    /// The worker, with the id and the list filled in.
    worker: String,
}

impl Build {
    fn new() -> Self {
        let hashes: Vec<(&str, String)> = FILES.iter().map(|file| (file.path, sha256(file.bytes))).collect();
        let list = hashes.iter().fold(String::new(), |list, (path, hash)| list + hash + "  " + path + "\n");
        let id = sha256(list.as_bytes());
        let assets: serde_json::Map<String, serde_json::Value> =
            hashes.into_iter().map(|(path, hash)| (path.to_owned(), hash.into())).collect();
        let script =
            FILES.iter().find(|file| file.path == WORKER).map_or_else(Default::default, |file| String::from_utf8_lossy(file.bytes));
        let worker = script.replace("__BUILD__", &id).replace("__ASSETS__", &serde_json::Value::Object(assets).to_string());
        Self { id, worker }
    }
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The id of the build as the page itself shows it: 128 bits, in groups of four digits.
#[must_use]
pub fn fingerprint() -> String {
    let groups: Vec<&str> = (0..COMPARED).step_by(4).filter_map(|at| BUILD.id.get(at..at + 4)).collect();
    groups.join(" ")
}

/// Whether this is the page, or one of its files.
pub(crate) fn is_for(path: &str) -> bool {
    path.strip_prefix(HOME).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers for the page.
pub(crate) fn answer(path: &str, method: &Method, is_on: bool) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if !is_on {
        let why = "This house does not serve the page /remote. Whoever runs it can switch it on with tunnel.remote.\n";
        return (StatusCode::NOT_FOUND, why).into_response();
    }
    let path = if path == "/remote/" { HOME } else { path };
    let Some(file) = FILES.iter().find(|file| file.path == path) else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = if path == WORKER { BUILD.worker.as_str().into_response() } else { file.bytes.into_response() };
    let headers = response.headers_mut();
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if path == WORKER {
        // A script below /remote/ could not answer for /remote otherwise.
        headers.insert(HeaderName::from_static("service-worker-allowed"), HeaderValue::from_static(HOME));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> &'static str {
        std::str::from_utf8(FILES.iter().find(|file| file.path == path).unwrap().bytes).unwrap()
    }

    #[test]
    fn the_worker_answers_with_the_same_headers_and_kinds() {
        let worker = text(WORKER);
        for (name, value) in HEADERS {
            assert!(worker.contains(&format!("\"{name}\": \"{value}\"")), "{name}");
        }
        for file in &FILES {
            assert!(worker.contains(&format!("\"{}\"", file.kind)), "{}", file.kind);
        }
    }

    #[test]
    fn the_worker_holds_the_list_of_its_build() {
        let worker = &BUILD.worker;
        assert!(worker.contains(&format!("const BUILD = \"{}\";", BUILD.id)));
        assert!(!worker.contains("__"), "everything is filled in");
        let list = worker.split_once("const ASSETS = ").unwrap().1.split_once(';').unwrap().0;
        let list: std::collections::BTreeMap<String, String> = serde_json::from_str(list).unwrap();
        let lines = list.iter().fold(String::new(), |lines, (path, hash)| lines + hash + "  " + path + "\n");
        assert_eq!((list.len(), sha256(lines.as_bytes())), (9, BUILD.id.clone()));
        assert_eq!(list["/remote/tunnel.js"], sha256(text("/remote/tunnel.js").as_bytes()));
        assert!(FILES.is_sorted_by_key(|file| file.path), "the list is the one of sha256sum, sorted");
    }

    #[test]
    fn whatever_the_page_names_is_there() {
        for path in [HOME, "/remote/remote.webmanifest"] {
            for name in text(path).split('"').filter(|word| word.starts_with("/remote/")) {
                assert!(FILES.iter().any(|file| file.path == name), "{path} names {name}");
            }
        }
    }

    #[test]
    fn what_is_shown_is_the_beginning_of_the_id() {
        let shown = fingerprint();
        assert_eq!(shown.split(' ').map(str::len).collect::<Vec<_>>(), [4; 8]);
        assert!(BUILD.id.starts_with(&shown.replace(' ', "")));
    }

    #[test]
    fn only_the_page_and_what_is_below_it() {
        for (path, is) in [("/remote", true), ("/remote/", true), ("/remote/x", true), ("/remotely", false), ("/", false)] {
            assert_eq!(is_for(path), is, "{path}");
        }
        let status = |path, method, on| answer(path, &method, on).status().as_u16();
        assert_eq!(status("/remote/", Method::GET, true), 200);
        assert_eq!(status("/remote/../keys", Method::GET, true), 404);
        assert_eq!(status("/remote", Method::GET, false), 404);
        assert_eq!(status("/remote", Method::POST, true), 405);
    }
}
