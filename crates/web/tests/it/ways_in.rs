//! Passkeys, codes of an authenticator app, and the browsers in which somebody is signed in: without a browser.

use crate::{
    pages::{FORM, led_to, session},
    support::{Answer, Ask, House, Passkey, items},
};
use aws_lc_rs::hmac;
use doorward_engine::Clock;
use doorward_store::EventQuery;
use doorward_web::WebConfig;
use doorward_wire::event::{Event, EventKind};
use serde_json::{Value, json};
use std::time::Duration;

const HERE: &str = "http://localhost:8000";
const PASSWORD: &str = "name=Ada&password=tram+lemon+quartz&next=/events";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

impl House {
    /// What a page at localhost sends by its script.
    fn script(&self, path: &str, body: &Value) -> Ask {
        self.ask("POST", path).header("Host", "localhost:8000").header("Origin", HERE).json(body)
    }

    /// The same of somebody who is signed in.
    fn own_script(&self, path: &str, body: &Value) -> Ask {
        self.script(path, body).header("Cookie", "doorward=the-session").header("X-CSRF-Token", "the-csrf-token")
    }

    /// Somebody who is signed in adds a passkey.
    async fn passkey(&self, id: u8) -> Passkey {
        let asked = self.own_script("/settings/passkeys/begin", &json!({})).send().await.ok(200);
        let (passkey, made) = Passkey::made(&asked, HERE, id);
        let added = self.own_script("/settings/passkeys/finish", &made).send().await.ok(200);
        assert_eq!(added["to"], "/settings?done=passkey_added#you");
        passkey
    }

    /// Begins to sign in with a passkey. Gives what is asked, and the browser’s cookie.
    async fn asked(&self) -> (Value, String) {
        let asked = self.script("/sign-in/passkey/begin", &json!({})).send().await;
        let cookie = asked.header("set-cookie").unwrap().to_owned();
        assert!(cookie.contains("; Path=/sign-in; Max-Age=300; HttpOnly; SameSite=Strict"), "{cookie}");
        (asked.ok(200), cookie.split(';').next().unwrap().to_owned())
    }

    async fn finish(&self, cookie: &str, signed: &Value) -> Answer {
        self.script("/sign-in/passkey/finish", signed).header("Cookie", cookie).send().await
    }

    async fn told(&self, kind: EventKind) -> Vec<Event> {
        let query = EventQuery { after: Some(0), kind: Some(kind), limit: 100, ..Default::default() };
        self.web.house().store().events(&query).await.unwrap()
    }

    async fn me(&self) -> String {
        self.web.house().store().people().await.unwrap()[0].id.clone()
    }

