//! What is not the vendor's page, or more of it than there should be.

use super::{TENANT, assert_own, port, proxy, raw, status};
use crate::{browser::Browser, upstream::Upstream};
use http_body_util::Full;
use hyper::Response;
use reqwest::StatusCode;
use tokio::{io::AsyncReadExt, net::TcpStream};

#[tokio::test]
async fn a_path_outside_the_tenant_reaches_nobody() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let (port, host) = (port(&proxy), format!("localhost:{}", port(&proxy)));
    for path in [
        "/".to_owned(),
        "/favicon.ico".into(),
        "/other.onmicrosoft.com/oauth2/v2.0/authorize".into(),
        format!("/{TENANT}"),
        format!("/{TENANT}.evil/x"),
        format!("//{TENANT}/x"),
        format!("/{TENANT}//x"),
        format!("/{TENANT}/../other"),
        format!("/{TENANT}/%2e%2e/other"),
        format!("/{TENANT}/%2E./other"),
        format!("/{TENANT}/..%2fother"),
        format!("/{TENANT}/..%5cother"),
        format!("/{TENANT}/%252e%252e/other"),
    ] {
        assert_eq!(status(port, &format!("GET {path}"), &host, "").await, 404, "{path}");
    }
    assert!(upstream.asked().is_empty());
    assert_eq!(status(port, &format!("GET /{}/x", TENANT.to_lowercase()), &host, "").await, 200, "the vendor does not mind the case");
}

#[tokio::test]
async fn a_name_that_was_bound_to_this_machine_reaches_nobody() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let port = port(&proxy);
    let line = format!("GET /{TENANT}/x");
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "localhost".into(),
        "localhost:1".into(),
        format!("localhost:{port}.evil"),
    ] {
        assert_eq!(status(port, &line, &host, "").await, 421, "{host}");
    }
    let good = format!("LOCALHOST:{port}");
    assert_eq!(status(port, &format!("GET http://{good}/{TENANT}/x"), &good, "").await, 421, "it is no proxy for everything");
    assert_eq!(status(port, &line, &good, "host: evil.example\r\n").await, 421, "two hosts");
    assert!(upstream.asked().is_empty());
    for host in [good, format!("127.0.0.1:{port}")] {
        assert_eq!(status(port, &line, &host, "").await, 200, "{host}");
    }
}

#[tokio::test]
async fn what_a_page_of_another_site_sends_reaches_nobody() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let (port, host) = (port(&proxy), format!("localhost:{}", port(&proxy)));
    for origin in ["https://evil.example".to_owned(), "http://localhost:1".into(), format!("http://127.0.0.1:{port}"), upstream.base()] {
        let origin = format!("origin: {origin}\r\ncontent-length: 0\r\n");
        assert_eq!(status(port, &format!("POST /{TENANT}/x"), &host, &origin).await, 403, "{origin}");
    }
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        assert_eq!(status(port, &format!("{method} /{TENANT}/x"), &host, "").await, 405, "{method}");
    }
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn a_body_or_a_head_that_is_too_large_is_refused() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let (port, host) = (port(&proxy), format!("localhost:{}", port(&proxy)));
    let line = format!("POST /{TENANT}/x");
    assert_eq!(status(port, &line, &host, &format!("content-length: {}\r\n", (256 << 10) + 1)).await, 413);
    let chunk = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{}", (256 << 10) + 1, "x".repeat((256 << 10) + 1));
    let answer = raw(port, &format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{chunk}")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let many = (0..65).map(|number| format!("x-{number}: 1\r\n")).collect::<Vec<_>>().concat();
    assert_eq!(status(port, &format!("GET /{TENANT}/x"), &host, &many).await, 431);
    assert!(upstream.asked().is_empty());
    let most = "x".repeat(256 << 10);
    let answer =
        raw(port, &format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{most}", most.len())).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.asked()[0].body(), most.as_bytes());
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_passed_on() {
    let upstream = Upstream::start(async |request| {
        let more = usize::from(request.uri().path().ends_with("more"));
        Response::new(Full::from("x".repeat((4 << 20) + more)))
    })
    .await;
    let proxy = proxy(&upstream.base()).await;
    let url = |name: &str| proxy.url().join(&format!("/{TENANT}/{name}")).unwrap();
    assert_eq!(Browser::new().open(&url("most")).await.body.len(), 4 << 20);
    assert_own(&Browser::new().open(&url("more")).await, StatusCode::BAD_GATEWAY, "The vendor cannot be reached");
}

#[tokio::test]
async fn one_connection_too_many_is_hung_up_on() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(TcpStream::connect(("127.0.0.1", port(&proxy))).await.unwrap());
    }
    let mut last = TcpStream::connect(("127.0.0.1", port(&proxy))).await.unwrap();
    assert_eq!(last.read(&mut [0]).await.unwrap_or(0), 0);
}
