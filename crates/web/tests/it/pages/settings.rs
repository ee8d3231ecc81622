//! The settings page and those behind it.

use super::led_to;
use crate::support::{Answer, Endpoint, House, Reply, says};
use doorward_web::WebConfig;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_added_and_removed_on_the_settings_page() {
    let house = House::new().await;
    house.session().await;
    let wrong = house.form("/settings/sites", "name=Lake&time_zone=Europe/Atlantis").send().await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("This time zone is not known."));
    for zone in ["Europe/Berlin", "Europe/Rome"] {
        assert_eq!(
            led_to(&house.form("/settings/sites", &format!("name=Lake&time_zone={zone}")).send().await),
            "/settings?done=saved#sites"
        );
    }
    assert_eq!(
        led_to(&house.form("/settings/sites/change", "id=lake&name=Lago&time_zone=Europe/Rome").send().await),
        "/settings?done=saved#sites"
    );
    assert!(house.look("/settings").await.text().contains("value=\"Lago\""));
    assert_eq!(led_to(&house.form("/settings/sites/remove", "id=lake_2&name=Lake").send().await), "/settings?done=site_removed#sites");
    assert_eq!(house.form("/settings/sites/remove", "id=lake_2").send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_may_set_is_changed_on_the_settings_page() {
    let settings = [("log.level", "info", "default"), ("store.keep_events", "400", "file")];
    let settings = settings.map(|(path, value, source)| (path.to_owned(), value.to_owned(), source.to_owned())).to_vec();
    let house = House::with(WebConfig { settings, ..WebConfig::default() }).await;
    house.session().await;
    assert_eq!(led_to(&house.form("/settings/config", "path=log.level&value=debug").send().await), "/settings?done=saved_for_start#config");
    let page = house.look("/settings").await;
    assert!(page.text().contains("<option value=\"debug\" selected>") && page.text().contains("Use default"));
    assert_eq!(house.form("/settings/config", "path=log.level&value=loud").send().await.status, 422);
    assert_eq!(house.form("/settings/config", "path=store.keep_events&value=30").send().await.status, 422, "the file sets it");
    led_to(&house.form("/settings/config", "path=log.level&value=debug&reset=yes").send().await);
    assert!(house.look("/settings").await.text().contains("<option value=\"info\" selected>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once() {
    let house = House::new().await;
    house.session().await;
    let none = house.form("/settings/tokens", "name=HA").send().await;
    assert_eq!(none.status, 422, "a token that may do nothing is a mistake");
    let made = house.form("/settings/tokens", "name=HA&doors%3Aread=on&days=30").send().await;
    let secret = made.text().split("value=\"dw_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(house.ask("GET", "/api/v1/doors").token(&format!("dw_{secret}")).send().await.status, 200);
    let settings = house.look("/settings").await;
    assert!(settings.text().contains("doors:read") && !settings.text().contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_added_tested_and_seen_at_work() {
    let (house, mut endpoint) = (House::new().await, Endpoint::start().await);
    house.session().await;
    let _sender = house.send_webhooks();
    assert!(house.look("/settings").await.text().contains("href=\"/webhooks\""));
    assert!(house.look("/webhooks").await.text().contains("No webhooks yet"));

    // A mistake comes back with what was typed; private targets are refused unless they are allowed.
    let typed = format!("name=Home&url={}&door.ring=on&door%3Agate=on", endpoint.url().replace('?', "%3F").replace('=', "%3D"));
    let wrong = house.form("/webhooks/new", &typed).send().await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text().contains("The address must begin with https://") && wrong.text().contains("name=\"door.ring\" value=\"on\" checked")
    );
    let made = house.form("/webhooks/new", &format!("{typed}&allow_private=true")).send().await;
    let secret = |answer: &Answer| answer.text().split("value=\"whsec_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let first = secret(&made);
    let page = house.look("/webhooks/home").await;
    for words in ["Nothing sent yet", "Bell rang", "gate", "In a private network", "A test is not listed"] {
        assert!(page.text().contains(words), "{words}");
    }
    assert!(!page.text().contains(&first) && !house.look("/webhooks").await.text().contains(&first), "it is shown once");

    let tested = house.form("/webhooks/home/test", "").send().await;
    assert!(tested.text().contains("The test was taken: the endpoint answered 204."));
    assert_eq!(endpoint.next().await.json()["type"], "webhook.test");
    endpoint.replies(Reply::Says(500, String::new(), "<b>out of order</b>"));
    assert!(house.form("/webhooks/home/test", "").send().await.text().contains("answered 500: &#60;b&#62;out of order"));
    endpoint.next().await;

    house.after_tries(1, house.ring("gate")).await;
    let message = endpoint.next().await.header("webhook-id").to_owned();
    let page = house.look("/webhooks/home").await;
    for words in ["Trying again", "Bell rang · gate", "1 try, the next one", "in 5 s", "aria-label=\"Send again: Bell rang · gate\""] {
        assert!(page.text().contains(words), "{words}");
    }
    endpoint.replies(says(200));
    let again = house.after_tries(1, house.form("/webhooks/home/retry", &format!("message={message}")).send()).await;
    assert_eq!(led_to(&again), "/webhooks/home?done=webhook_retried");
    assert_eq!(endpoint.next().await.header("webhook-id"), message);
    assert!(house.look("/webhooks/home").await.text().contains("Delivered after 2 tries: answered 200"));
    assert!(house.look("/webhooks").await.text().contains("Working"));

    let rotated = house.form("/webhooks/home/rotate", "").send().await;
    assert_ne!(secret(&rotated), first);
    assert!(house.look("/webhooks/home").await.text().contains("the one before signs along until 24 Nov 12:00"));
    let fields = typed.replace("name=Home", "name=Away").replace("&door.ring=on", "") + "&allow_private=true";
    assert_eq!(led_to(&house.form("/webhooks/home/settings", &fields).send().await), "/webhooks/home?done=saved");
    assert!(house.look("/webhooks/home").await.text().contains("every event"));
    assert_eq!(house.form("/webhooks/home/settings", "name=Away&url=ftp://x/").send().await.status, 422);
    assert_eq!(led_to(&house.form("/webhooks/home/enable", "on=false").send().await), "/webhooks/home?done=webhook_disabled");
    assert!(house.look("/webhooks/home").await.text().contains("What happens meanwhile is not told later."));
    assert_eq!(led_to(&house.form("/webhooks/home/enable", "on=true").send().await), "/webhooks/home?done=webhook_enabled");
    let events = house.look("/events").await;
    for words in ["Ada added webhook home", "Ada made a new secret for webhook home", "Ada disabled webhook home"] {
        assert!(events.text().contains(words), "{words}");
    }
    assert!(house.look("/webhooks/home/remove").await.text().contains("Remove Away?"));
    assert_eq!(led_to(&house.form("/webhooks/home/remove", "").send().await), "/webhooks?done=webhook_removed");
    assert_eq!(house.look("/webhooks/home").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_users_are_added_changed_and_removed_on_the_page() {
    let house = House::with_broker().await;
    house.session().await;
    assert!(house.look("/settings").await.text().contains("href=\"/mqtt\""));
    let page = house.look("/mqtt").await;
    for words in ["Running", "Nobody may connect yet", "Connect Home Assistant", "Nobody tried what they may not"] {
        assert!(page.text().contains(words), "{words}");
    }

    // What is wrong comes back with what was typed.
    let wrong = house.form("/mqtt/users/new", "name=phone&publish=a%2F%23%2Fb&subscribe=").send().await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("a/#/b") && wrong.text().contains("role=\"alert\""));
    let made = house.form("/mqtt/users/new", "name=phone&publish=a%2Fb%0Ac%2F%2B&subscribe=&client_id=").send().await;
    for words in ["How phone connects", "127.0.0.1", "shown this one time"] {
        assert!(made.text().contains(words), "{words}");
    }
    let made = house.form("/mqtt/users/new", "home_assistant=true").send().await;
    assert!(made.text().contains("In Home Assistant: Settings"));
    let page = house.look("/mqtt").await;
    assert!(page.text().contains("Publishes 2 filters, hears nothing") && page.text().contains("It has its user."));
    assert!(!page.text().contains("Connect Home Assistant"));

    assert_eq!(house.form("/mqtt/users/phone", "publish=a%2Fb&subscribe=c%2F%23").send().await.status, 303);
    assert!(house.look("/mqtt?done=saved").await.text().contains("Publishes 1 filter, hears 1 filter"));
    assert!(house.look("/mqtt/users/phone/remove").await.text().contains("Remove the MQTT user phone?"));
    assert_eq!(house.form("/mqtt/users/phone/remove", "").send().await.status, 303);
    let gone = house.look("/mqtt?done=mqtt_user_removed").await;
    assert!(gone.text().contains("The user was removed.") && !gone.text().contains(">phone<"));
    assert_eq!(house.look("/mqtt/users/phone").await.status, 404);
    assert_eq!(house.look("/mqtt/authority.pem").await.status, 404, "no listener uses one");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_the_page_says_so() {
    let house = House::new().await;
    house.session().await;
    let page = house.look("/mqtt").await;
    assert!(page.text().contains("Off") && !page.text().contains("Add user"));
    assert_eq!(house.form("/mqtt/users/new", "name=phone").send().await.status, 422);
}
