//! Header lines on their way: what is only for one connection stays behind, hosts become the other's, and cookies are kept
//! apart.
//!
//! A browser keeps cookies by host, whatever the port. So it sends those of everything that runs on this machine, and the
//! vendor must see only its own; and what the vendor gives is taken away again at the end.

use doorward_http::network::FORWARDING;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::collections::HashMap;

/// Lines for one connection (RFC 9110, section 7.6.1), beside those that `Connection` names.
const HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Attributes of a cookie that name the vendor's host or need TLS.
const UNFIT: [&str; 4] = ["domain", "partitioned", "samesite", "secure"];
/// Cookies of the vendor, at most.
const COOKIES: usize = 128;

/// The vendor's cookies: their names, with the path of each.
#[derive(Default)]
pub(super) struct Jar(HashMap<Vec<u8>, Vec<u8>>);

impl Jar {
    /// A cookie as it fits this machine's address.
    fn take(&mut self, cookie: &HeaderValue) -> Option<HeaderValue> {
        let mut parts = cookie.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let pair = parts.next()?;
        let name = name(pair);
        if name.is_empty() || (self.0.len() >= COOKIES && !self.0.contains_key(name)) {
            return None;
        }
        let is = |attribute: &[u8], word: &str| self::name(attribute).eq_ignore_ascii_case(word.as_bytes());
        let (mut line, mut path) = (pair.to_vec(), b"/".as_slice());
        for attribute in parts.filter(|attribute| !UNFIT.iter().any(|word| is(attribute, word))) {
            if is(attribute, "path") {
                path = attribute.splitn(2, |byte| *byte == b'=').nth(1).unwrap_or(path).trim_ascii();
            }
            line.extend_from_slice(b"; ");
            line.extend_from_slice(attribute);
        }
        self.0.insert(name.to_vec(), path.to_vec());
        HeaderValue::from_bytes(&line).ok()
    }

    /// Only the vendor's own cookies out of what a browser sends.
    fn own(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let lines = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let pairs: Vec<&[u8]> = lines.map(<[u8]>::trim_ascii).filter(|pair| self.0.contains_key(name(pair))).collect();
        HeaderValue::from_bytes(&pairs.join(b"; ".as_slice())).ok().filter(|line| !line.is_empty())
    }

    /// What makes a browser forget them.
    pub(super) fn forget(&self, headers: &mut HeaderMap) {
        for (name, path) in &self.0 {
            let line = [name, b"=; Path=".as_slice(), path, b"; Max-Age=0"].concat();
            if let Ok(line) = HeaderValue::from_bytes(&line) {
                headers.append(header::SET_COOKIE, line);
            }
        }
    }
}

fn name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// What the vendor is told of a request that came to `here`, an origin of this machine.
pub(super) fn onward(headers: &HeaderMap, here: &str, there: &str, jar: &Jar) -> HeaderMap {
    let mut onward = passing(headers, |name| {
        let forwarding = FORWARDING.contains(&name) || name.starts_with("x-forwarded-") || name == "via";
        forwarding || matches!(name, "host" | "content-length" | "expect" | "cookie" | "origin" | "referer")
    });
    if let Some(origin) = headers.get(header::ORIGIN) {
        // What a page does not tell, it does not tell the vendor either.
        let value = if origin == here { HeaderValue::from_str(there).ok() } else { Some(HeaderValue::from_static("null")) };
        onward.extend(value.map(|value| (header::ORIGIN, value)));
    }
    let referer = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok()?.strip_prefix(here));
    if let Some(rest) = referer.filter(|rest| rest.is_empty() || rest.starts_with('/'))
        && let Ok(value) = HeaderValue::from_str(&format!("{there}{rest}"))
    {
        onward.insert(header::REFERER, value);
    }
    onward.extend(jar.own(headers).map(|cookies| (header::COOKIE, cookies)));
    onward
}

/// What the browser is told of an answer. `bodiless` keeps the length that the body would have.
pub(super) fn back(headers: &HeaderMap, bodiless: bool, jar: &mut Jar) -> HeaderMap {
    let mut back = passing(headers, |name| {
        matches!(name, "set-cookie" | "alt-svc" | "strict-transport-security") || (name == "content-length" && !bodiless)
    });
    for cookie in headers.get_all(header::SET_COOKIE) {
        back.extend(jar.take(cookie).map(|cookie| (header::SET_COOKIE, cookie)));
    }
    back
}

