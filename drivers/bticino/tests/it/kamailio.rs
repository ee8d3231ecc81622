//! The client against Debian's Kamailio: another SIP than the simulator's, and another TLS than the client's own.

pub(crate) mod server;

use crate::{
    authority::{self, Authority},
    captures,
    support::{Client, Connected, GATE, until},
    tap::{Tap, Who},
};
use doorward_bticino::sip::{
    line::{self, Line, Lost, Order},
    session::{End, Happening},
};
use doorward_core::driver::Ctx as _;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use server::{Kamailio, Settings};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

impl Kamailio {
    /// A client that it lets in.
    pub(crate) fn client(&self) -> Client {
        Client::of(&self.authority, &self.client, self.tls)
    }

    /// The same client, whose words are written down on their way to Kamailio and back.
    pub(crate) async fn tapped(&self) -> (Tap, Client) {
        let behind = Arc::new(self.client());
        let tap = Tap::new(&self.authority, move || {
            let behind = Arc::clone(&behind);
            async move { line::connect(&*behind.bench, &behind.server, &behind.tls()).await.unwrap() }
        })
        .await;
        let mut client = self.client();
        client.server.port = tap.port;
        (tap, client)
    }
}

fn key(end: End) -> String {
    match end {
        End::Accepted { key } => key,
        end @ (End::Refused(_) | End::Stale(_) | End::NotSent | End::Unanswered { .. }) => panic!("not accepted: {end:?}"),
    }
}

