//! One request: whether it is for the vendor, what the vendor answers, and the one answer that is for doorward.

use super::{
    Callback, Outcome, ProxyError, SignIn,
    headers::{Jar, back, onward},
    pages::Page,
    parameter,
};
use bytes::{Bytes, BytesMut};
use doorward_core::Secret;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Response, StatusCode, Uri,
    body::{Body, Incoming},
    header::{self, HeaderValue},
};
use reqwest::{Client, Url};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use subtle::ConstantTimeEq;
use tokio::{sync::oneshot, time::timeout};

/// Bytes of a request's body, at most.
const BODY: usize = 256 << 10;
/// Bytes of an answer's body, at most. The vendor's scripts are large.
const ANSWER: usize = 4 << 20;
/// How long a request's body may take, and then its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Escapes that hide a slash, a backslash, a dot, an end or another escape in a path.
const HIDDEN: [&str; 5] = ["%2f", "%5c", "%2e", "%00", "%25"];

/// What all requests of a sign-in share.
pub(super) struct Relay {
    sign_in: SignIn,
    http: Client,
    port: u16,
    outcome: Mutex<Option<oneshot::Sender<Outcome>>>,
    jar: Mutex<Jar>,
}

impl Relay {
    pub(super) fn new(sign_in: SignIn, http: Client, port: u16, outcome: oneshot::Sender<Outcome>) -> Self {
        Self { sign_in, http, port, outcome: Mutex::new(Some(outcome)), jar: Mutex::default() }
    }

    /// The answer to a request, whatever it is.
    pub(super) async fn answer(&self, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        self.relayed(request).await.unwrap_or_else(|page| {
            let mut response = page.response();
            if matches!(page, Page::SignedIn | Page::Denied | Page::Failed) {
                locked(&self.jar).forget(response.headers_mut());
            }
            response
        })
    }

    /// What the vendor answers, or a page of our own.
    async fn relayed(&self, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Page> {
        let here = self.here(request.uri(), request.headers()).ok_or(Page::Misdirected)?;
        if request.headers().get_all(header::ORIGIN).iter().any(|origin| *origin != here.as_str() && origin != "null") {
            return Err(Page::Foreign);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
            return Err(Page::Method);
        }
        let url = self.sign_in.there(request.uri()).ok_or(Page::NotFound)?;
        let (parts, body) = request.into_parts();
        let mut onwards = reqwest::Request::new(parts.method.clone(), url.clone());
        *onwards.headers_mut() = onward(&parts.headers, &here, &self.sign_in.origin, &locked(&self.jar));
        if parts.method == Method::POST {
            let body = whole(body).await?;
            // Some servers want it even for nothing.
            onwards.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            *onwards.body_mut() = Some(body.into());
        }
        let asked = timeout(PATIENCE, self.ask(onwards)).await;
        let (status, headers, body) =
            asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))).map_err(|log| {
                tracing::warn!(log, "the vendor's sign-in page did not come");
                Page::Unreachable
            })?;
        let mut headers = back(&headers, parts.method == Method::HEAD, &mut locked(&self.jar));
        if status.is_redirection()
            && let Some(location) = headers.get(header::LOCATION).and_then(|location| str::from_utf8(location.as_bytes()).ok())
        {
            match self.sign_in.way(&url, location) {
                Way::Back(callback) => return Err(self.returned(&callback, location)),
                Way::Here(location) => _ = headers.insert(header::LOCATION, location),
                Way::Elsewhere => {}
            }
        }
        let mut response = Response::new(Full::new(body));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }

    /// The origin by which this machine was called. A foreign name that resolves to it (DNS rebinding) is none.
    fn here(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None, None) = (hosts.next(), hosts.next(), uri.authority()) else { return None };
        let names = ["localhost", "127.0.0.1"].into_iter();
        let mut known = names.flat_map(|name| [format!("{name}:{}", self.port), name.to_owned()]);
        // A browser leaves port 80 out.
        let host =
            known.find(|known| host.as_bytes().eq_ignore_ascii_case(known.as_bytes()) && (known.contains(':') || self.port == 80))?;
        Some(format!("http://{host}"))
    }

    async fn ask(&self, request: reqwest::Request) -> Result<(StatusCode, HeaderMap, Bytes), String> {
        let told = |error: reqwest::Error| doorward_http::chain(&error);
        let mut response = self.http.execute(request).await.map_err(told)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > ANSWER {
                return Err(format!("the answer is longer than {ANSWER} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), std::mem::take(response.headers_mut()), body.freeze()))
    }

    /// The browser was sent back to the app. Only what belongs to this sign-in ends it, and only the first time.
    fn returned(&self, callback: &Url, location: &str) -> Page {
        let state = parameter(callback, "state").unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.sign_in.state.reveal().as_bytes())) {
            return Page::Another;
        }
        let code = parameter(callback, "code").filter(|code| !code.is_empty());
        let (page, outcome) = match (code, parameter(callback, "error")) {
            (Some(_), None) => (Page::SignedIn, Ok(Callback { url: Secret::new(location.to_owned()) })),
            (_, Some(error)) if error == "access_denied" => (Page::Denied, Err(ProxyError::Denied)),
            (_, Some(error)) => (Page::Failed, Err(ProxyError::Failed(word(&error)))),
            (None, None) => return Page::Another,
        };
        let waiting = locked(&self.outcome).take();
        match waiting.map(|waiting| waiting.send(outcome)) {
            Some(Ok(())) => page,
            Some(Err(_)) | None => Page::Over,
        }
    }
}

