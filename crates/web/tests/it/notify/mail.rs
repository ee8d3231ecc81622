//! Mail: sealed on its way, and not sent again for nothing.

use super::{SECOND, house, mail};
use crate::support::MailServer;
use doorward_web::notify::{Mail, Settings};
use doorward_wire::event::EventKind;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_handed_over_by_tls_from_the_first_byte_and_by_starttls() {
    for implicit in [true, false] {
        let mut server = MailServer::start(implicit).await;
        let house = house(Settings { mail: Some(mail(&server, implicit)), ..Settings::default() }).await;
        house.begun("notify mail").await;
        house.happens(EventKind::DoorBattery, "front").await;
        let handed = server.next().await;
        assert!(handed.sealed);
        assert_eq!(handed.user, "AGRvb3IAaHVudGVyMw==", "AUTH PLAIN");
        assert!(handed.from.contains("<doorward@example.org>"), "{}", handed.from);
        assert!(handed.to[0].contains("<ada@example.org>") && handed.to[1].contains("<bob@example.org>"), "{:?}", handed.to);
        assert_eq!(handed.header("Date"), "Mon, 23 Nov 2026 12:00:00 +0000");
        assert_eq!(handed.header("Auto-Submitted"), "auto-generated");
        assert!(handed.header("Message-ID").ends_with(".doorward@example.org>"), "{}", handed.data);
        assert!(handed.header("Subject").starts_with("Battery of "), "{}", handed.data);
        assert!(handed.data.contains("https://doors.example/doors/front"), "{}", handed.data);
        assert!(handed.data.contains("9 %") || handed.data.contains("9=20%"), "{}", handed.data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_and_no_password_goes_out_without_tls() {
    let mut server = MailServer::start(false).await;
    server.without_tls();
    let with = |mail: Mail| Settings { mail: Some(mail), ..Settings::default() };
    let house = house(with(mail(&server, false))).await;
    let tested = house.test_channel("mail").await;
    assert_eq!(tested[0]["taken"], false, "{tested:?}");

    let trusted = MailServer::start(true).await;
    let stranger = Mail { authorities: Vec::new(), ..mail(&trusted, true) };
    let house = self::house(with(stranger)).await;
    let tested = house.test_channel("mail").await;
    assert!(tested[0]["error"].as_str().unwrap().contains("certificate"), "{tested:?}");
    assert!(server.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mail_server_refuses_for_good_is_not_repeated() {
    let mut server = MailServer::start(true).await;
    let house = house(Settings { mail: Some(mail(&server, true)), ..Settings::default() }).await;
    house.begun("notify mail").await;
    server.answers(451);
    house.after_notifications(1, house.happens(EventKind::DoorJammed, "front")).await;
    server.next().await;
    server.answers(554);
    house.after_notifications(1, async { house.clock.advance(5 * SECOND) }).await;
    server.next().await;
    let channel = house.channels().await[2].clone();
    assert_eq!((&channel["channel"], &channel["pending"]), (&json!("mail"), &json!(0)), "{channel}");
    assert!(channel["last_error"].as_str().unwrap().contains("554"), "{channel}");
}
