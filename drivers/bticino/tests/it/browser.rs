//! What a browser does: it keeps cookies by host, says where a form stands, and follows redirects step by step.

use reqwest::{
    Client, Method, StatusCode, Url,
    header::{COOKIE, HeaderMap, LOCATION, ORIGIN, REFERER, SET_COOKIE},
    redirect::Policy,
};
use std::collections::BTreeMap;

/// One browser with its cookies.
pub(crate) struct Browser {
    http: Client,
    pub(crate) cookies: BTreeMap<String, String>,
}

/// A page that was shown, or whatever else came.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new() -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { http: Client::builder().redirect(Policy::none()).no_proxy().build().unwrap(), cookies: BTreeMap::new() }
    }

    pub(crate) async fn open(&mut self, url: &Url) -> Seen {
        self.send(Method::GET, url, None, HeaderMap::new()).await
    }

    /// Presses a button of the page's form, with these fields beside its hidden ones.
    pub(crate) async fn press(&mut self, page: &Seen, fields: &[(&str, &str)]) -> Seen {
        let action = page.url.join(&between(&page.body, "action=\"", "\"")).unwrap();
        let hidden = ["tx", "csrf_token"].map(|name| (name, between(&page.body, &format!("name=\"{name}\" value=\""), "\"")));
        let hidden = hidden.iter().map(|(name, value)| (*name, value.as_str()));
        let form: Vec<_> = hidden.chain(fields.iter().copied()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, page.url.origin().ascii_serialization().parse().unwrap());
        headers.insert(REFERER, page.url.as_str().parse().unwrap());
        self.send(Method::POST, &action, Some(&form), headers).await
    }

    async fn send(&mut self, method: Method, url: &Url, form: Option<&[(&str, &str)]>, mut headers: HeaderMap) -> Seen {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            headers.insert(COOKIE, cookies.join("; ").parse().unwrap());
        }
        let mut request = self.http.request(method, url.clone()).headers(headers);
        if let Some(form) = form {
            let mut encoded = Url::parse("form:").unwrap();
            encoded.query_pairs_mut().extend_pairs(form);
            request = request.header("content-type", "application/x-www-form-urlencoded").body(encoded.query().unwrap().to_owned());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Seen { url: url.clone(), status, headers, body: response.text().await.unwrap() }
    }
}

impl Seen {
    pub(crate) fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |location| location.to_str().unwrap())
    }
}

fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split_once(after).unwrap().0.to_owned()
}