/// Where a redirect leads.
enum Way {
    /// To the app, with what doorward waits for.
    Back(Url),
    /// To another page of the vendor's.
    Here(HeaderValue),
    /// Somewhere else.
    Elsewhere,
}

impl SignIn {
    /// What the vendor is asked for, if it is below the tenant however it is read.
    fn there(&self, uri: &Uri) -> Option<Url> {
        let path = uri.path();
        let low = path.to_ascii_lowercase();
        if path.contains("//") || path.contains("/..") || HIDDEN.iter().any(|hidden| low.contains(hidden)) {
            return None;
        }
        let url = Url::parse(&format!("{}{}", self.origin, uri.path_and_query()?)).ok()?;
        // Dots and backslashes would have been read as steps.
        (self.is_below(&url) && url.path() == path).then_some(url)
    }

    fn is_below(&self, url: &Url) -> bool {
        let path = url.path();
        url.origin() == self.upstream.origin()
            && path.get(..self.tenant.len()).is_some_and(|front| front.eq_ignore_ascii_case(&self.tenant))
    }

    fn way(&self, from: &Url, location: &str) -> Way {
        let Ok(to) = from.join(location) else { return Way::Elsewhere };
        if self.is_redirect(&to) {
            return Way::Back(to);
        }
        let own = to.origin() == self.upstream.origin() && to.username().is_empty() && to.password().is_none();
        let rest = to.as_str().strip_prefix(&self.origin).filter(|_| own && self.is_below(&to));
        // What is not below the tenant is the vendor's to show.
        let value = if own { HeaderValue::from_str(rest.unwrap_or(to.as_str())).ok() } else { None };
        value.map_or(Way::Elsewhere, Way::Here)
    }

    /// Whether an address is the redirect URI but for its query. Some write an empty path as a slash.
    fn is_redirect(&self, url: &Url) -> bool {
        let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port(), url.username().to_owned());
        let path = |url: &Url| url.path().strip_suffix('/').unwrap_or(url.path()).to_owned();
        place(url) == place(&self.redirect) && path(url) == path(&self.redirect) && url.password().is_none()
    }
}

/// The body of a request, within its bounds.
async fn whole(body: Incoming) -> Result<Bytes, Page> {
    if body.size_hint().lower() > BODY as u64 {
        return Err(Page::TooLarge);
    }
    match timeout(PATIENCE, Limited::new(body, BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Page::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Page::Broken),
    }
}

