//! What a key may be used for: its scopes, read once, so that what they say is what is checked.

use doorward_core::scope::Scope;
use doorward_http::destination::{Reach, is_private_name, reach};
use doorward_wire::{
    door::DoorId,
    topic::{Filter, Rights},
    tunnel::{Scopes, Service},
};
use reqwest::{Method, Url};
use std::net::IpAddr;

/// Entries of one kind that a key may have.
const ENTRIES: usize = 100;

/// Why scopes cannot be taken. `Display` names the field and says what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {hint}")]
pub struct ScopeError {
    /// `http`, `mqtt_publish`, …
    pub field: &'static str,
    /// What would do.
    pub hint: String,
}

/// What a key may be used for.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    services: Vec<Service>,
    http: Vec<Destination>,
    publish: Rights,
    subscribe: Rights,
    brokers: Vec<(String, u16)>,
    doors: Doors,
}

#[derive(Debug, Clone, Default)]
enum Doors {
    #[default]
    None,
    All,
    These(Vec<DoorId>),
}

/// Where requests may go.
#[derive(Debug, Clone)]
struct Destination {
    /// Every method when empty.
    methods: Vec<Method>,
    /// Also addresses that are not on the internet, under a name that is.
    private: bool,
    scheme: String,
    /// Any host on the internet when absent.
    host: Option<String>,
    port: u16,
    prefix: String,
}

/// How far a request may go, its destination being allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// To the internet.
    Internet,
    /// Also to private networks.
    Network,
    /// To the very address that was named, wherever it is.
    Named,
}

impl Allowed {
    /// Reads scopes.
    pub fn read(scopes: &Scopes) -> Result<Self, ScopeError> {
        let wrong = |field| move |hint| ScopeError { field, hint };
        let lists = [
            ("http", scopes.http.len()),
            ("mqtt_publish", scopes.mqtt_publish.len()),
            ("mqtt_subscribe", scopes.mqtt_subscribe.len()),
            ("brokers", scopes.brokers.len()),
            ("doors", scopes.doors.len()),
        ];
        if let Some((field, _)) = lists.into_iter().find(|(_, entries)| *entries > ENTRIES) {
            return Err(wrong(field)(format!("at most {ENTRIES} entries")));
        }
        let rights = |field, filters: &[String]| {
            let filter = |text: &String| text.parse::<Filter>().map_err(|error| wrong(field)(format!("“{text}” {error}")));
            filters.iter().map(filter).collect::<Result<_, _>>().map(Rights::new)
        };
        Ok(Self {
            services: scopes.services.clone(),
            http: scopes.http.iter().map(|text| Destination::read(text)).collect::<Result<_, _>>().map_err(wrong("http"))?,
            publish: rights("mqtt_publish", &scopes.mqtt_publish)?,
            subscribe: rights("mqtt_subscribe", &scopes.mqtt_subscribe)?,
            brokers: scopes.brokers.iter().map(|text| broker(text)).collect::<Result<_, _>>().map_err(wrong("brokers"))?,
            doors: Doors::read(&scopes.doors).map_err(wrong("doors"))?,
        })
    }

    /// Whether a service may be used.
    pub fn service(&self, service: Service) -> bool {
        self.services.contains(&service)
    }

    /// Whether a message may be published at a topic.
    pub fn publish(&self, topic: &str) -> bool {
        self.publish.allow_topic(topic)
    }

    /// Whether a filter may be subscribed to.
    pub fn subscribe(&self, filter: &Filter) -> bool {
        self.subscribe.allow_filter(filter)
    }

    /// Whether a broker beside the house's own may be named.
    pub fn broker(&self, host: &str, port: u16) -> bool {
        self.brokers.iter().any(|(own, at)| own.eq_ignore_ascii_case(host) && *at == port)
    }

    /// What the key may do at doors.
    pub fn doors(&self) -> doorward_core::policy::Rights {
        let scopes = match &self.doors {
            Doors::None => Vec::new(),
            Doors::All => vec![Scope::DoorsAct(None)],
            Doors::These(doors) => doors.iter().cloned().map(Some).map(Scope::DoorsAct).collect(),
        };
        Scope::rights(&scopes)
    }

    /// How far a request to this address may go; `None` when it may not be sent at all.
    pub fn http(&self, method: &Method, url: &Url) -> Option<Leave> {
        self.http.iter().filter_map(|destination| destination.leave(method, url)).max()
    }
}

