//! What this driver is: its settings and steps as people see them.

use doorward_core::driver::{About, Field, FieldKind, Step};
use std::time::Duration;

/// The word in configuration and API.
pub(crate) const KIND: &str = "bticino";

/// Nobody can look at a gate: what a gate itself says, or a contact, is believed for so long.
const STALE_AFTER: Duration = Duration::from_mins(15);

/// The settings of an account.
pub(crate) const FIELDS: &[Field] = &[
    Field {
        name: "subscription_key",
        label: "Subscription key",
        help: "From developer.legrand.com: sign up, subscribe to a product, and copy the primary key from your profile.",
        kind: FieldKind::Secret,
        default: "",
        required: true,
    },
    Field {
        name: "client_name",
        label: "Name of this client",
        help: "Under this name the vendor lists doorward among the account's devices.",
        kind: FieldKind::Text,
        default: "doorward",
        required: false,
    },
    Field {
        name: "busy_after_seconds",
        label: "Answer a bell busy after (seconds)",
        help: "0 lets it ring until somebody answers or a minute is over. 2 is what older clients do.",
        kind: FieldKind::Number,
        default: "0",
        required: false,
    },
    Field {
        name: "refresh_buffer_minutes",
        label: "Renew ahead (minutes)",
        help: "How long before its end the sign-in is renewed; 1 to 1440.",
        kind: FieldKind::Number,
        default: "5",
        required: false,
    },
    Field {
        name: "login_url",
        label: "Sign-in address",
        help: "Where the vendor's sign-in is. Change it only for a test cloud.",
        kind: FieldKind::Url,
        default: "https://eliotclouduamprd.b2clogin.com",
        required: false,
    },
    Field {
        name: "api_url",
        label: "API address",
        help: "Where the vendor's API is. Change it only for a test cloud.",
        kind: FieldKind::Url,
        default: "https://api.developer.legrand.com",
        required: false,
    },
    Field {
        name: "sip_server",
        label: "SIP server",
        help: "Where gates are opened and bells ring, with its port. Change it only for a test cloud.",
        kind: FieldKind::Text,
        default: "vdesip.bs.iotleg.com:5228",
        required: false,
    },
    Field {
        name: "sip_domain",
        label: "SIP domain",
        help: "What follows on the identifier of a gateway in its SIP address.",
        kind: FieldKind::Text,
        default: "bs.iotleg.com",
        required: false,
    },
    Field {
        name: "tenant",
        label: "Tenant",
        help: "The vendor's directory.",
        kind: FieldKind::Text,
        default: "EliotClouduamprd.onmicrosoft.com",
        required: false,
    },
    Field {
        name: "policy",
        label: "Policy",
        help: "The vendor's word for its sign-in.",
        kind: FieldKind::Text,
        default: "B2C_1_DoorEliot-DIY-SignUporSignIn",
        required: false,
    },
    Field {
        name: "client_id",
        label: "Client id",
        help: "The identifier of the vendor's mobile app, which is public.",
        kind: FieldKind::Text,
        default: "032e1c93-4c8f-4618-9a9c-0355059678cf",
        required: false,
    },
    Field {
        name: "redirect_url",
        label: "Redirect address",
        help: "Where the vendor's app is sent after sign-in.",
        kind: FieldKind::Text,
        default: "com.legrandgroup.diy://oauth2redirect",
        required: false,
    },
    Field {
        name: "scope",
        label: "Scope",
        help: "What sign-in asks for.",
        kind: FieldKind::Text,
        default: "https://EliotClouduamprd.onmicrosoft.com/security/access.full offline_access openid",
        required: false,
    },
    Field {
        name: "ca_file",
        label: "More authorities",
        help: "A PEM file with certificate authorities to trust for sign-in and API besides the public ones.",
        kind: FieldKind::Text,
        default: "",
        required: false,
    },
    Field {
        name: "pin_sha256",
        label: "Pinned SIP server",
        help: "SHA-256 of the SIP server's certificate or public key, as hex or base64; it is then trusted instead of the vendor's authority.",
        kind: FieldKind::Text,
        default: "",
        required: false,
    },
];

/// The steps of sign-in and set-up.
const STEPS: &[Step] = &[
    Step {
        name: "start",
        label: "Sign in",
        help: "Gives the vendor's sign-in page. With {\"here\":true} it is served on this machine, so that its end is noticed.",
    },
    Step {
        name: "exchange",
        label: "Finish",
        help: "Takes the whole address at which the browser ended, com.legrandgroup.diy://…, and signs the account in.",
    },
    Step { name: "refresh", label: "Renew now", help: "Renews the sign-in at once." },
    Step { name: "plants", label: "Choose plants", help: "Lists the plants of the account with their gateways, and which are registered." },
    Step {
        name: "register",
        label: "Register",
        help: "Registers this doorward at the gateways of {\"plants\":[…]}, or of all. Doing it twice changes nothing; {\"certificate\":true} renews the certificates.",
    },
    Step {
        name: "forget",
        label: "Forget",
        help: "Stops using {\"gateway\":\"…\"}, as when it was deleted in the vendor's app. Registering takes it up again.",
    },
    Step {
        name: "trust",
        label: "Trust",
        help: "Takes the vendor's new authority for its SIP server, named by its {\"sha256\":\"…\"}; several as a list.",
    },
    Step {
        name: "import",
        label: "Import",
        help: "Takes token_cache.json, sip_account.json and client-certs.json of the older client, under any names: {\"sip_account.json\":{…}}.",
    },
    Step { name: "export", label: "Export", help: "Gives the same three files for {\"gateway\":\"…\"}. They hold secrets." },
    Step {
        name: "subscribe",
        label: "Push subscription",
        help: "Registers {\"handle\",\"platform\",\"language\"} of a phone for the vendor's pushes.",
    },
];

/// The vendor's own calls, for support. What follows a colon is an identifier; the first one is taken without it.
pub(crate) const CALLS: &[&str] =
    &["plants", "plant", "modules", "module", "consents", "sip_accounts", "subscription", "ca_certificates", "status"];

/// What this driver is and can do.
pub fn about() -> About {
    About {
        kind: KIND,
        title: "BTicino / Legrand",
        summary: "Gates and doors behind a connected BTicino or Legrand intercom, and its bell.",
        fields: FIELDS,
        steps: STEPS,
        signs_in_here: true,
        calls: CALLS,
        verify: Vec::new(),
        stale_after: STALE_AFTER,
        only_in_file: false,
    }
}
