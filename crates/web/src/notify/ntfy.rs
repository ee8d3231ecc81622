//! ntfy: a message is posted to a topic, with what goes around it in headers (ntfy's documentation, “Publishing”).

use super::{
    Outcome,
    message::{Message, Urgency},
};
use crate::{
    Web,
    outward::{Said, Target},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use doorward_core::Secret;
use doorward_wire::notify::NotifyKind;

/// Bytes of a word that are encoded at once: with what stands around it a word has 75 characters at most (RFC 2047).
const WORD: usize = 45;

/// A topic of an ntfy server.
#[derive(Clone)]
pub struct Ntfy {
    topic: Target,
    token: Option<Secret<String>>,
}

impl Ntfy {
    /// Whoever knows the topic can listen, so nobody is shown its address.
    pub const fn new(topic: Target, token: Option<Secret<String>>) -> Self {
        Self { topic, token }
    }

    /// The server, which may be shown.
    pub fn host(&self) -> &str {
        self.topic.host()
    }
}

impl std::fmt::Debug for Ntfy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ntfy").field("host", &self.host()).finish_non_exhaustive()
    }
}

/// Posts a message.
pub(super) async fn send(web: &Web, ntfy: &Ntfy, message: &Message) -> Outcome {
    let Some(headers) = headers(ntfy, message, message.link(web).as_deref()) else {
        return Outcome::Never("its token cannot be used: it must be one line of ASCII letters, digits and signs".into());
    };
    let outward = &web.config().notify.outward;
    match outward.post(web.house().clock().as_ref(), &ntfy.topic, headers, message.text.clone().into_bytes()).await {
        Ok(said) => answered(&said),
        Err(unsaid) => Outcome::again(unsaid.to_string()),
    }
}

fn answered(said: &Said) -> Outcome {
    match said.status {
        200..=299 => Outcome::Taken,
        300..=399 => Outcome::Never(format!("answered {}; redirects are not followed", said.status)),
        401 | 403 => Outcome::Never(format!("answered {}: the token is wrong, or may not publish to this topic", said.status)),
        400 | 404 | 413 => Outcome::Never(format!("answered {}: it does not take messages there", said.status)),
        status => Outcome::Again { error: format!("answered {status}"), wait: said.retry_after },
    }
}

fn headers(ntfy: &Ntfy, message: &Message, link: Option<&str>) -> Option<HeaderMap> {
    let own = |name: &'static str, value: &str| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?));
    let mut headers = vec![
        own("title", &encoded(&message.title))?,
        own("priority", priority(message))?,
        own("tags", tag(message.kind))?,
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
    ];
    if let Some(link) = link {
        headers.push(own("click", link)?);
    }
    if let Some(token) = &ntfy.token {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal())).ok()?;
        value.set_sensitive(true);
        headers.push((header::AUTHORIZATION, value));
    }
    Some(headers.into_iter().collect())
}

const fn priority(message: &Message) -> &'static str {
    match message.urgency() {
        Urgency::High => "high",
        Urgency::Normal => "default",
        Urgency::Low => "low",
    }
}

/// Words that ntfy shows as pictures.
const fn tag(kind: Option<NotifyKind>) -> &'static str {
    match kind {
        Some(NotifyKind::Ring) => "bell",
        Some(NotifyKind::Jam | NotifyKind::Contradiction | NotifyKind::Duress) => "rotating_light",
        Some(NotifyKind::Battery) => "battery",
        Some(NotifyKind::SignIn) => "key",
        Some(NotifyKind::Offline) => "electric_plug",
        None => "white_check_mark",
    }
}

/// A text as the value of a header: as it is when it is plain, and else in words of RFC 2047, which ntfy reads.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if text.bytes().all(plain) && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for letter in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + letter.len_utf8() <= WORD => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    words.iter().map(|word| format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode(word))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_title_is_a_header_whatever_it_holds() {
        assert_eq!(encoded("Ring at Front door"), "Ring at Front door");
        assert_eq!(encoded("Haustür"), "=?UTF-8?B?SGF1c3TDvHI=?=");
        assert_eq!(encoded("a\r\nb: c"), "=?UTF-8?B?YQ0KYjogYw==?=");
        assert_eq!(encoded("=?UTF-8?B?eA==?="), "=?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=", "what looks encoded is not taken for it");
        let long = encoded(&"ü".repeat(60));
        assert!(long.split(' ').count() == 3 && long.split(' ').all(|word| word.len() <= 75), "{long}");
    }
}