impl Doors {
    fn read(doors: &[String]) -> Result<Self, String> {
        match doors {
            [] => Ok(Self::None),
            _ if doors.iter().any(|door| door == "*") => Ok(Self::All),
            _ => {
                let door = |text: &String| text.parse().map_err(|_| format!("“{text}” is neither the id of a door nor “*”"));
                doors.iter().map(door).collect::<Result<_, _>>().map(Self::These)
            }
        }
    }
}

/// A broker, as `host:port`.
pub fn broker(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("“{text}” is not a broker such as 192.168.1.5:1883");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port.parse().map_err(|_| wrong())?))
}

impl Destination {
    /// `GET,POST private https://host:8443/prefix`; methods and `private` may be left out.
    fn read(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("“{text}” {why}; write such as https://example.org/api or GET,POST http://192.168.1.20:8123/api");
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let address = words.pop().ok_or_else(|| wrong("names no address"))?;
        let private = words.last() == Some(&"private");
        if private {
            words.pop();
        }
        let methods = match words.as_slice() {
            [] => Vec::new(),
            [list] => list.split(',').map(method).collect::<Option<_>>().ok_or_else(|| wrong("names a method that is none"))?,
            _ => return Err(wrong("has too many words")),
        };
        // A host that stands for all of them is none that an address can have.
        let any = address.split_once("://").is_some_and(|(_, rest)| rest == "*" || rest.starts_with("*/") || rest.starts_with("*:"));
        let url = Url::parse(&if any { address.replacen('*', "any.invalid", 1) } else { address.to_owned() });
        let url = url.map_err(|_| wrong("is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("begins with neither http:// nor https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("holds more than scheme, host, port and path"));
        }
        if any && private {
            return Err(wrong("would open every private network"));
        }
        let host = url.host_str().ok_or_else(|| wrong("names no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| wrong("names no port"))?;
        let (scheme, prefix) = (url.scheme().to_owned(), url.path().to_owned());
        Ok(Self { methods, private, scheme, host: (!any).then_some(host), port, prefix })
    }

    fn leave(&self, method: &Method, url: &Url) -> Option<Leave> {
        let host = url.host_str()?;
        let fits = (self.methods.is_empty() || self.methods.contains(method))
            && self.scheme == url.scheme()
            && url.port_or_known_default() == Some(self.port)
            && self.host.as_ref().is_none_or(|own| own == host)
            && is_below(&self.prefix, url.path());
        if !fits {
            return None;
        }
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        match (&self.host, literal) {
            (Some(_), Some(_)) => Some(Leave::Named),
            (Some(name), None) if name == "localhost" => Some(Leave::Named),
            (Some(name), None) if self.private || is_private_name(name) => Some(Leave::Network),
            (None, Some(address)) if reach(address) != Reach::Public => None,
            (Some(_) | None, _) => Some(Leave::Internet),
        }
    }
}

/// A method that may be relayed.
pub(crate) fn method(text: &str) -> Option<Method> {
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
    known.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text))
}

/// Whether a path lies below a prefix, level by level. What some servers read as another slash is not taken there.
pub(crate) fn is_below(prefix: &str, path: &str) -> bool {
    let open = prefix.trim_end_matches('/');
    if open.is_empty() {
        return true;
    }
    let lower = path.to_ascii_lowercase();
    let hidden = lower.contains("%2f") || lower.contains("%5c") || lower.contains('\\') || lower.contains("%00");
    let below = path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    // `//` and what `%2e` stands for was resolved by the parser of addresses; `/..;/` is resolved by some servers.
    below && !hidden && !path.contains("..") && !lower.contains("%2e")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(http: &[&str]) -> Allowed {
        Allowed::read(&Scopes { http: http.iter().map(|text| (*text).to_owned()).collect(), ..Scopes::default() }).unwrap()
    }

    fn get(allowed: &Allowed, url: &str) -> Option<Leave> {
        allowed.http(&Method::GET, &Url::parse(url).unwrap())
    }

    #[test]
    fn nothing_is_allowed_that_is_not_named() {
        let none = Allowed::read(&Scopes::default()).unwrap();
        assert!(Service::ALL.iter().all(|service| !none.service(*service)));
        assert!(!none.publish("a") && !none.subscribe(&"a".parse().unwrap()) && !none.broker("localhost", 1883));
        assert_eq!(get(&none, "https://example.org/"), None);
        assert!(!none.doors().sees(&"front".parse().unwrap(), "home", doorward_wire::Time::default()));
    }

    #[test]
    fn a_destination_is_scheme_host_port_prefix_and_methods() {
        let one = allowed(&["GET,PUT https://example.org/api"]);
        assert_eq!(get(&one, "https://example.org/api"), Some(Leave::Internet));
        assert_eq!(get(&one, "https://EXAMPLE.org:443/api/states?x=1"), Some(Leave::Internet));
        assert_eq!(one.http(&Method::POST, &Url::parse("https://example.org/api").unwrap()), None);
        for other in [
            "http://example.org/api",
            "https://example.org:8443/api",
            "https://example.org/apix",
            "https://example.org/",
            "https://sub.example.org/api",
            "https://example.org.evil.example/api",
            "https://example.org@evil.example/api",
        ] {
            assert_eq!(get(&one, other), None, "{other}");
        }
    }

    #[test]
    fn a_path_does_not_climb_out_of_its_prefix() {
        let one = allowed(&["https://example.org/api/public"]);
        for climbing in ["/../admin", "/%2e%2e/admin", "/..%2fadmin", "/..%5cadmin", "/..;/admin", "\\..\\admin", "/%00"] {
            let url = format!("https://example.org/api/public{climbing}");
            let taken = get(&one, &url);
            let path = Url::parse(&url).unwrap().path().to_owned();
            assert_eq!(taken, None, "{climbing} became {path}");
        }
        assert_eq!(get(&one, "https://example.org/api/public/a%20b"), Some(Leave::Internet));
    }

    #[test]
    fn how_far_a_request_goes_is_what_its_entry_says() {
        let leave = |entry: &str, url: &str| get(&allowed(&[entry]), url);
        assert_eq!(leave("http://192.168.1.20:8123", "http://192.168.1.20:8123/api"), Some(Leave::Named));
        assert_eq!(leave("http://127.0.0.1:80", "http://127.0.0.1/"), Some(Leave::Named));
        assert_eq!(leave("http://[::1]:80", "http://[::1]/"), Some(Leave::Named));
        assert_eq!(leave("http://localhost:80", "http://localhost/"), Some(Leave::Named));
        assert_eq!(leave("http://nas.local", "http://nas.local/"), Some(Leave::Network));
        assert_eq!(leave("http://nas", "http://nas/"), Some(Leave::Network));
        assert_eq!(leave("private https://ha.example.org", "https://ha.example.org/"), Some(Leave::Network));
        assert_eq!(leave("https://ha.example.org", "https://ha.example.org/"), Some(Leave::Internet));
        assert_eq!(leave("https://*", "https://anything.example/"), Some(Leave::Internet));
        assert_eq!(leave("https://*", "https://8.8.8.8/"), Some(Leave::Internet));
        for inside in ["https://127.0.0.1/", "https://2130706433/", "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/", "https://0/"]
        {
            assert_eq!(leave("https://*", inside), None, "{inside}");
        }
        assert_eq!(leave("http://127.0.0.1:80", "http://127.0.0.2/"), None);
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_told() {
        let http = |text: &str| Allowed::read(&Scopes { http: vec![text.into()], ..Scopes::default() }).unwrap_err().to_string();
        for (text, word) in [
            ("", "names no address"),
            ("example.org", "is no address"),
            ("ftp://example.org", "neither http"),
            ("https://ada:pw@example.org", "holds more"),
            ("https://example.org/?a=1", "holds more"),
            ("EXPLODE https://example.org", "a method that is none"),
            ("GET POST https://example.org", "too many words"),
            ("private https://*", "every private network"),
        ] {
            assert!(http(text).contains(word), "{text}: {}", http(text));
        }
        let broker = |text: &str| Allowed::read(&Scopes { brokers: vec![text.into()], ..Scopes::default() });
        assert!(broker("192.168.1.5:1883").unwrap().broker("192.168.1.5", 1883));
        for wrong in ["", "host", "host:x", ":1883", "mqtt://host:1883"] {
            assert!(broker(wrong).is_err(), "{wrong}");
        }
        let doors = Allowed::read(&Scopes { doors: vec!["Not A Door".into()], ..Scopes::default() });
        assert!(doors.unwrap_err().to_string().contains("Not A Door"));
        let many = Scopes { doors: vec!["a".into(); ENTRIES + 1], ..Scopes::default() };
        assert!(Allowed::read(&many).unwrap_err().to_string().contains("at most 100"));
    }
}
