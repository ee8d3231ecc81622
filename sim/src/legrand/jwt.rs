//! Access tokens as the directory writes them. Nobody verifies their signature here: a token counts because the
//! book holds it, and clients only read the payload.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::spec::Person;
use crate::dice::Dice;

/// What a token says.
pub(crate) struct Claims<'a> {
    pub(crate) person: &'a Person,
    pub(crate) client_id: &'a str,
    pub(crate) policy: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) expires_in: u64,
    /// `oid` is left out.
    pub(crate) sub_only: bool,
}

/// A token that was never given before.
pub(crate) fn written(claims: &Claims<'_>, dice: &mut Dice) -> String {
    let now = claims.now_ms / 1000;
    let mut payload = json!({
        "iss": claims.issuer,
        "exp": now.saturating_add(claims.expires_in),
        "nbf": now,
        "iat": now,
        "aud": claims.client_id,
        "azp": claims.client_id,
        "sub": claims.person.oid,
        "tfp": claims.policy,
        "emails": [claims.person.email],
        "scp": "access.full",
        "ver": "1.0",
        "jti": dice.uuid().to_string(),
    });
    if !claims.sub_only {
        payload["oid"] = json!(claims.person.oid);
    }
    let header = json!({ "alg": "RS256", "kid": "sim", "typ": "JWT" });
    let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(dice.token("signature"));
    format!("{}.{}.{signature}", encoded(&header), encoded(&payload))
}
