//! What the proxy says by itself: small pages for a person, without script, without anything that was sent.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};

const STYLE: &str = "
:root { color-scheme: light dark }
body { font: 1.0625rem/1.6 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto 2rem; padding: 0 1.5rem;
  color: light-dark(#1c1b1a, #edebe8); background: light-dark(#fbfaf8, #191817) }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem }
p { margin: 0 }";

/// Nothing is loaded, run, framed or sent anywhere; the style stands in the page itself.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// A page of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// The redirect was taken.
    SignedIn,
    /// The person cancelled.
    Denied,
    /// The vendor ended it.
    Failed,
    /// One redirect was taken before.
    Over,
    /// The redirect of another sign-in.
    Another,
    /// Nothing that is passed on.
    NotFound,
    /// A host that is not this machine.
    Misdirected,
    /// Sent by a page of another site.
    Foreign,
    /// A method that a sign-in does not need.
    Method,
    /// A body that is too large.
    TooLarge,
    /// A body that did not come.
    Broken,
    /// The vendor did not answer, or not as it should.
    Unreachable,
}

impl Page {
    const fn status(self) -> StatusCode {
        match self {
            Self::SignedIn | Self::Denied | Self::Failed => StatusCode::OK,
            Self::Over => StatusCode::CONFLICT,
            Self::Another | Self::Broken => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unreachable => StatusCode::BAD_GATEWAY,
        }
    }

    /// A title, and what a person can do.
    const fn text(self) -> (&'static str, &'static str) {
        const BEGIN: &str = "Open the address that doorward gave you.";
        match self {
            Self::SignedIn => ("Signed in", "You can close this window."),
            Self::Denied => ("Not signed in", "The sign-in was cancelled. You can close this window, and begin again in doorward."),
            Self::Failed => ("Not signed in", "The vendor ended the sign-in. You can close this window, and begin again in doorward."),
            Self::Over => ("This sign-in is over", "You can close this window."),
            Self::Another => {
                ("This is another sign-in", "It is not the one that doorward waits for. Open the address that doorward gave you.")
            }
            Self::NotFound => ("Nothing is here", BEGIN),
            Self::Misdirected => ("This is not the way here", BEGIN),
            Self::Foreign => ("Another site sent this", BEGIN),
            Self::Method => ("This cannot be done here", BEGIN),
            Self::TooLarge => ("This is too large", BEGIN),
            Self::Broken => ("This did not arrive whole", "Load the page again."),
            Self::Unreachable => {
                ("The vendor cannot be reached", "Check that this machine is connected to the internet, then load the page again.")
            }
        }
    }

    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let (title, text) = self.text();
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title} · doorward</title><style>{STYLE}</style><main><h1>{title}</h1><p>{text}</p></main></html>"
        );
        let mut response = Response::new(Full::from(page));
        *response.status_mut() = self.status();
        response.headers_mut().extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
        if self == Self::Method {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}
