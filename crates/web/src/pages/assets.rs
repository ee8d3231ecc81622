//! Style, script and icon: part of the program, found under a name that changes with their content.

use crate::Web;
use axum::{
    Router,
    extract::RawQuery,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

/// A file that browsers may keep for ever, because a changed one has another address.
pub(crate) struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
    hash: u64,
}

pub(crate) static STYLE: Asset = Asset::new("/assets/style.css", "text/css; charset=utf-8", include_str!("../../assets/style.css"));
pub(crate) static LIVE: Asset = Asset::new("/assets/live.js", "text/javascript; charset=utf-8", include_str!("../../assets/live.js"));
pub(crate) static ICON: Asset = Asset::new("/assets/icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg"));
pub(crate) static MANIFEST: Asset =
    Asset::new("/assets/manifest.webmanifest", "application/manifest+json", include_str!("../../assets/manifest.webmanifest"));

pub(crate) static NOTIFY: Asset = Asset::new("/assets/notify.js", "text/javascript; charset=utf-8", include_str!("../../assets/notify.js"));
pub(crate) static PASSKEY: Asset =
    Asset::new("/assets/passkey.js", "text/javascript; charset=utf-8", include_str!("../../assets/passkey.js"));
pub(crate) static PASS: Asset = Asset::new("/assets/pass.js", "text/javascript; charset=utf-8", include_str!("../../assets/pass.js"));
pub(crate) static NEAR: Asset = Asset::new("/assets/near.js", "text/javascript; charset=utf-8", include_str!("../../assets/near.js"));
pub(crate) static PASS_MANIFEST: Asset =
    Asset::new("/assets/pass.webmanifest", "application/manifest+json", include_str!("../../assets/pass.webmanifest"));
/// Not under `/assets`: a service worker works for pages below its own place.
static WORKER: Asset = Asset::new("/push-worker.js", "text/javascript; charset=utf-8", include_str!("../../assets/push-worker.js"));

pub(super) fn router() -> Router<Web> {
    // Browsers look for /favicon.ico where a page names no icon, such as an error of the API.
    let own = [&LIVE, &NOTIFY, &PASSKEY, &WORKER, &MANIFEST].map(|asset| (asset.path, asset));
    places(own.into_iter().chain([("/favicon.ico", &ICON)])).merge(of_passes())
}

/// What the page of a pass is made of, which may be put on the internet.
pub(super) fn of_passes() -> Router<Web> {
    places([&STYLE, &NEAR, &PASS, &PASS_MANIFEST, &ICON].map(|asset| (asset.path, asset)).into_iter())
}

fn places(places: impl Iterator<Item = (&'static str, &'static Asset)>) -> Router<Web> {
    places.fold(Router::new(), |router, (path, asset)| {
        router.route(path, get(move |RawQuery(query): RawQuery| async move { asset.answer(query.as_deref()) }))
    })
}

impl Asset {
    const fn new(path: &'static str, kind: &'static str, text: &'static str) -> Self {
        Self { path, kind, text, hash: fnv(text.as_bytes()) }
    }

    /// Where it is, with the fingerprint of its content.
    pub(crate) fn url(&self) -> String {
        format!("{}?v={:016x}", self.path, self.hash)
    }

    fn answer(&self, query: Option<&str>) -> Response {
        let mine = format!("v={:016x}", self.hash);
        // An old page may ask an updated doorward: what it gets is right, but not to be kept under that name.
        let keep = if query == Some(mine.as_str()) { "public, max-age=31536000, immutable" } else { "no-cache" };
        ([(header::CONTENT_TYPE, self.kind), (header::CACHE_CONTROL, keep)], self.text).into_response()
    }
}

/// FNV-1a: tells contents apart, which is all that is asked of it.
const fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