/// The ids of the commands that were taken, in their order.
fn taken(kamailio: &Kamailio) -> Vec<String> {
    let bodies = kamailio.wrote("took");
    let ids = bodies.iter().map(|body| serde_json::from_str::<serde_json::Value>(body).unwrap()["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn registered(client: &Client) -> Connected {
    let connected = client.connect().await.unwrap();
    connected.registered().await;
    connected
}

#[tokio::test]
async fn a_gate_opens_in_one_round_trip_after_the_first_challenge() {
    let kamailio = Kamailio::start().await;
    let connected = registered(&kamailio.client()).await;
    assert_eq!(kamailio.wrote("asked REGISTER"), ["by doorward", "by doorward"], "it knows the certificate's name");
    assert!(connected.heard(|news| matches!(news, Happening::Registered(granted) if *granted == Duration::from_mins(10))));
    let first = key(connected.open(GATE).await);
    let second = key(connected.open(GATE).await);
    assert_eq!(taken(&kamailio), [first, second]);
    assert_eq!((kamailio.count("asked MESSAGE"), kamailio.count("challenged"), kamailio.count("stale")), (2, 1, 0));
    assert_eq!(kamailio.contacts().await.len(), 1);
}

#[tokio::test]
async fn what_is_said_from_the_first_word_to_the_last_is_that_of_the_capture() {
    let kamailio = Kamailio::start().await;
    let (tap, client) = kamailio.tapped().await;
    let connected = registered(&client).await;
    key(connected.open(GATE).await);
    connected.orders.send(Order::Retire).await.unwrap();
    assert_eq!(connected.lost().await, Lost::Retired);
    kamailio.forgets_all_but(0).await;
    captures::agrees("kamailio-opens", &tap).await;
}

#[tokio::test]
async fn a_thousand_openings_at_once_are_each_taken_once_though_nonces_wear_out() {
    for says_stale in [true, false] {
        let kamailio = Kamailio::with(Settings { says_stale, ..Settings::default() }).await;
        let connected = registered(&kamailio.client()).await;
        let ends: Vec<_> = (0..1000).map(|_| connected.order(GATE)).collect();
        let mut keys = Vec::new();
        for end in ends {
            keys.push(key(end.await.unwrap()));
        }
        let taken = taken(&kamailio);
        assert_eq!((taken.len(), taken.iter().collect::<HashSet<_>>()), (1000, keys.iter().collect()));
        assert!(kamailio.count("stale MESSAGE") > 0, "a nonce is good for 255 requests");
    }
}

#[tokio::test]
async fn a_nonce_that_became_stale_costs_one_more_round_trip() {
    for says_stale in [true, false] {
        let kamailio = Kamailio::with(Settings { nonce: 1, says_stale, ..Settings::default() }).await;
        let (tap, client) = kamailio.tapped().await;
        let connected = registered(&client).await;
        // A younger nonce of somebody else is stale, so this one is too.
        let other = registered(&kamailio.client()).await;
        while kamailio.count("stale") == 0 {
            key(other.open(GATE).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let counts = || ["asked MESSAGE", "stale MESSAGE", "took"].map(|words| kamailio.count(words));
        let [asked, stale, took] = counts();
        key(connected.open(GATE).await);
        assert_eq!(counts(), [asked + 2, stale + 1, took + 1]);
        captures::agrees(if says_stale { "kamailio-stale-nonce" } else { "kamailio-stale-nonce-untold" }, &tap).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let kamailio = Kamailio::start().await;
    let (tap, mut client) = kamailio.tapped().await;
    client.enrolment.password = "wrong".into();
    let connected = client.connect().await.unwrap();
    until("it is refused", || {
        connected.heard(|news| matches!(news, Happening::NotRegistered(refusal) if refusal.status == 407 && refusal.wrong_password))
    })
    .await;
    assert_eq!(kamailio.count("asked REGISTER"), 2, "without an answer, and with the wrong one");
    assert!(kamailio.contacts().await.is_empty());
    captures::agrees("kamailio-wrong-password", &tap).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    for tls in ["TLSv1.2", "TLSv1.2+"] {
        let kamailio = Kamailio::with(Settings { tls, ..Settings::default() }).await;
        let mut client = kamailio.client();
        let foreign = Authority::new().client("doorward");
        client.enrolment.certificate = foreign.certificate.der().to_vec();
        client.enrolment.key = foreign.key.serialize_der();
        let lost = match client.connect().await {
            Ok(connected) => connected.lost().await,
            Err(lost) => lost,
        };
        assert!(matches!(lost, Lost::CertificateRefused(_)), "{tls}: {lost:?}");
        assert_eq!(kamailio.count("asked"), 0);
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_certificate() {
    let kamailio = Kamailio::start().await;
    let client = kamailio.client();
    let mut roots = RootCertStore::empty();
    roots.add(kamailio.authority.certificate.der().clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect((client.server.host.as_str(), client.server.port)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    // In TLS 1.3 the client hears of it after its own last word.
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let (_sender, mut orders) = line::orders();
    let line =
        Line { ctx: &*client.bench, identity: client.identity(), patience: client.patience, commands: Arc::default(), registers: true };
    let lost = line.run(stream, &mut orders, &mut |_| {}).await;
    assert!(matches!(lost, Lost::CertificateRefused(_)), "{lost:?}");
    assert_eq!(kamailio.count("asked"), 0);
}

#[tokio::test]
async fn a_server_that_starts_again_is_noticed_at_once_and_registered_with_anew() {
    let mut kamailio = Kamailio::start().await;
    let client = kamailio.client();
    let connected = registered(&client).await;
    key(connected.open(GATE).await);
    kamailio.restart().await;
    let lost = connected.lost().await;
    assert!(matches!(lost, Lost::Closed(_)), "{lost:?}: and no second has passed for the house");
    assert!(kamailio.contacts().await.is_empty(), "it forgot everybody");
    let connected = registered(&client).await;
    key(connected.open(GATE).await);
    assert_eq!(kamailio.contacts().await.len(), 1);
}

#[tokio::test]
async fn what_a_server_that_stands_still_does_not_answer_is_unknown_and_never_said_again() {
    let kamailio = Kamailio::start().await;
    let client = kamailio.client();
    let connected = registered(&client).await;
    kamailio.pause();
    let ends: Vec<_> = (0..10).map(|_| connected.order(GATE)).collect();
    let answers_are_due = client.bench.now().mono.plus(Duration::from_secs(20));
    until("all was sent", || client.bench.next_wake() == Some(answers_are_due)).await;
    client.bench.advance(Duration::from_secs(21));
    for end in ends {
        assert!(matches!(end.await.unwrap(), End::Unanswered { key: Some(_) }));
    }
    assert!(matches!(connected.lost().await, Lost::Silent(_)));
    kamailio.resume();
    let connected = registered(&client).await;
    let last = key(connected.open(GATE).await);
    let taken = taken(&kamailio);
    // What its system had received before the connection was torn down it may still read.
    assert!(taken.len() <= 11 && taken.contains(&last), "{taken:?}");
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), taken.len(), "nothing twice");
}

#[tokio::test]
async fn a_ping_is_answered_and_a_registration_renewed_before_it_ends() {
    let kamailio = Kamailio::start().await;
    let (tap, client) = kamailio.tapped().await;
    let connected = registered(&client).await;
    let sleeps_until = async |span: u64| {
        let then = client.bench.now().mono.plus(Duration::from_secs(span));
        until("it sleeps", || client.bench.next_wake() == Some(then)).await;
    };
    sleeps_until(45).await;
    client.bench.advance(Duration::from_secs(45));
    until("the ping was answered", || tap.said().ends_with(&[(Who::Client, b"\r\n\r\n".into()), (Who::Server, b"\r\n".into())])).await;
    // A sound was heard, so that the next one is looked for as long after it.
    sleeps_until(45).await;
    client.bench.advance(Duration::from_secs(65));
    until("it registered again", || kamailio.count("registered") == 2).await;
    assert_eq!(kamailio.count("challenged"), 1, "signed ahead of the challenge");
    // A server that answers pings need not be asked more often than its registration lasts.
    sleeps_until(45).await;
    for _ in 0..9 {
        client.bench.advance(Duration::from_secs(45));
        sleeps_until(45).await;
    }
    assert_eq!(kamailio.count("registered"), 2);
    client.bench.advance(Duration::from_secs(45));
    until("it registered again", || kamailio.count("registered") == 3).await;
    assert_eq!(kamailio.contacts().await.len(), 1);
    captures::agrees("kamailio-pings", &tap).await;
    drop(connected);
}

#[tokio::test]
async fn the_new_line_of_an_account_stays_registered_when_the_old_one_leaves() {
    let kamailio = Kamailio::start().await;
    let client = kamailio.client();
    let old = registered(&client).await;
    let of_old = kamailio.contacts().await;
    let new = registered(&client).await;
    let both = kamailio.contacts().await;
    assert_eq!((of_old.len(), both.len()), (1, 2));
    old.orders.send(Order::Retire).await.unwrap();
    assert_eq!(old.lost().await, Lost::Retired);
    let left = kamailio.forgets_all_but(1).await;
    assert!(left != of_old && both.contains(&left[0]), "{of_old:?} {both:?} {left:?}");
    key(new.open(GATE).await);
}
