//! One call to the vendor's API, with everything that can go wrong; and the calls that there are.

use crate::{certificate, config::Config, files::SipAccount, plants::Plant};
use doorward_core::{
    Secret,
    driver::{Ctx, Fault},
};
use doorward_http::{self as http, Lost, Received};
use doorward_oauth::Keeper;
use doorward_wire::attempt::Reason;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How much of a vendor's message is passed on.
const MESSAGE: usize = 200;

/// What is asked: a path below the API's address.
pub(crate) struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Call {
    fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }

    fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(body) }
    }

    /// Every plant of the person.
    pub(crate) fn plants() -> Self {
        Self::get("/servicecatalog/api/v3.0/plants")
    }

    /// One plant.
    pub(crate) fn plant(id: &str) -> Self {
        Self::get(format!("/servicecatalog/api/v3.0/plants/{}", segment(id)))
    }

    /// The modules of every plant.
    pub(crate) fn modules() -> Self {
        Self::get("/servicecatalog/api/v3.0/modules")
    }

    /// One module.
    pub(crate) fn module(id: &str) -> Self {
        Self::get(format!("/servicecatalog/api/v3.0/modules/{}", segment(id)))
    }

    /// What the person agreed to.
    pub(crate) fn consents() -> Self {
        Self::get("/users/api/v3.0/users/consents/account")
    }

    /// The SIP accounts at a gateway.
    pub(crate) fn sip_accounts(gateway: &str) -> Self {
        Self::get(format!("/vde/sip/v1.0/devices/{}/sipaccounts", segment(gateway)))
    }

    /// A new SIP account at a gateway.
    pub(crate) fn register(gateway: &str, client_id: &str, client_name: &str, sip_uri: &str) -> Self {
        let body = json!({ "clientId": client_id, "clientName": client_name, "sipUri": sip_uri });
        Self::post(format!("/vde/sip/v1.0/devices/{}/sipaccount", segment(gateway)), body)
    }

    /// The push subscriptions at a gateway.
    pub(crate) fn subscription(gateway: &str) -> Self {
        Self::get(format!("/vde/push/v1.0/devices/{}/subscription", segment(gateway)))
    }

    /// A push subscription at a gateway.
    pub(crate) fn subscribe(gateway: &str, subscription: Value) -> Self {
        Self::post(format!("/vde/push/v1.0/devices/{}/subscription", segment(gateway)), subscription)
    }

    /// The authorities of the SIP server.
    pub(crate) fn ca_certificates() -> Self {
        Self::get("/certificate/api/v1.0/ca/information/CACerts")
    }

    /// A client certificate for a request (DER of PKCS #10).
    pub(crate) fn client_certificate(plant: &Plant, request: &[u8]) -> Self {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let plant = json!({
            "_gatewayDbIdx": -1, "country": plant.country, "dbIdx": -1, "id": plant.id, "name": plant.name,
            "ownerEmail": plant.owner_email, "ownerId": plant.owner_id, "type": plant.kind,
        });
        let body = json!({
            "csr": STANDARD.encode(request),
            "sender": { "addressType": "addressLocation", "plant": plant, "system": "information" },
            "template": "sipuser-DIY",
        });
        Self::post("/certificate/api/v1.0/ca/information/clientCerts", body)
    }
}