/// A word of OAuth, without anything that is none.
fn word(error: &str) -> String {
    error.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').take(40).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_in() -> SignIn {
        let url = "https://login.example/tenant.example/oauth2/v2.0/authorize?state=s&redirect_uri=com.app.diy%3A%2F%2Fback";
        SignIn::parse(&Url::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn what_is_below_the_tenant_is_the_vendors() {
        for path in ["/tenant.example/oauth2/v2.0/authorize?a=b%2Fc&d=..", "/TENANT.example/Policy/SelfAsserted?tx=%25", "/tenant.example/"]
        {
            assert_eq!(sign_in().there(&path.parse().unwrap()).unwrap().as_str(), format!("https://login.example{path}"), "{path}");
        }
    }

    #[test]
    fn a_path_that_leaves_the_tenant_is_refused_however_it_is_written() {
        for path in [
            "/",
            "/favicon.ico",
            "/tenant.example",
            "/tenant.example.evil/x",
            "/other/x",
            "//tenant.example/x",
            "/tenant.example//x",
            "/tenant.example/../other",
            "/tenant.example/./x",
            "/tenant.example/%2e%2e/other",
            "/tenant.example/%2E%2E/other",
            "/tenant.example/.%2e/other",
            "/tenant.example%2f..%2fother",
            "/tenant.example/%5c..%5cother",
            "/tenant.example/%252e%252e/x",
            "/tenant.example/x%00",
            "/tenant.example/..;/other",
            "/static/x",
            "/x/../tenant.example/y",
            "*",
        ] {
            let Ok(uri) = path.parse::<Uri>() else { continue };
            assert_eq!(sign_in().there(&uri), None, "{path}");
        }
    }

    #[test]
    fn only_the_apps_own_address_is_the_way_back() {
        let back = |location: &str| {
            let from = Url::parse("https://login.example/tenant.example/policy").unwrap();
            matches!(sign_in().way(&from, location), Way::Back(_))
        };
        for right in ["com.app.diy://back?code=1", "com.app.diy://back", "com.app.diy://back#x", "com.app.diy://back/?code=1"] {
            assert!(back(right), "{right}");
        }
        for wrong in [
            "com.app.diy://back.evil?code=1",
            "com.app.diy://backdoor",
            "com.app.diy://back:80?code=1",
            "com.app.diy://back@evil?code=1",
            "com.app.diy://x@back?code=1",
            "com.app.diy://back/more?code=1",
            "com.app.diy:back?code=1",
            "com.app.diyx://back?code=1",
            "https://back?code=1",
            "https://evil.example/com.app.diy://back?code=1",
            "com.app.diy://BACK?code=1",
            "back?code=1",
        ] {
            assert!(!back(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_redirect_to_the_vendor_stays_here_and_others_are_as_they_were() {
        let from = Url::parse("https://login.example/tenant.example/policy/page").unwrap();
        let way = |location: &str| match sign_in().way(&from, location) {
            Way::Here(location) => Some(location.to_str().unwrap().to_owned()),
            Way::Elsewhere | Way::Back(_) => None,
        };
        let here = |path: &str| Some(path.to_owned());
        assert_eq!(way("https://login.example/tenant.example/next?a=b#c"), here("/tenant.example/next?a=b#c"));
        assert_eq!(way("https://LOGIN.example:443/tenant.example/next"), here("/tenant.example/next"));
        assert_eq!(way("next"), here("/tenant.example/policy/next"));
        assert_eq!(way("/static/x.css"), here("https://login.example/static/x.css"), "what is not passed on is fetched there");
        for elsewhere in
            ["https://login.example.evil/tenant.example/x", "http://login.example/tenant.example/x", "//evil.example/x", "mailto:x"]
        {
            assert_eq!(way(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn an_address_that_is_no_sign_in_of_an_app_is_refused() {
        let parse = |url: &str| SignIn::parse(&Url::parse(url).unwrap()).err().map(|error| error.to_string());
        let query = "state=s&redirect_uri=com.app.diy%3A%2F%2Fback";
        assert_eq!(parse(&format!("http://127.0.0.1:1/t/x?{query}")), None);
        for wrong in [
            format!("http://login.example/t/x?{query}"),
            format!("ftp://login.example/t/x?{query}"),
            format!("https://user@login.example/t/x?{query}"),
            format!("https://login.example/?{query}"),
            "https://login.example/t/x?state=s".into(),
            "https://login.example/t/x?redirect_uri=com.app.diy%3A%2F%2Fback".into(),
            "https://login.example/t/x?state=&redirect_uri=com.app.diy%3A%2F%2Fback".into(),
            format!("https://login.example/t/x?{query}&state=s"),
            "https://login.example/t/x?state=s&redirect_uri=https%3A%2F%2Fback".into(),
            "https://login.example/t/x?state=s&redirect_uri=com.app.diy%3Aback".into(),
        ] {
            assert!(parse(&wrong).is_some_and(|told| !told.contains("state=s")), "{wrong}");
        }
    }
}
