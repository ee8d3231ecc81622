//! Where the vendor sends the browser: to its app, which is doorward's turn, or elsewhere.

use super::{REDIRECT, STATE, TENANT, assert_own, port, proxy, raw, sends};
use crate::{browser::Browser, upstream::Upstream};
use http_body_util::Full;
use hyper::Response;
use reqwest::StatusCode;
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn every_redirect_to_the_app_is_taken() {
    let upstream = Upstream::redirecting().await;
    for status in ["301", "302", "303", "307", "308"] {
        let proxy = proxy(&upstream.base()).await;
        let url = sends(&proxy, &format!("{REDIRECT}?state={STATE}&code=C"));
        let line = format!("GET {}?{}", url.path(), url.query().unwrap());
        let host = format!("localhost:{}", port(&proxy));
        let answer = raw(port(&proxy), &format!("{line} HTTP/1.1\r\nhost: {host}\r\nx-status: {status}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Signed in"), "{answer}");
        assert_eq!(proxy.callback().await.unwrap().url.reveal(), &format!("{REDIRECT}?state={STATE}&code=C"));
    }
}

#[tokio::test]
async fn a_redirect_to_a_look_alike_of_the_app_gives_doorward_nothing() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let mut browser = Browser::new();
    for to in [".evil", "s", "@evil", ":1", "/more"].map(|more| format!("{REDIRECT}{more}?state={STATE}&code=EVIL")) {
        let page = browser.open(&sends(&proxy, &to)).await;
        assert_eq!((page.status, page.location()), (StatusCode::FOUND, to.as_str()), "as it was");
    }
    browser.open(&sends(&proxy, &format!("{REDIRECT}?state={STATE}&code=GOOD"))).await;
    assert!(proxy.callback().await.unwrap().url.reveal().ends_with("code=GOOD"));
}

#[tokio::test]
async fn the_redirect_of_another_sign_in_is_refused_and_ends_nothing() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let mut browser = Browser::new();
    for query in [
        "?code=EVIL".to_owned(),
        "?state=&code=EVIL".into(),
        "?state=another&code=EVIL".into(),
        format!("?state={STATE}x&code=EVIL"),
        format!("?state={STATE}&state={STATE}&code=EVIL"),
        "?state=another&error=access_denied".into(),
        format!("#state={STATE}&code=EVIL"),
        format!("?state={STATE}"),
        format!("?state={STATE}&code="),
        String::new(),
    ] {
        let page = browser.open(&sends(&proxy, &format!("{REDIRECT}{query}"))).await;
        assert_own(&page, StatusCode::BAD_REQUEST, "It is not the one that doorward waits for.");
    }
    let page = browser.open(&sends(&proxy, &format!("{REDIRECT}?state={STATE}&code=GOOD"))).await;
    assert_own(&page, StatusCode::OK, "Signed in");
    assert!(proxy.callback().await.unwrap().url.reveal().ends_with("code=GOOD"));
}

#[tokio::test]
async fn a_second_redirect_changes_nothing() {
    let (late, now) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrived, released) = (Arc::clone(&late), Arc::clone(&now));
    let upstream = Upstream::start(move |request| {
        let (arrived, released) = (Arc::clone(&arrived), Arc::clone(&released));
        async move {
            let second = request.uri().path().ends_with("second");
            if second {
                arrived.notify_one();
                released.notified().await;
            }
            let code = if second { "SECOND" } else { "FIRST" };
            let to = format!("{REDIRECT}?state={STATE}&code={code}");
            Response::builder().status(302).header("location", to).body(Full::default()).unwrap()
        }
    })
    .await;
    let proxy = proxy(&upstream.base()).await;
    let url = |name: &str| proxy.url().join(&format!("/{TENANT}/{name}")).unwrap();
    let (first, second) = (url("first"), url("second"));
    let second = tokio::spawn(async move { Browser::new().open(&second).await });
    late.notified().await;
    assert_own(&Browser::new().open(&first).await, StatusCode::OK, "Signed in");
    now.notify_one();
    assert_own(&second.await.unwrap(), StatusCode::CONFLICT, "This sign-in is over");
    assert!(proxy.callback().await.unwrap().url.reveal().ends_with("code=FIRST"));
}

#[tokio::test]
async fn an_error_of_the_vendors_ends_the_sign_in_with_its_word() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let to = format!("{REDIRECT}?state={STATE}&error=server_error%0A%1b&error_description=é");
    assert_own(&Browser::new().open(&sends(&proxy, &to)).await, StatusCode::OK, "The vendor ended the sign-in.");
    assert_eq!(proxy.callback().await.unwrap_err().to_string(), "the vendor ended the sign-in (server_error)");
}

#[tokio::test]
async fn a_redirect_to_the_vendor_stays_at_the_proxy_and_is_not_followed_here() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let mut browser = Browser::new();
    let page = browser.open(&sends(&proxy, &format!("{}/{TENANT}/next?a=b", upstream.base()))).await;
    assert_eq!((page.status, page.location()), (StatusCode::FOUND, format!("/{TENANT}/next?a=b").as_str()));
    let page = browser.open(&sends(&proxy, "https://elsewhere.example/?a=b")).await;
    assert_eq!(page.location(), "https://elsewhere.example/?a=b");
    assert_eq!(upstream.asked().len(), 2);
}