/// An identifier of the vendor as one segment of a path (RFC 3986, section 3.3).
fn segment(id: &str) -> String {
    id.bytes().fold(String::with_capacity(id.len()), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || (byte == b'.' && !id.trim_matches('.').is_empty()) {
            path.push(char::from(byte));
        } else {
            // Writing to a text never fails.
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}

/// The account's line to the vendor.
pub(crate) struct Cloud {
    pub(crate) config: Config,
    pub(crate) http: Client,
    pub(crate) tokens: Keeper,
}

impl Cloud {
    /// Makes a call. A 401 is answered by one renewal of the token and one repeat.
    pub(crate) async fn call(&self, ctx: &dyn Ctx, call: &Call) -> Result<Value, Fault> {
        let mut bearer = self.tokens.bearer(ctx).await?;
        let mut renewed = false;
        loop {
            tracing::debug!(target: "doorward::trace", method = %call.method, path = call.path, "API");
            let request = self.request(call, bearer.authorization.reveal())?;
            let received = http::send(ctx, &self.http, request, http::TOTAL).await;
            let status = received.as_ref().ok().map(|received| received.status);
            let answer = read(&call.path, received);
            let log = answer.as_ref().err().map(|fault| fault.log.as_str());
            tracing::debug!(target: "doorward::trace", path = call.path, status, log, "API answered");
            match answer {
                Err(fault) if fault.status == Some(401) && !renewed => {
                    renewed = true;
                    bearer = self.tokens.renew_after(ctx, &bearer).await?;
                }
                answer => return answer,
            }
        }
    }

    fn request(&self, call: &Call, authorization: &str) -> Result<reqwest::Request, Fault> {
        let base = self.config.api_url.as_str().trim_end_matches('/');
        let token = authorization.split_once(' ').map_or(authorization, |(_, token)| token);
        let mut request = self
            .http
            .request(call.method.clone(), format!("{base}{}", call.path))
            .header("authorization", authorization)
            .header("usertoken", token)
            .header("ocp-apim-subscription-key", self.config.subscription_key.reveal())
            .header("accept", "application/json");
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        request.build().map_err(|_| {
            Fault::protocol("Check the key and addresses of the account.", "no request could be made from the account's settings")
        })
    }

    /// Makes a call that is answered by a list, bare or under this name. Where there is none, nothing is known; that is not
    /// the same as a list without anything in it.
    pub(crate) async fn list(&self, ctx: &dyn Ctx, call: &Call, name: &str) -> Result<Value, Fault> {
        let answer = self.call(ctx, call).await?;
        let is_there = answer.is_array() || answer.get(name).is_some_and(Value::is_array);
        if is_there { Ok(answer) } else { Err(not_understood(&call.path, &format!("neither a list nor one under {name}"))) }
    }

    /// The SIP accounts at a gateway that can be read.
    pub(crate) async fn sip_accounts(&self, ctx: &dyn Ctx, gateway: &str) -> Result<Vec<SipAccount>, Fault> {
        let answer = self.list(ctx, &Call::sip_accounts(gateway), "sipAccounts").await?;
        let list = answer.as_array().or_else(|| answer.get("sipAccounts")?.as_array()).into_iter().flatten();
        Ok(list.filter_map(|account| SipAccount::read_fields(account.as_object()?).ok()).collect())
    }

    /// The authorities of the SIP server, as DER.
    pub(crate) async fn authorities(&self, ctx: &dyn Ctx) -> Result<Vec<Vec<u8>>, Fault> {
        let found = certificate::in_answer(&self.call(ctx, &Call::ca_certificates()).await?);
        if found.is_empty() { Err(not_understood("CACerts", "no certificate in it")) } else { Ok(found) }
    }
}

/// An answer that says something else than it should.
pub(crate) fn not_understood(what: &str, why: &str) -> Fault {
    Fault::protocol("The vendor gave an answer that doorward does not understand. Look for a newer doorward.", format!("{what}: {why}"))
}

fn read(path: &str, received: Result<Received, Lost>) -> Result<Value, Fault> {
    let Received { status, retry_after, body } = match received {
        Err(Lost::NotSent(why)) => {
            let person = "The vendor's cloud cannot be reached. Check the internet connection.";
            return Err(Fault::offline(person, format!("{path}: {why}")).because(Reason::Offline));
        }
        Err(Lost::Sent(why)) => {
            return Err(Fault::offline("The vendor's cloud did not answer.", format!("{path}: {why}")).because(Reason::Offline));
        }
        Ok(received) => received,
    };
    let message = |body: Result<Vec<u8>, String>| body.map_or_else(|broken| broken, |body| said(&body));
    let fault = match status {
        200..300 => {
            let body = body.map_err(|broken| {
                Fault::offline("The vendor's answer broke off.", format!("{path}: {broken}")).because(Reason::Offline)
            })?;
            if body.iter().all(u8::is_ascii_whitespace) {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&body).map_err(|error| not_understood(path, &format!("no JSON at column {}", error.column())));
        }
        401 => Fault::refused(
            "The vendor does not accept the sign-in or the subscription key. Compare the key with your profile at developer.legrand.com, or sign in again.",
            format!("{path} answered 401: {}", message(body)),
        )
        .because(Reason::VendorRefused),
        403 => Fault::refused("The vendor does not allow this. Does the plant still belong to this person?", format!("{path} answered 403: {}", message(body)))
            .because(Reason::VendorRefused),
        404 => Fault::refused("The vendor does not know this any more. Was it deleted in the app?", format!("{path} answered 404: {}", message(body)))
            .because(Reason::VendorRefused),
        429 => Fault::offline("The vendor's cloud asks to wait: too many requests.", format!("{path} answered 429")).because(Reason::RateLimited),
        400..500 if status != 408 => {
            let said = message(body);
            Fault::refused(format!("The vendor's cloud refused: {said}."), format!("{path} answered {status}: {said}")).because(Reason::VendorRefused)
        }
        _ => Fault::offline("The vendor's cloud is out of order just now.", format!("{path} answered {status}: {}", message(body)))
            .because(Reason::Offline),
    };
    let mut fault = fault.status(status);
    fault.retry_after = retry_after;
    Err(fault)
}

/// The vendor's words, short and on one line.
fn said(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = ["message", "error_description", "error", "title"].iter().find_map(|name| body.get(name)?.as_str());
    let clean: String = words.unwrap_or("no reason given").chars().filter(|c| !c.is_control()).take(MESSAGE).collect();
    clean.trim().trim_end_matches('.').to_owned()
}

/// An answer as it may be shown: without passwords, tokens and keys.
pub(crate) fn masked(mut answer: Value) -> Value {
    mask(&mut answer);
    answer
}

fn mask(value: &mut Value) {
    const SECRETS: [&str; 6] = ["password", "token", "secret", "handle", "privatekey", "authorization"];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_ascii_lowercase();
                if SECRETS.iter().any(|secret| name.contains(secret)) && !value.is_null() {
                    *value = json!("…");
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The person's object id: `oid`, else `sub`, of the access token (a JWT, RFC 7519), which was just given by the vendor
/// over TLS and is not verified.
pub(crate) fn object_id(access_token: &Secret<String>) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = access_token.reveal().split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()?;
    let id = ["oid", "sub"].iter().find_map(|name| claims.get(name)?.as_str())?;
    let plain = !id.is_empty() && id.len() <= 100 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    plain.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_answer_becomes_one_line_for_a_person(status in 100..600u16, body in "\\PC{0,40}|\\{\"(message|error|title)\":(\"[ -~]{0,30}\\.\"|\\{\\}|null)\\}") {
            match read("/x", Ok(Received { status, retry_after: None, body: Ok(body.into_bytes()) })) {
                Ok(_) => prop_assert!((200..300).contains(&status)),
                Err(fault) => prop_assert!(!fault.person.contains(char::is_control) && fault.log.len() < 1200),
            }
        }

        #[test]
        fn any_token_is_read_without_panic(token in "\\PC{0,40}|[A-Za-z0-9_=-]{0,8}\\.[A-Za-z0-9_=-]{0,30}(\\.x)?") {
            let id = object_id(&Secret::new(token));
            prop_assert!(id.is_none_or(|id| (1..=100).contains(&id.len())));
        }
    }

    #[test]
    fn an_identifier_is_one_segment() {
        assert_eq!(segment("20#2"), "20%232");
        assert_eq!(segment("../x?y"), "..%2Fx%3Fy");
        assert_eq!((segment(".."), segment("a.b")), ("%2E%2E".into(), "a.b".into()));
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let shown = masked(json!([{ "sipPassword": "geheim", "sipUri": "a@b", "appToken": { "x": 1 }, "list": [{ "secret": null }] }]));
        assert_eq!(shown, json!([{ "sipPassword": "…", "sipUri": "a@b", "appToken": "…", "list": [{ "secret": null }] }]));
    }

    #[test]
    fn the_object_id_is_read_from_the_token() {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let token = |claims: Value| Secret::new(format!("x.{}.y", URL_SAFE_NO_PAD.encode(claims.to_string())));
        assert_eq!(object_id(&token(json!({ "oid": "a-1", "sub": "b" }))), Some("a-1".into()));
        assert_eq!(object_id(&token(json!({ "sub": "b" }))), Some("b".into()));
        for wrong in [json!({}), json!({ "oid": "a b" }), json!({ "oid": "" })] {
            assert_eq!(object_id(&token(wrong)), None);
        }
        assert_eq!(object_id(&Secret::from("no jwt")), None);
    }
}
