//! Pages as a browser uses them: with cookies and forms, and without a script.

mod settings;
mod sign_in;

use crate::support::{Answer, Ask, House};
use doorward_web::WebConfig;
use std::{sync::Arc, time::Duration};

const PAGES: [&str; 22] = [
    "/doors",
    "/doors/front/access",
    "/people",
    "/passes",
    "/passes/new",
    "/doors/front",
    "/doors/front/codes",
    "/accounts",
    "/accounts/new",
    "/accounts/home",
    "/accounts/home/set-up",
    "/events",
    "/rings",
    "/settings",
    "/notifications",
    "/webhooks",
    "/webhooks/new",
    "/fleet",
    "/fleet/provision",
    "/fleet/firmware",
    "/fleet/rollouts",
    "/fleet/A1B2C3D4E5F6",
];
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

impl House {
    pub(crate) async fn look(&self, path: &str) -> Answer {
        self.ask("GET", path).header("Cookie", "doorward=the-session").send().await
    }

    pub(crate) fn form(&self, path: &str, fields: &str) -> Ask {
        self.ask("POST", path).header("Cookie", "doorward=the-session").text(FORM, format!("csrf=the-csrf-token&{fields}"))
    }

    async fn link(&self, name: &str) -> String {
        let (store, now) = (self.web.house().store(), self.web.house().now().utc);
        let person = store.add_person(name, "administrator", now).await.unwrap();
        let secret = store.add_link(&person.id, now.plus(Duration::from_mins(15))).await.unwrap();
        format!("/link/{}", secret.reveal())
    }
}

#[track_caller]
pub(crate) fn led_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("location").unwrap()
}

