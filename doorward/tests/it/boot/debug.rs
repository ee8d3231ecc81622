//! `--debug`: every step of a vendor's sign-in, registration and opening is in the log, and none of the secrets.

use super::{
    bticino::{add, sign_in, step},
    killed::until,
};
use crate::binary::{Binary, json};
use doorward_sim::legrand::{Config, Faults, JsonRpc, start};
use serde_json::json;
use tempfile::tempdir;

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_in_the_log_and_no_secret() {
    let sim = start(Config::default()).await.unwrap();
    sim.set_faults(Faults { json_rpc: JsonRpc::Ok, ..Faults::default() });
    let data = tempdir().unwrap();
    let binary = Binary::start_debug(data.path());
    let client = binary.client();
    add(&client, &sim).await;
    let code = sign_in(&client, &sim).await;
    step(&client, "register", json!({})).await;
    let phone = json!({ "handle": "the handle of a phone", "platform": "fcm", "language": "it" });
    step(&client, "subscribe", phone.clone()).await;
    until("both gateways are connected", async || sim.registered().len() == 2).await;
    let doors = client.get("/doors").await;
    let door = doors["items"].as_array().unwrap().iter().find(|door| door["name"] == sim.opener("20#2").name.as_str()).unwrap();
    let (status, answer) =
        client.post(&format!("/doors/{}/actions", door["id"].as_str().unwrap()), json!({ "action": "open" })).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let log = || binary.log();
    until("the gate has answered", async || log().contains("\"result\"")).await;

    for shown in [
        "sign-in begins in a browser path=\"/EliotClouduamprd.onmicrosoft.com/oauth2/v2.0/authorize\"",
        "sign-in method=\"POST\" path=\"/EliotClouduamprd.onmicrosoft.com/oauth2/v2.0/token\" grant_type=\"authorization_code\"",
        "sign-in answered status=200",
        "API method=GET path=\"/servicecatalog/api/v3.0/plants\"",
        "API answered path=\"/servicecatalog/api/v3.0/plants\" status=200",
        "API method=POST path=\"/vde/sip/v1.0/devices/gw-1234/sipaccount\"",
        "API answered path=\"/vde/sip/v1.0/devices/gw-1234/sipaccount\" status=201",
        "API method=POST path=\"/certificate/api/v1.0/ca/information/clientCerts\"",
        "API answered path=\"/vde/push/v1.0/devices/gw-1234/subscription\" status=201",
        "TLS to the SIP server host=\"127.0.0.1\"",
        "SIP sent=REGISTER sip:gw-1234.bs.iotleg.com | Via: ",
        "SIP received=407 Proxy Authentication Required | Via: ",
        "SIP received=200 OK | Via: ",
        "SIP sent=MESSAGE sip:diy@gw-1234.bs.iotleg.com | Via: ",
        "Proxy-Authorization: …",
    ] {
        assert!(log().contains(shown), "{shown} in {}", log());
    }

    let files = step(&client, "export", json!({})).await;
    let text = |file: &str, name: &str| files[file][name].as_str().unwrap().to_owned();
    let key = text("client-certs.json", "key").lines().nth(1).unwrap().to_owned();
    let secrets = [
        ("the code", code),
        ("the access token", text("token_cache.json", "b2cAccessToken")),
        ("the refresh token", text("token_cache.json", "b2cRefreshToken")),
        ("the SIP password", text("sip_account.json", "sipPassword")),
        ("the private key", key),
        ("the handle of a phone", phone["handle"].as_str().unwrap().to_owned()),
        ("the subscription key", Config::default().subscription_key),
        ("a proof of the password", "response=\"".into()),
    ];
    for (what, secret) in secrets {
        assert!(secret.len() > 7 && !log().contains(&secret), "{what}: {}", log());
    }
    let shown = json(data.path(), &["account", "call", "gates", "subscription"]);
    assert_eq!((&shown[0]["handle"], &shown[0]["platform"]), (&json!("…"), &phone["platform"]), "{shown}");
}
