//! `[notify]`

use super::{
    http::list,
    keys::{Keys, Kind},
};
use doorward_core::Secret;
use doorward_web::{
    notify::{Mail, Mailbox, Ntfy, Settings, mailbox, quiet::QuietHours},
    outward::{Outward, Target},
};
use doorward_wire::notify::NotifyKind;
use reqwest::Certificate;
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// A mail server, as `notify.smtp` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    implicit: bool,
    user: Option<String>,
    host: String,
    port: u16,
}

/// Reads the section; times are in this time zone.
pub(super) fn read(keys: &mut Keys, time_zone: &str) -> Settings {
    let mut section = keys.section("notify", "What people are told, by ntfy and mail. Browsers turn it on themselves, under Settings.");
    let topic = section.value(
        "ntfy",
        Kind::Secret,
        "",
        "A topic of an ntfy server, such as https://ntfy.sh/a-name-that-nobody-guesses; http:// only in a private network. Who knows it can listen.",
        topic,
    );
    let token = section.value("ntfy_token", Kind::Secret, "", "The access token for that topic.", secret);
    let place = section.value(
        "smtp",
        Kind::Text,
        "",
        "A mail server: smtps://user@host:465, or smtp://user@host:587, which must offer STARTTLS.",
        place,
    );
    let password = section.value("smtp_password", Kind::Secret, "", "The password at the mail server.", secret);
    let from = section.value("mail_from", Kind::Text, "", "From whom mail is, such as doorward@example.org.", |text| {
        if text.is_empty() { Ok(None) } else { mailbox(text).map(Some) }
    });
    let to = section.value("mail_to", Kind::List, "", "For whom mail is.", |text| {
        list(text).iter().map(|one| mailbox(one)).collect::<Result<Vec<_>, _>>()
    });
    let authorities = section.value(
        "ca_file",
        Kind::Text,
        "",
        "PEM file with authorities that a private ntfy or mail server's certificate may come from, beside the public ones.",
        authorities,
    );
    let kinds = section.value(
        "kinds",
        Kind::List,
        "ring,jam,contradiction,duress,battery,sign_in",
        "What people are told of: ring, jam, contradiction, duress, battery, sign_in, offline.",
        kinds,
    );
    let quiet =
        section.value("quiet_hours", Kind::Text, "", "When people are left alone, such as 22:00-07:00, in server.time_zone.", |text| {
            if text.is_empty() { Ok(None) } else { text.parse::<QuietHours>().map(Some) }
        });
    let quiet_kinds = section.value(
        "quiet_kinds",
        Kind::List,
        "ring,jam,contradiction,duress",
        "What comes through in quiet hours; the rest waits for their end.",
        kinds_of,
    );
    let mail = mail(keys, place, password, from, to, &authorities);
    if topic.is_none() && token.is_some() {
        keys.mistake("notify.ntfy_token", "it belongs to a topic: set notify.ntfy");
    }
    Settings {
        kinds,
        quiet,
        quiet_kinds,
        zone: jiff::tz::TimeZone::get(time_zone).unwrap_or(jiff::tz::TimeZone::UTC),
        ntfy: topic.map(|topic| Ntfy::new(topic, token)),
        mail,
        outward: Outward::trusting(authorities.iter().filter_map(|der| Certificate::from_der(der).ok()).collect()),
    }
}

/// What belongs together for mail, or mistakes.
fn mail(
    keys: &mut Keys,
    place: Option<Place>,
    password: Option<Secret<String>>,
    from: Option<Mailbox>,
    to: Vec<Mailbox>,
    authorities: &[Vec<u8>],
) -> Option<Mail> {
    let Some(Place { implicit, user, host, port }) = place else {
        if password.is_some() {
            keys.mistake("notify.smtp_password", "it belongs to a mail server: set notify.smtp");
        }
        return None;
    };
    if from.is_none() {
        keys.mistake("notify.mail_from", "a mail server needs to be told from whom mail is, such as doorward@example.org");
    }
    if to.is_empty() {
        keys.mistake("notify.mail_to", "name at least one mail address");
    }
    let user = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => {
            keys.mistake("notify.smtp_password", "notify.smtp names a user, so their password is needed");
            None
        }
        (None, Some(_)) => {
            keys.mistake("notify.smtp", "there is a password, so name the user: smtps://user@host:465");
            None
        }
    };
    Some(Mail { host, port, implicit, user, from: from?, to, authorities: authorities.to_vec() })
}

fn topic(text: &str) -> Result<Option<Target>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    // Whoever may write this file may name what is in the house.
    let target = Target::parse(text, true).map_err(|error| format!("it {error}"))?;
    let path = target.path();
    if path.len() < 2 || path[1..].trim_end_matches('/').contains('/') {
        return Err("it must name a topic: https://ntfy.example.org/topic".into());
    }
    Ok(Some(target))
}

#[expect(clippy::unnecessary_wraps, reason = "as a key's parser")]
fn secret(text: &str) -> Result<Option<Secret<String>>, String> {
    Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
}