pub(crate) fn session(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_a_page_without_signing_in() {
    let house = House::new().await;
    for page in PAGES.into_iter().chain(["/settings/logs"]) {
        let answer = house.ask("GET", page).send().await;
        let next = if page == "/doors" { "/sign-in".to_owned() } else { format!("/sign-in?next={page}") };
        assert_eq!(led_to(&answer), next);
        assert!(!answer.text().contains("Front"));
    }
    let token = house.token(&["admin"]).await;
    assert_eq!(led_to(&house.ask("GET", "/doors").token(&token).send().await), "/sign-in", "a token is for programs");
    assert_eq!(house.ask("GET", "/live?view=doors").send().await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_no_inline_code_and_are_not_kept() {
    let house = House::new().await;
    house.session().await;
    for page in PAGES.into_iter().chain(["/settings/logs", "/sign-in", "/link/x"]) {
        let answer = house.look(page).await;
        if page == "/sign-in" {
            assert_eq!(led_to(&answer), "/doors", "who is signed in need not sign in");
            continue;
        }
        assert_eq!(answer.status, 200, "{page}: {}", answer.text());
        let text = answer.text();
        assert!(text.starts_with("<!doctype html>") && text.contains("<html lang=\"en\">"), "{page}");
        for inline in [" style=", "<style", "<script>", " onclick", " onload", "javascript:"] {
            assert!(!text.contains(inline), "{page} holds {inline}");
        }
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{page}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "or forms come with `Origin: null`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_has_a_title_one_heading_its_policy_and_a_token_in_every_form() {
    let house = House::new().await;
    house.session().await;
    for page in PAGES {
        let answer = house.look(page).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"), "{page}: {policy}");
        let text = answer.text();
        let title = text.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
        assert!(title.len() > " · doorward".len() && title.ends_with(" · doorward"), "{page}: {title}");
        assert_eq!(text.matches("<h1").count(), 1, "{page}");
        let forms = text.split("<form").skip(1).map(|rest| rest.split_once("</form>").unwrap().0);
        let mut posts = forms.filter(|form| form.split_once('>').unwrap().0.contains("method=\"post\"")).peekable();
        assert!(posts.peek().is_some(), "{page}: one can always sign out");
        for form in posts {
            assert!(form.contains("name=\"csrf\" value=\"the-csrf-token\""), "{page}: {form}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_token_changes_nothing() {
    let house = House::new().await;
    house.session().await;
    let id = uuid::Uuid::from_u128(1);
    let ring = house.rings("gate", "call-1").await.id;
    let ring = (format!("/rings/{ring}/ignore"), format!("/rings/{ring}/answer"));
    let forms = [
        ("/doors/front/actions", format!("action=unlock&id={id}")),
        ("/doors/front/codes/delete", "code=1".into()),
        ("/doors/front/codes/change", "code=1&name=Mallory".into()),
        ("/accounts/home/push", String::new()),
        ("/settings/sites", "name=x&time_zone=UTC".into()),
        ("/settings/config", "path=log.level&value=trace".into()),
        ("/settings/sites/change", "id=home&name=x&time_zone=UTC".into()),
        ("/settings/sites/remove", "id=home".into()),
        ("/accounts/home/remove", String::new()),
        ("/accounts/home/renew", "lease=oauth".into()),
        ("/accounts/home/sign-in", String::new()),
        ("/accounts/home/sign-in/finish", "pasted=x".into()),
        ("/accounts/home/set-up", "plant=p-1".into()),
        ("/accounts/home/forget", "gateway=x".into()),
        ("/accounts/home/trust", "sha256=00".into()),
        ("/accounts/home/export", String::new()),
        ("/accounts/home/settings", "_name=x&access_key=y".into()),
        ("/people", "name=Mallory&role=administrator".into()),
        ("/people/groups", "name=Mallory".into()),
        ("/people/groups/x", "name=Mallory".into()),
        ("/people/x", "name=Mallory&role=administrator".into()),
        ("/people/x/link", String::new()),
        ("/people/x/rights", "door%3A%2A=on".into()),
        ("/people/x/rights/y/take-back", String::new()),
        ("/people/x/sessions", String::new()),
        ("/people/x/erase", String::new()),
        ("/passes/new", "for=4h&door%3A%2A=on".into()),
        ("/passes/x", "name=x&door%3A%2A=on".into()),
        ("/passes/x/extend", "by=1w".into()),
        ("/passes/x/revoke", String::new()),
        ("/passes/x/remove", String::new()),
        ("/settings/tokens", "name=x&admin=on".into()),
        ("/settings/sessions", String::new()),
        ("/notifications/test", "channel=ntfy".into()),
        ("/webhooks/new", "name=x&url=https://hooks.example/".into()),
        ("/webhooks/x/settings", "name=x&url=https://hooks.example/".into()),
        ("/webhooks/x/test", String::new()),
        ("/webhooks/x/rotate", String::new()),
        ("/webhooks/x/enable", "on=true".into()),
        ("/webhooks/x/retry", "message=msg_1".into()),
        ("/webhooks/x/remove", String::new()),
        (&ring.0, String::new()),
        (&ring.1, String::new()),
        ("/sign-out", String::new()),
    ];
    for (path, fields) in forms {
        for csrf in ["", "wrong"] {
            let ask = house.ask("POST", path).header("Cookie", "doorward=the-session").text(FORM, format!("csrf={csrf}&{fields}"));
            let answer = ask.send().await;
            assert_eq!(answer.status, 403, "{path}: {}", answer.text());
            assert!(answer.text().starts_with("<!doctype html>"), "errors of pages are pages");
        }
    }
    assert_eq!(house.moves().await, Vec::<String>::new());
    assert_eq!(house.web.house().board().ringing().len(), 1, "it still rings");
    assert_eq!(house.look("/doors").await.status, 200, "the session stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_asks_the_door_once() {
    let house = House::new().await;
    house.session().await;
    let id = uuid::Uuid::from_u128(2);
    let fields = format!("action=unlock&id={id}");
    let first = house.form("/doors/front/actions", &fields).send().await;
    let to = led_to(&first).to_owned();
    assert_eq!(to, format!("/doors/front?attempt={id}#attempt"));
    assert_eq!(led_to(&house.form("/doors/front/actions", &fields).send().await), to);
    house.until(|house| house.web.house().board().attempt(id).is_some_and(|attempt| attempt.state.is_final())).await;
    assert_eq!(house.moves().await, ["front unlock"]);
    let page = house.look(to.trim_end_matches("#attempt")).await;
    for words in ["Confirmed unlocked (answered by the lock)", "Accepted by Vendor", "Unlock by you", "id=\"attempt\""] {
        assert!(page.text().contains(words), "{words}");
    }
    assert!(!page.text().contains("http-equiv=\"refresh\""), "nothing is waited for any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_script_looks_again_while_a_door_moves() {
    let house = House::new().await;
    house.session().await;
    let id = uuid::Uuid::from_u128(3);
    led_to(&house.form("/doors/gate/actions", &format!("action=unlock&id={id}")).send().await);
    for page in ["/doors", "/doors/gate"] {
        let text = house.look(page).await;
        assert!(text.text().contains("<noscript><meta http-equiv=\"refresh\" content=\"2;url=/doors"), "{page}");
        assert!(text.text().contains("Unlocking…"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_told_to_whoever_asked() {
    let house = House::new().await;
    house.session().await;
    let id = uuid::Uuid::from_u128(4);
    let fields = format!("action=open&id={id}");
    let fragment = house.form("/doors/front/actions", &fields).header("X-Live", "doors").send().await;
    assert_eq!(fragment.status, 200);
    assert!(fragment.text().trim_start().starts_with("<article") && fragment.text().contains("Refused"));
    let to = led_to(&house.form("/doors/front/actions", &fields).send().await).to_owned();
    assert!(house.look(to.trim_end_matches("#attempt")).await.text().contains("This door cannot open."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_what_changes_and_ends_with_its_session() {
    let house = Arc::new(House::new().await);
    house.session().await;
    let stream = house.ask("GET", "/live?view=door:front&after=0").header("Cookie", "doorward=the-session");
    let reading = tokio::spawn(stream.send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let id = uuid::Uuid::from_u128(5);
    led_to(&house.form("/doors/front/actions", &format!("action=unlock&id={id}")).send().await);
    house.until(|house| house.web.house().board().attempt(id).is_some_and(|attempt| attempt.state.is_final())).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(led_to(&house.form("/sign-out", "").send().await), "/sign-in?done=signed_out");
    house.clock.advance(Duration::from_millis(1100));
    let told = tokio::time::timeout(Duration::from_secs(5), reading).await.expect("the stream ends").unwrap();
    let text = told.text();
    assert_eq!(told.header("content-type"), Some("text/event-stream"));
    for words in ["event: patch", "id=\"door-front\"", "Ada unlocked front – confirmed", "id=\"facts\"", "event: bye"] {
        assert!(text.contains(words), "{words}");
    }
    assert_eq!(led_to(&house.look("/doors").await), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_cannot_become_code() {
    let house = House::new().await;
    house.session().await;
    let name = "%3Cscript%3Ealert(1)%3C/script%3E";
    let added = house.form("/accounts/new", &format!("_kind=utec&_name={name}&access_key=a&secret_key=s3cret")).send().await;
    let account = led_to(&added).split('?').next().unwrap().to_owned();
    for page in ["/accounts", &account, "/events", "/doors"] {
        let text = house.look(page).await;
        assert!(!text.text().contains("<script>") && !text.text().contains("s3cret"), "{page}");
    }
    assert!(house.look(&account).await.text().contains("&#60;script&#62;alert(1)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_with_a_mistake_come_back_with_what_was_typed() {
    let house = House::new().await;
    house.session().await;
    let answer = house.form("/accounts/new", "_kind=utec&_name=Shop&access_key=&base_url=https://typed.example").send().await;
    // The scripted vendor takes an empty key; what it refuses is a key that is not there, which a form cannot leave out.
    assert_eq!(answer.status, 303);
    let wrong = house.form("/accounts/new", "_kind=utec&_name=+&access_key=a&base_url=https://typed.example").send().await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("A name has 1 to 60 characters") && wrong.text().contains("https://typed.example"));
    assert_eq!(house.form("/accounts/new", "_kind=nothing&_name=x").send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_an_account_in_keeps_the_vendors_address_nowhere() {
    let house = House::new().await;
    house.session().await;
    let account = format!("/accounts/{}", house.account);
    let started = house.form(&format!("{account}/sign-in"), "").send().await;
    assert!(started.text().contains("href=\"https://oauth.example/authorize?state=1\""));
    assert!(!house.look(&account).await.text().contains("oauth.example"));
    let finished = house.form(&format!("{account}/sign-in/finish"), "pasted=https://x.example/?code=1").send().await;
    assert_eq!(led_to(&finished), format!("{account}/set-up?done=account_signed_in"), "there is something to choose");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_changed_without_being_typed_again() {
    let house = House::new().await;
    house.session().await;
    let list = house.look("/doors/front/codes").await;
    assert!(list.text().contains("href=\"/doors/front/codes/change?code=1\" aria-label=\"Change the code of Guest\""));
    let form = house.look("/doors/front/codes/change?code=1").await;
    assert!(form.text().contains("value=\"Guest\"") && form.text().contains("Leave it empty to keep the PIN as it is."));
    let same = house.form("/doors/front/codes/change", "code=1&name=Guest&pin=&kind=normal").send().await;
    assert_eq!(led_to(&same), "/doors/front/codes?done=code_changed");
    assert_eq!(house.moves().await, Vec::<String>::new(), "nothing was changed, so nothing is asked of the lock");
    led_to(&house.form("/doors/front/codes/change", "code=1&name=Grace&pin=4711&kind=normal").send().await);
    assert_eq!(house.moves().await, ["code 1: name Some(\"Grace\"), pin true, kind None"]);
    assert_eq!(house.look("/doors/front/codes/change?code=2").await.status, 404);
    let wrong = house.form("/doors/front/codes/change", "code=1&name=Grace&uses=many&kind=temporary").send().await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("The number of uses is a whole number.") && wrong.text().contains("value=\"Grace\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_are_registered_where_a_public_address_is_known() {
    let house = House::new().await;
    house.session().await;
    let account = format!("/accounts/{}", house.account);
    assert!(house.look(&account).await.text().contains("Set http.public_url"));
    assert_eq!(house.form(&format!("{account}/push"), "").send().await.status, 422);

    let house = House::with(WebConfig { public_url: Some("https://doors.example".into()), ..WebConfig::default() }).await;
    house.session().await;
    assert!(house.look(&account).await.text().contains("Register for pushes"));
    assert_eq!(led_to(&house.form(&format!("{account}/push"), "").send().await), format!("{account}?done=push_registered"));
    house.until(|house| house.web.house().board().standing(&house.account).is_some_and(|standing| standing.push.registered)).await;
    let page = house.look(&account).await;
    assert!(page.text().contains("Registered; none has come yet") && page.text().contains("Register again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_is_a_page_and_under_api_a_problem() {
    let house = House::new().await;
    let page = house.ask("GET", "/nowhere").send().await;
    assert_eq!(page.status, 404);
    assert!(page.text().contains("There is no such page"));
    house.session().await;
    assert!(house.look("/doors/nowhere").await.text().contains("aria-label=\"Main\""), "the way back is there");
    assert_eq!(house.look("/doors/nowhere").await.status, 404);
    assert_eq!(house.look("/doors/Not%20An%20Id").await.status, 404);
    house.ask("GET", "/api/v1/nowhere").send().await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_kept_under_the_name_of_their_content() {
    let house = House::new().await;
    let page = house.ask("GET", "/sign-in").send().await;
    let style = page
        .text()
        .split("href=\"")
        .find_map(|rest| rest.starts_with("/assets/style.css").then(|| rest.split('"').next()))
        .flatten()
        .unwrap();
    let kept = house.ask("GET", style).send().await;
    assert_eq!(kept.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(kept.header("content-type"), Some("text/css; charset=utf-8"));
    let old = house.ask("GET", "/assets/style.css?v=0").send().await;
    assert_eq!((old.status, old.header("cache-control")), (200, Some("no-cache")));
}