/// All lines but those for one connection and those that stay behind.
fn passing(headers: &HeaderMap, stays: impl Fn(&str) -> bool) -> HeaderMap {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let named: Vec<&str> = named.map(str::trim).collect();
    let passes = |name: &HeaderName| {
        let name = name.as_str();
        !HOP.contains(&name) && !stays(name) && !named.iter().any(|other| other.eq_ignore_ascii_case(name))
    };
    let mut passing = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| passes(name)) {
        passing.append(name.clone(), value.clone());
    }
    passing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    const HERE: &str = "http://localhost:8080";
    const THERE: &str = "https://login.example";

    #[test]
    fn a_cookie_loses_what_ties_it_to_the_vendors_host() {
        let mut jar = Jar::default();
        let answer = lines(&[
            ("set-cookie", "a=1=2; Domain=login.example; Path=/t; SECURE; HttpOnly; SameSite=None; Partitioned"),
            ("set-cookie", "b=2;secure;samesite=lax ; domain = .login.example;max-age=60"),
            ("set-cookie", "secure=yes; Securely=no"),
        ]);
        let back = back(&answer, false, &mut jar);
        let cookies: Vec<&str> = back.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
        assert_eq!(cookies, ["a=1=2; Path=/t; HttpOnly", "b=2; max-age=60", "secure=yes; Securely=no"]);
        let mut gone = HeaderMap::new();
        jar.forget(&mut gone);
        assert!(gone.get_all("set-cookie").iter().any(|cookie| cookie == "a=; Path=/t; Max-Age=0"), "{gone:?}");
        assert!(gone.get_all("set-cookie").iter().any(|cookie| cookie == "b=; Path=/; Max-Age=0"), "{gone:?}");
    }

    #[test]
    fn the_vendor_sees_no_cookie_of_another_server_on_this_machine() {
        let mut jar = Jar::default();
        back(&lines(&[("set-cookie", "csrf=1; path=/"), ("set-cookie", "trans=2; path=/")]), false, &mut jar);
        let request = lines(&[("cookie", "doorward=session; csrf=1;other=3"), ("cookie", "trans=2")]);
        assert_eq!(onward(&request, HERE, THERE, &jar)["cookie"], "csrf=1; trans=2");
        assert!(!onward(&lines(&[("cookie", "doorward=session")]), HERE, THERE, &jar).contains_key("cookie"));
    }

    #[test]
    fn the_vendor_sees_its_own_name_wherever_the_browser_names_this_machine() {
        let jar = Jar::default();
        let seen = |origin, referer| onward(&lines(&[("origin", origin), ("referer", referer)]), HERE, THERE, &jar);
        let told = seen("http://localhost:8080", "http://localhost:8080/t/page?x=1");
        assert_eq!((&told["origin"], &told["referer"]), (&THERE.parse().unwrap(), &"https://login.example/t/page?x=1".parse().unwrap()));
        let told = seen("null", "http://localhost:80801/t");
        assert_eq!((&told["origin"], told.get("referer")), (&"null".parse().unwrap(), None), "a longer port is another server");
    }

    #[test]
    fn what_is_for_one_connection_stays_behind_both_ways() {
        let headers = lines(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eA=="),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-anything", "x"),
            ("forwarded", "for=1"),
            ("x-real-ip", "10.0.0.1"),
            ("via", "1.1 x"),
            ("host", "localhost:8080"),
            ("accept", "text/html"),
            ("x-csrf-token", "t"),
        ]);
        let names = |headers: &HeaderMap| headers.keys().map(HeaderName::to_string).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(names(&onward(&headers, HERE, THERE, &Jar::default())), ["accept", "x-csrf-token"].map(str::to_owned).into());
        let answer = lines(&[("connection", "x-private"), ("x-private", "1"), ("trailer", "x"), ("content-length", "3"), ("etag", "x")]);
        assert_eq!(names(&back(&answer, false, &mut Jar::default())), ["etag"].map(str::to_owned).into());
        assert_eq!(names(&back(&answer, true, &mut Jar::default())), ["content-length", "etag"].map(str::to_owned).into());
    }
}