fn place(text: &str) -> Result<Option<Place>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || "it must look like smtps://user@host:465 or smtp://user@host:587".to_owned();
    let (implicit, rest) = match text.split_once("://") {
        Some(("smtps", rest)) => (true, rest),
        Some(("smtp", rest)) => (false, rest),
        _ => return Err(wrong()),
    };
    // Of mail addresses as user names there are many, so the last @ is the one.
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => return Err("leave the password out and set notify.smtp_password".into()),
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, rest),
    };
    let place = place.trim_end_matches('/');
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (place, if implicit { 465 } else { 587 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.contains(['/', '?', '#', ' ']) || port == 0 || user.as_ref().is_some_and(String::is_empty) {
        return Err(wrong());
    }
    Ok(Some(Place { implicit, user, host: host.into(), port }))
}

/// The certificates of a PEM file, as DER.
fn authorities(file: &str) -> Result<Vec<Vec<u8>>, String> {
    if file.is_empty() {
        return Ok(Vec::new());
    }
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| format!("{file} cannot be read: {error}"))?.collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found.iter().map(|der| der.to_vec()).collect()),
        Ok(_) | Err(_) => Err(format!("{file} holds no certificate; it must be a PEM file")),
    }
}

fn kinds(text: &str) -> Result<Vec<NotifyKind>, String> {
    match kinds_of(text)? {
        none if none.is_empty() => Err("name at least one kind; for no notifications leave notify.ntfy and notify.smtp empty".into()),
        kinds => Ok(kinds),
    }
}

fn kinds_of(text: &str) -> Result<Vec<NotifyKind>, String> {
    let kind = |word: &String| {
        let words = NotifyKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        word.parse().map_err(|_| format!("“{word}” is none of {words}"))
    };
    list(text).iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use doorward_web::notify::{URGENT, USUAL};

    fn settings(file: &str) -> Result<Settings, Vec<String>> {
        let sources = Sources { file: file.parse().unwrap(), ..Sources::default() };
        let config = Config::read(&sources, crate::drivers::TABLE);
        config.map(|config| config.notify).map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.key).collect())
    }

    #[test]
    fn nothing_is_told_by_default_and_the_usual_things_are() {
        let settings = settings("").unwrap();
        assert!(settings.ntfy.is_none() && settings.mail.is_none() && settings.quiet.is_none());
        assert_eq!((settings.kinds, settings.quiet_kinds), (USUAL.to_vec(), URGENT.to_vec()));
    }

    #[test]
    fn a_mail_server_has_an_address_and_a_user() {
        let at = |implicit, user: Option<&str>, host: &str, port| {
            Ok(Some(Place { implicit, user: user.map(Into::into), host: host.into(), port }))
        };
        assert_eq!(place(""), Ok(None));
        assert_eq!(place("smtps://mail.example.org"), at(true, None, "mail.example.org", 465));
        assert_eq!(place("smtp://ada@example.org@mail.example.org:2525/"), at(false, Some("ada@example.org"), "mail.example.org", 2525));
        assert_eq!(place("smtp://[::1]"), at(false, None, "::1", 587));
        assert!(place("smtps://ada:secret@mail.example.org").unwrap_err().contains("smtp_password"));
        for wrong in ["mail.example.org", "http://mail", "smtps://", "smtps://@mail", "smtps://mail:x", "smtps://mail/x", "smtp://mail:0"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_topic_is_named_and_in_private_networks_may_be_plain() {
        for right in ["https://ntfy.sh/my-doors", "http://192.168.1.2:8080/doors", "https://192.168.1.2/doors/", "http://ntfy.lan/doors"] {
            topic(right).unwrap_or_else(|error| panic!("{right}: {error}"));
        }
        for wrong in [
            "https://ntfy.sh",
            "https://ntfy.sh/",
            "https://ntfy.sh/a/b",
            "http://8.8.8.8/doors",
            "https://a:b@ntfy.sh/doors",
            "ntfy.sh/doors",
        ] {
            assert!(topic(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let wrong = r#"
            [notify]
            ntfy = "nowhere"
            smtp = "smtps://ada@mail.example.org"
            mail_to = ["nobody"]
            ca_file = "/nowhere.pem"
            kinds = ["ring", "earthquake"]
            quiet_hours = "at night"
            quiet_kinds = ["all"]
        "#;
        let mistakes = settings(wrong).unwrap_err();
        for key in ["ntfy", "smtp_password", "mail_from", "mail_to", "ca_file", "kinds", "quiet_hours", "quiet_kinds"] {
            assert!(mistakes.contains(&format!("notify.{key}")), "{key} is missing in {mistakes:?}");
        }
        assert_eq!(
            settings("[notify]\nntfy_token = 'tk_x'\nsmtp_password = 'x'\nkinds = []").unwrap_err(),
            ["notify.kinds", "notify.smtp_password", "notify.ntfy_token"]
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let file = "[notify]\nntfy = 'https://ntfy.sh/hunter1'\nntfy_token = 'hunter2'\nsmtp = 'smtps://ada@mail.example.org'\nsmtp_password = 'hunter3'\n\
                    mail_from = 'doorward@example.org'\nmail_to = ['ada@example.org']\nquiet_hours = '22:00-07:00'";
        let sources = Sources { file: file.parse().unwrap(), ..Sources::default() };
        let config = Config::read(&sources, crate::drivers::TABLE).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("mail.example.org") && !shown.contains("hunter"), "{shown}");
        let mut keys = Keys::new(&sources);
        read(&mut keys, "Europe/Berlin");
        assert!(keys.shown.iter().any(|(key, value, _)| key == "notify.ntfy" && value == "(set)"));
    }
}
