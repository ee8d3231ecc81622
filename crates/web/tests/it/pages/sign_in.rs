//! How a browser gets in: links, passwords, and who is kept out.

use super::{FORM, led_to, session};
use crate::support::{Ask, House};
use doorward_web::WebConfig;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_once_and_looking_at_it_does_not_use_it_up() {
    let house = House::new().await;
    let link = house.link("Grace").await;
    for _ in 0..3 {
        let preview = house.ask("GET", &link).send().await;
        assert_eq!((preview.status, preview.header("set-cookie")), (200, None));
    }
    let weak = house.ask("POST", &link).text(FORM, "password=short").send().await;
    assert_eq!(weak.status, 422, "a weak password does not cost the link");

    let entered = house.ask("POST", &link).text(FORM, "password=tram+lemon+quartz").send().await;
    assert_eq!(led_to(&entered), "/doors");
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && cookie.contains("; Path=/;") && !cookie.contains("Secure"), "{cookie}");
    assert_eq!(house.ask("GET", "/doors").header("Cookie", session(&entered)).send().await.status, 200);

    let again = house.ask("POST", &link).text(FORM, "password=").send().await;
    assert_eq!((again.status, again.header("set-cookie")), (410, None));
    let password =
        house.ask("POST", "/sign-in").text(FORM, "name=grace&password=tram+lemon+quartz&next=/events?kind=door.locked").send().await;
    assert_eq!(led_to(&password), "/events?kind=door.locked");
    let away = house.ask("POST", "/sign-in").text(FORM, "name=Grace&password=tram+lemon+quartz&next=//evil.example").send().await;
    assert_eq!(led_to(&away), "/doors");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_and_a_wrong_password_get_the_same_answer() {
    let house = House::new().await;
    let link = house.link("Grace").await;
    house.ask("POST", &link).text(FORM, "password=tram+lemon+quartz").send().await;
    let answer = |name: &'static str| {
        let ask = house.ask("POST", "/sign-in").text(FORM, format!("name={name}&password=something+else"));
        async move { ask.send().await }
    };
    let (known, unknown) = (answer("Grace").await, answer("Edsel").await);
    assert_eq!((known.status, unknown.status), (422, 422));
    assert_eq!(known.text().replace("Grace", "*"), unknown.text().replace("Edsel", "*"));
    // A slow machine may give some tries back in between.
    let mut many = answer("Grace").await;
    for _ in 0..40 {
        if many.status == 429 {
            break;
        }
        many = answer("Grace").await;
    }
    assert_eq!(many.status, 429);
    assert!(many.text().contains("Too many tries"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_taken_where_others_can_read_it() {
    let far = |house: &House| house.ask("POST", "/sign-in").header("X-Forwarded-For", "192.0.2.7").text(FORM, "name=a&password=b");
    let strict = far(&House::new().await).send().await;
    assert_eq!(strict.status, 403);
    assert!(strict.text().contains("not encrypted") && !strict.text().contains("type=\"password\""));
    let house = House::with(WebConfig { allow_plain: true, ..WebConfig::default() }).await;
    assert_eq!(far(&house).send().await.status, 422, "asked, and not right");
    let proxied = House::with(WebConfig { proxies: vec!["127.0.0.1".parse().unwrap()], ..WebConfig::default() }).await;
    let link = proxied.link("Grace").await;
    let sealed = |ask: Ask| ask.header("X-Forwarded-For", "192.0.2.7").header("X-Forwarded-Proto", "https");
    let entered = sealed(proxied.ask("POST", &link).text(FORM, "password=")).send().await;
    assert!(entered.header("set-cookie").unwrap().ends_with("; Secure"), "over TLS the cookie stays there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_puts_every_other_browser_out() {
    let house = House::new().await;
    house.session().await;
    let changed = house.form("/settings/password", "new=tram+lemon+quartz").send().await;
    assert_eq!(led_to(&changed), "/settings?done=password#you");
    assert_eq!(led_to(&house.look("/doors").await), "/sign-in", "the old session has ended");
    let mine = session(&changed);
    let settings = house.ask("GET", "/settings").header("Cookie", &mine).send().await;
    assert!(settings.text().contains("Password now"), "from now on the old one is asked for");
    let csrf = settings.text().split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = format!("csrf={csrf}&now=wrong&new=another+good+one");
    let wrong = house.ask("POST", "/settings/password").header("Cookie", &mine).text(FORM, form).send().await;
    assert_eq!(wrong.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_from_another_site_ends_signed_in() {
    let house = House::new().await;
    let hop = house.ask("GET", "/doors/front").header("Sec-Fetch-Site", "cross-site").send().await;
    assert_eq!(hop.status, 200, "the strict cookie comes along when our own page leads on");
    assert!(hop.text().contains("content=\"0;url=/doors/front\""));
}
