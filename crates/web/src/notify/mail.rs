//! Mail: a message is handed to a mail server, over TLS in any case (RFC 5321, RFC 3207, RFC 8314).

use super::{Outcome, message::Message};
use crate::{
    Web,
    outward::{WHOLE, until},
};
use doorward_core::Secret;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message as Letter, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::{
    error::Error,
    time::{Duration, SystemTime},
};

/// Where mail is handed over, from whom it is and for whom.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The server's name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS from the first byte; else after `STARTTLS`.
    pub implicit: bool,
    /// Who doorward is there.
    pub user: Option<(String, Secret<String>)>,
    /// From whom it is.
    pub from: Mailbox,
    /// For whom it is.
    pub to: Vec<Mailbox>,
    /// Authorities beside Mozilla's, as DER.
    pub authorities: Vec<Vec<u8>>,
}

/// Reads an address such as `ada@example.org` or `Ada <ada@example.org>`.
pub fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.trim().parse().map_err(|_| format!("“{text}” is not a mail address such as ada@example.org"))
}

/// Hands a message over.
pub(super) async fn send(web: &Web, mail: &Mail, message: &Message) -> Outcome {
    let (letter, transport) = match (letter(web, mail, message), transport(mail)) {
        (Ok(letter), Ok(transport)) => (letter, transport),
        (Err(error), _) | (_, Err(error)) => return Outcome::Never(error),
    };
    let clock = web.house().clock();
    let end = clock.now().mono.plus(WHOLE);
    match until(clock.as_ref(), end, transport.send(letter)).await {
        None => Outcome::again(format!("no answer within {} s", WHOLE.as_secs())),
        Some(Ok(_)) => Outcome::Taken,
        Some(Err(error)) if error.is_permanent() => Outcome::Never(without(mail, said(&error))),
        Some(Err(error)) => Outcome::again(without(mail, said(&error))),
    }
}

fn transport(mail: &Mail) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err("this program was started without cryptography".into());
    }
    let no_tls = |error: lettre::transport::smtp::Error| format!("no TLS: {}", said(&error));
    let mut tls = TlsParameters::builder(mail.host.clone());
    for authority in &mail.authorities {
        tls = tls.add_root_certificate(Certificate::from_der(authority.clone()).map_err(no_tls)?);
    }
    let tls = tls.build_rustls().map_err(no_tls)?;
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
        .port(mail.port)
        // Never without TLS: a server that does not offer it is not spoken to any further.
        .tls(if mail.implicit { Tls::Wrapper(tls) } else { Tls::Required(tls) })
        .hello_name(ClientId::Domain(mail.from.email.domain().to_owned()))
        .timeout(Some(WHOLE));
    let builder = match &mail.user {
        Some((user, password)) => builder.credentials(Credentials::new(user.clone(), password.reveal().clone())),
        None => builder,
    };
    Ok(builder.build())
}

fn letter(web: &Web, mail: &Mail, message: &Message) -> Result<Letter, String> {
    let since = u64::try_from(message.time.as_micros()).unwrap_or_default();
    let text = match message.link(web) {
        Some(link) => format!("{}\r\n\r\n{link}\r\n", message.text),
        None => format!("{}\r\n", message.text),
    };
    let builder = Letter::builder()
        .from(mail.from.clone())
        .subject(message.title.clone())
        .date(SystemTime::UNIX_EPOCH + Duration::from_micros(since))
        .message_id(Some(format!("<{}.doorward@{}>", message.id, mail.from.email.domain())))
        // Nobody's absence note answers this (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()))
        .header(ContentType::TEXT_PLAIN);
    let builder = mail.to.iter().cloned().fold(builder, lettre::message::MessageBuilder::to);
    builder.body(text).map_err(|error| format!("no mail can be written: {error}"))
}

/// Some servers repeat what they were given.
fn without(mail: &Mail, text: String) -> String {
    match &mail.user {
        Some((_, password)) if !password.reveal().is_empty() => text.replace(password.reveal(), "…"),
        Some(_) | None => text,
    }
}

/// What a server or a connection said, on one short line.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