    /// Somebody with a password sets up an authenticator app. Gives its secret and the recovery codes.
    async fn authenticator(&self) -> (Vec<u8>, Vec<String>) {
        let hashed = self.form("/settings/password", "new=tram+lemon+quartz").send().await;
        let data = br#"{"csrf":"the-csrf-token"}"#;
        assert_eq!(led_to(&hashed), "/settings?done=password#you");
        let until = self.clock.now().utc.plus(Duration::from_hours(1));
        self.web.house().store().put_session(b"the-session", Some(&self.me().await), data, until).await.unwrap();
        assert_eq!(led_to(&self.form("/settings/authenticator/begin", "").send().await), "/settings/authenticator");
        let page = self.look("/settings/authenticator").await;
        let typed = page.text().split("<textarea class=\"mono\"").nth(1).unwrap().split(['>', '<']).nth(1).unwrap().to_owned();
        let secret = base32(&typed);
        let wrong = self.form("/settings/authenticator", "code=000000").send().await;
        assert!(wrong.status == 422 && wrong.text().contains(&typed), "the same secret again");
        let code = self.code(&secret);
        let codes = self.form("/settings/authenticator", &format!("code={code}")).send().await;
        assert_eq!(codes.status, 200);
        let codes = codes.text().split("<li>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
        (secret, codes)
    }

    /// What the app shows now.
    fn code(&self, secret: &[u8]) -> String {
        let step = self.clock.now().utc.as_micros() / 30_000_000;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let at = usize::from(tag.as_ref()[19] & 15);
        let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }

    /// A right password. Gives the cookie of whoever is asked for a code.
    async fn half_way(&self) -> String {
        let half = self.ask("POST", "/sign-in").header("User-Agent", FIREFOX).text(FORM, PASSWORD).send().await;
        assert_eq!(led_to(&half), "/sign-in/code");
        session(&half)
    }

    async fn enter(&self, cookie: &str, code: &str) -> Answer {
        self.ask("POST", "/sign-in/code")
            .header("Cookie", cookie)
            .header("User-Agent", FIREFOX)
            .text(FORM, format!("code={code}"))
            .send()
            .await
    }
}

fn base32(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter(u8::is_ascii_alphanumeric).map(|letter| match letter {
        b'a'..=b'z' => letter - b'a',
        digit => digit - b'2' + 26,
    });
    let bits: Vec<u8> = digits.flat_map(|digit| (0..5).rev().map(move |bit| digit >> bit & 1)).collect();
    bits.chunks_exact(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_added_signs_in_without_a_name_and_is_removed() {
    let house = House::new().await;
    house.session().await;
    let mut passkey = house.passkey(1).await;
    let own = house.admin("GET", "/api/v1/people").await.send().await;
    let ada = items(&own).into_iter().find(|person| person["name"] == "Ada").unwrap();
    let all = house.admin("GET", format!("/api/v1/people/{}/export", ada["id"].as_str().unwrap())).await.send().await.ok(200);
    assert_eq!((all["passkeys"].as_array().unwrap().len(), &all["second_factor"]), (1, &Value::Null));
    let (asked, cookie) = house.asked().await;
    assert_eq!((&asked["rpId"], &asked["userVerification"]), (&json!("localhost"), &json!("required")));
    let entered = house.finish(&cookie, &passkey.signs(&asked, HERE)).await;
    let cookies: Vec<_> = entered.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, cookie)| cookie.clone()).collect();
    assert!(cookies[0].contains("HttpOnly; SameSite=Strict") && cookies[1].starts_with("doorward-passkey=; Path=/sign-in; Max-Age=0"));
    assert_eq!(house.ask("GET", "/doors").header("Cookie", session(&entered)).send().await.status, 200);
    assert_eq!(entered.ok(200)["to"], "/events");
    let told = house.told(EventKind::PersonSignedIn).await;
    assert_eq!((told.len(), &told[0].data["how"]), (1, &json!("passkey")));

    let settings = house.look("/settings").await;
    let page = settings.text().split("href=\"/settings/passkeys/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = format!("/settings/passkeys/{page}");
    assert!(settings.text().contains("Key ring") && house.look(&page).await.text().contains("only way in"));
    assert_eq!(house.form(&format!("{page}/remove"), "").send().await.status, 409, "one way in stays");
    assert_eq!(led_to(&house.form(&page, "name=Blue+key").send().await), "/settings?done=passkey_renamed#you");
    assert_eq!(house.form(&page, "name=").send().await.status, 422);
    let ada = house.me().await;
    house.web.house().store().set_password_hash(&ada, Some(&"$argon2id$".into())).await.unwrap();
    assert!(house.look(&page).await.text().contains("sign in with your password"));
    assert_eq!(led_to(&house.form(&format!("{page}/remove"), "").send().await), "/settings?done=passkey_removed#you");
    let (asked, cookie) = house.asked().await;
    let gone = house.finish(&cookie, &passkey.signs(&asked, HERE)).await;
    assert_eq!((gone.status, gone.header("set-cookie")), (422, None));
    let changes: Vec<_> = house.told(EventKind::PersonChanged).await.iter().map(|event| event.data["change"].clone()).collect();
    assert_eq!(changes, ["passkey_added", "passkey_renamed", "passkey_removed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_works_once_in_its_browser_and_for_five_minutes() {
    let house = House::new().await;
    house.session().await;
    let mut passkey = house.passkey(1).await;
    let late = |answer: &Answer| assert!(answer.status == 422 && answer.text().contains("took too long"), "{}", answer.text());

    let (asked, cookie) = house.asked().await;
    let (_, other) = house.asked().await;
    let signed = passkey.signs(&asked, HERE);
    late(&house.finish("doorward-passkey=guessed", &signed).await);
    late(&house.finish("", &signed).await);
    let wrong = house.finish(&other, &signed).await;
    assert!(wrong.status == 422 && wrong.text().contains("not taken"), "the challenge of another browser");
    late(&house.finish(&other, &signed).await);
    assert_eq!(house.finish(&cookie, &signed).await.status, 200);
    late(&house.finish(&cookie, &signed).await);

    let (asked, cookie) = house.asked().await;
    let garbage = house.finish(&cookie, &json!({ "id": "x" })).await;
    assert_eq!(garbage.status, 422);
    late(&house.finish(&cookie, &passkey.signs(&asked, HERE)).await);

    let (asked, cookie) = house.asked().await;
    house.clock.advance(Duration::from_mins(5));
    late(&house.finish(&cookie, &passkey.signs(&asked, HERE)).await);

    let asked = house.own_script("/settings/passkeys/begin", &json!({})).send().await.ok(200);
    assert_eq!(asked["excludeCredentials"].as_array().unwrap().len(), 1);
    let (_, made) = Passkey::made(&asked, HERE, 2);
    assert_eq!(house.own_script("/settings/passkeys/finish", &made).send().await.status, 200);
    late(&house.own_script("/settings/passkeys/finish", &made).send().await);
    let asked = house.own_script("/settings/passkeys/begin", &json!({})).send().await.ok(200);
    let (_, same) = Passkey::made(&asked, HERE, 2);
    assert_eq!(house.own_script("/settings/passkeys/finish", &same).send().await.status, 409, "somebody has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_passkey_is_refused_and_its_owner_hears_of_it() {
    let house = House::new().await;
    house.session().await;
    let mut passkey = house.passkey(1).await;
    for _ in 0..2 {
        let (asked, cookie) = house.asked().await;
        assert_eq!(house.finish(&cookie, &passkey.signs(&asked, HERE)).await.status, 200);
    }
    passkey.signatures = 1;
    let (asked, cookie) = house.asked().await;
    let refused = house.finish(&cookie, &passkey.signs(&asked, HERE)).await;
    assert!(refused.status == 422 && refused.text().contains("copy"), "{}", refused.text());
    let told = house.told(EventKind::PersonRefused).await;
    assert_eq!((told.len(), &told[0].data["why"], told[0].actor.as_ref().unwrap().id.clone()), (1, &json!("counter"), house.me().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_works_where_it_was_made_and_nowhere_else() {
    let house = House::with(WebConfig { hosts: vec!["door.example".into()], ..WebConfig::default() }).await;
    house.session().await;
    let mut passkey = house.passkey(1).await;
    let begin = |host: &str, origin: &str| {
        house.ask("POST", "/sign-in/passkey/begin").header("Host", host).header("Origin", origin).json(&json!({}))
    };
    for host in ["127.0.0.1:8000", "[::1]:8000", "192.168.1.2"] {
        let answer = begin(host, &format!("http://{host}")).send().await;
        assert!(answer.status == 422 && answer.text().contains("no name"), "{host}: {}", answer.text());
    }
    for (host, origin) in [("localhost:8000", "https://evil.example"), ("localhost:8000", "null"), ("evil.example", "https://evil.example")]
    {
        assert_eq!(begin(host, origin).send().await.status, 403, "{origin}");
    }
    for (origin, status) in
        [("https://localhost:8000", 200), ("http://localhost", 422), ("http://localhost:8001", 422), ("https://evil.example", 422)]
    {
        let (asked, cookie) = house.asked().await;
        assert_eq!(house.finish(&cookie, &passkey.signs(&asked, origin)).await.status, status, "{origin}");
    }
    let there = begin("door.example", "https://door.example").send().await;
    let cookie = session(&there);
    let asked = there.ok(200);
    assert_eq!(asked["rpId"], "door.example");
    let signed = passkey.signs(&json!({ "rpId": "localhost", "challenge": asked["challenge"] }), "https://door.example");
    assert_eq!(house.finish(&cookie, &signed).await.status, 422, "made for another name");
    let plain = passkey.signs(&asked, "http://door.example");
    assert_eq!(house.finish(&cookie, &plain).await.status, 422);
    assert!(!house.ask("GET", "/sign-in").send().await.text().contains("passkey"), "an address of numbers offers none");
    let page = house.ask("GET", "/sign-in").header("Host", "localhost:8000").send().await;
    assert!(page.text().contains("id=\"passkey-in\"") && page.text().contains("/assets/passkey.js"));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_a_passkey_is_for_the_public_name() {
    let proxies = vec!["127.0.0.1".parse().unwrap()];
    let house = House::with(WebConfig { public_url: Some("https://doors.example:8443/".into()), proxies, ..WebConfig::default() }).await;
    let begin = house.ask("POST", "/sign-in/passkey/begin").header("Origin", "https://doors.example:8443").json(&json!({}));
    let begin = begin.header("X-Forwarded-For", "192.0.2.7").header("X-Forwarded-Proto", "https").send().await;
    assert!(begin.header("set-cookie").unwrap().ends_with("; Secure"));
    assert_eq!(begin.ok(200)["rpId"], "doors.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_script_asks_is_json_and_comes_from_our_own_page() {
    let house = House::new().await;
    house.session().await;
    for path in ["/sign-in/passkey/begin", "/sign-in/passkey/finish", "/settings/passkeys/begin", "/settings/passkeys/finish"] {
        let ask = || house.ask("POST", path).header("Host", "localhost:8000").header("Cookie", "doorward=the-session");
        let csrf = || ask().header("X-CSRF-Token", "the-csrf-token");
        assert_eq!(csrf().text(FORM, "{}").send().await.status, 415, "{path}");
        let large = json!({ "id": "x".repeat(20_000) });
        assert_eq!(csrf().json(&large).send().await.status, 413, "{path}");
        if path.starts_with("/settings") {
            let made = json!({ "name": "x", "clientDataJSON": "", "attestationObject": "" });
            let body = if path.ends_with("begin") { json!({}) } else { made };
            assert_eq!(ask().json(&body).send().await.status, 403, "{path}");
            assert_eq!(ask().header("X-CSRF-Token", "guessed").json(&body).send().await.status, 403, "{path}");
            let nobody = house.ask("POST", path).header("X-Live", "1").json(&body).send().await;
            assert_eq!(nobody.status, 401, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_right_password_a_code_is_asked_for_and_works_once() {
    let house = House::new().await;
    house.session().await;
    let (secret, codes) = house.authenticator().await;
    assert_eq!(codes.len(), 10);
    assert!(house.look("/settings").await.text().contains("10 recovery codes are left"));

    let wrong = house.ask("POST", "/sign-in").text(FORM, "name=Ada&password=something+else").send().await;
    assert_eq!(wrong.status, 422, "a wrong password is told before any code is asked for");
    let half = house.half_way().await;
    assert_eq!(led_to(&house.ask("GET", "/doors").header("Cookie", &half).send().await), "/sign-in", "half way is not in");
    assert!(house.ask("GET", "/sign-in/code").header("Cookie", &half).send().await.text().contains("one-time-code"));
    assert_eq!(led_to(&house.ask("GET", "/sign-in/code").send().await), "/sign-in");
    let used = house.enter(&half, &house.code(&secret)).await;
    assert!(used.status == 422 && used.text().contains("used before"), "the code that confirmed it");

    house.clock.advance(Duration::from_secs(30));
    let entered = house.enter(&half, &house.code(&secret)).await;
    assert_eq!(led_to(&entered), "/events");
    assert_eq!(house.ask("GET", "/doors").header("Cookie", session(&entered)).send().await.status, 200);
    assert_eq!(house.enter(&half, &house.code(&secret)).await.status, 422, "half way once");
    let half = house.half_way().await;
    assert_eq!(house.enter(&half, &house.code(&secret)).await.status, 422, "each code once");
    let recovered = house.enter(&half, &codes[0].to_uppercase()).await;
    assert_eq!(led_to(&recovered), "/events");
    let how: Vec<_> = house.told(EventKind::PersonSignedIn).await.iter().map(|event| event.data["how"].clone()).collect();
    assert_eq!(how, ["totp", "recovery_code"]);
    assert!(house.told(EventKind::PersonRefused).await.iter().any(|event| event.data["how"] == "totp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_wrong_codes_and_after_five_minutes_none_is_looked_at() {
    let house = House::new().await;
    house.session().await;
    let (secret, codes) = house.authenticator().await;
    house.clock.advance(Duration::from_mins(1));
    let half = house.half_way().await;
    for _ in 0..5 {
        assert_eq!(house.enter(&half, "000000").await.status, 422);
    }
    let blocked = house.enter(&half, &house.code(&secret)).await;
    assert!(blocked.status == 429 && blocked.text().contains("Too many tries"), "{}", blocked.text());
    house.clock.advance(Duration::from_mins(15));
    let late = house.enter(&half, &house.code(&secret)).await;
    assert!(late.status == 422 && late.text().contains("took too long") && late.text().contains("name=\"password\""));
    let half = house.half_way().await;
    house.web.house().store().set_password_hash(&house.me().await, Some(&"$argon2id$other".into())).await.unwrap();
    let other = house.enter(&half, &codes[1]).await;
    assert!(other.status == 422 && other.text().contains("took too long"), "the password was right and is so no longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_ask_for_no_code_and_turning_it_off_asks_for_proof() {
    let house = House::new().await;
    house.session().await;
    let (secret, _) = house.authenticator().await;
    let link = house.web.house().store().add_link(&house.me().await, house.clock.now().utc.plus(Duration::from_mins(15))).await.unwrap();
    let entered = house.ask("POST", format!("/link/{}", link.reveal())).text(FORM, "password=").send().await;
    assert_eq!(led_to(&entered), "/doors");
    assert_eq!(house.told(EventKind::PersonSignedIn).await[0].data["how"], "link");

    assert!(house.look("/settings/authenticator/off").await.text().contains("name=\"proof\""));
    assert_eq!(house.form("/settings/authenticator/off", "proof=something+else").send().await.status, 422);
    house.clock.advance(Duration::from_secs(30));
    let off = house.form("/settings/authenticator/off", &format!("proof={}", house.code(&secret))).send().await;
    assert_eq!(led_to(&off), "/settings?done=factor_removed#you");
    let plain = house.ask("POST", "/sign-in").text(FORM, PASSWORD).send().await;
    assert_eq!(led_to(&plain), "/events", "the password alone");
    assert_eq!(led_to(&house.form("/settings/authenticator/begin", "").send().await), "/settings/authenticator");
    let begun = house.look("/settings").await;
    assert!(begun.text().contains("authenticator/begin"), "what was not confirmed does not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_listed_and_signed_out_one_by_one() {
    let house = House::new().await;
    house.session().await;
    house.form("/settings/password", "new=tram+lemon+quartz").header("User-Agent", "curl/8").send().await;
    let browser = || async { session(&house.ask("POST", "/sign-in").header("User-Agent", FIREFOX).text(FORM, PASSWORD).send().await) };
    let (one, other) = (browser().await, browser().await);
    house.clock.advance(Duration::from_mins(3));
    let look = |cookie: &str| house.ask("GET", "/settings").header("Cookie", cookie).send();
    let page = look(&one).await;
    assert_eq!(
        (page.text().matches("Firefox on Linux").count(), page.text().matches("This browser").count()),
        (4, 1),
        "with labels and the name"
    );
    let csrf = page.text().split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let end = |id: &str| {
        let ask = house.ask("POST", "/settings/sessions/end").header("Cookie", &one);
        ask.text(FORM, format!("csrf={csrf}&session={id}")).send()
    };
    let list = house.web.house().store().sessions_of(&house.me().await, house.clock.now().utc).await.unwrap();
    let first = list.iter().position(|session| session.seen == Some(house.clock.now().utc)).unwrap();
    assert_eq!(first, 0, "the one used last");
    let there = list.iter().skip(1).find(|session| session.browser.as_deref() == Some("Firefox on Linux")).unwrap();
    assert_eq!(led_to(&end(&there.id).await), "/settings?done=browser_out#you");
    assert_eq!(end(&there.id).await.status, 404);
    assert_eq!(led_to(&house.ask("GET", "/doors").header("Cookie", &other).send().await), "/sign-in");
    let mine = end(&list[0].id).await;
    assert!(led_to(&mine).starts_with("/sign-in") && mine.header("set-cookie").unwrap().starts_with("doorward=;"));
    assert_eq!(led_to(&house.ask("GET", "/doors").header("Cookie", &one).send().await), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_helps_whoever_lost_their_ways_in() {
    let house = House::new().await;
    house.session().await;
    house.passkey(1).await;
    house.authenticator().await;
    let id = house.me().await;
    let path = |rest: &str| format!("/api/v1/people/{id}/{rest}");
    for scopes in [&["people"][..], &["config"]] {
        let token = house.token(scopes).await;
        for rest in ["passkeys", "totp", "sessions"] {
            house.ask("GET", path(rest)).token(&token).send().await.problem(403);
        }
        house.ask("DELETE", path("totp")).token(&token).send().await.problem(403);
    }
    let passkeys = items(&house.admin("GET", path("passkeys")).await.send().await);
    assert_eq!(
        (&passkeys[0]["name"], &passkeys[0]["rp_id"], &passkeys[0]["last_used"]),
        (&json!("Key ring"), &json!("localhost"), &Value::Null)
    );
    let gone = path(&format!("passkeys/{}", passkeys[0]["id"].as_str().unwrap()));
    assert_eq!(house.admin("DELETE", gone.clone()).await.send().await.status, 204);
    house.admin("DELETE", gone).await.send().await.problem(404);
    let totp = house.admin("GET", path("totp")).await.send().await.ok(200);
    assert_eq!(totp["recovery_codes"], 10);
    assert_eq!(house.admin("DELETE", path("totp")).await.send().await.status, 204);
    house.admin("DELETE", path("totp")).await.send().await.problem(404);
    assert_eq!(house.admin("GET", path("totp")).await.send().await.ok(200)["since"], Value::Null);
    let sessions = items(&house.admin("GET", path("sessions")).await.send().await);
    assert_eq!(sessions.len(), 2);
    for session in &sessions {
        let gone = path(&format!("sessions/{}", session["id"].as_str().unwrap()));
        assert_eq!(house.admin("DELETE", gone).await.send().await.status, 204);
    }
    assert_eq!(led_to(&house.look("/doors").await), "/sign-in");
    house.admin("GET", "/api/v1/people/nobody/passkeys").await.send().await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_about_ways_in_without_its_token_changes_nothing() {
    let house = House::new().await;
    house.session().await;
    house.passkey(1).await;
    house.authenticator().await;
    let passkey = house.web.house().store().passkeys(&house.me().await).await.unwrap().remove(0).id;
    let forms = [
        (format!("/settings/passkeys/{passkey}"), "name=Mallory"),
        (format!("/settings/passkeys/{passkey}/remove"), ""),
        ("/settings/authenticator/begin".into(), ""),
        ("/settings/authenticator".into(), "code=1"),
        ("/settings/authenticator/off".into(), "proof=tram+lemon+quartz"),
        ("/settings/sessions/end".into(), "session=x"),
    ];
    for (path, fields) in forms {
        for csrf in ["", "wrong"] {
            let ask = house.ask("POST", &path).header("Cookie", "doorward=the-session").text(FORM, format!("csrf={csrf}&{fields}"));
            let answer = ask.send().await;
            assert!(answer.status == 403 && answer.text().starts_with("<!doctype html>"), "{path}: {}", answer.text());
        }
    }
    let store = house.web.house().store();
    assert_eq!(store.passkeys(&house.me().await).await.unwrap()[0].key.name, "Key ring");
    assert!(store.second_factor(&house.me().await).await.unwrap().is_some());
}
