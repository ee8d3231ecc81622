//! What this driver is: its settings and steps as people see them.

use doorward_core::driver::{About, Field, FieldKind, Step};
use std::time::Duration;

/// The word in configuration and API.
pub(crate) const KIND: &str = "utec";

/// Offsets after a command's answer at which its lock is asked again: these locks take a few seconds to move, and the
/// cloud takes a while to hear of it.
const VERIFY: [u64; 5] = [2, 5, 10, 20, 30];

/// One poll may fail; after three the state is unknown.
const POLLS_UNTIL_STALE: u32 = 3;

/// The settings of an account.
pub(crate) const FIELDS: &[Field] = &[
    Field {
        name: "access_key",
        label: "Access key",
        help: "From the app: My Account, OpenAPI. Also called client id.",
        kind: FieldKind::Text,
        default: "",
        required: true,
    },
    Field {
        name: "secret_key",
        label: "Secret key",
        help: "From the same page of the app. Also called client secret.",
        kind: FieldKind::Secret,
        default: "",
        required: true,
    },
    Field {
        name: "redirect_url",
        label: "Redirect address",
        help: "Exactly as it is set in the app under OpenAPI. The browser ends there after sign-in; its address can be pasted here.",
        kind: FieldKind::Text,
        default: "",
        required: false,
    },
    Field {
        name: "status_poll_seconds",
        label: "Ask every (seconds)",
        help: "How often all locks are asked for their state; at least 5.",
        kind: FieldKind::Number,
        default: "60",
        required: false,
    },
    Field {
        name: "auto_refresh_enabled",
        label: "Renew the token by itself",
        help: "Renews the sign-in before it ends, so that nobody has to sign in again.",
        kind: FieldKind::Switch,
        default: "true",
        required: false,
    },
    Field {
        name: "refresh_buffer_minutes",
        label: "Renew ahead (minutes)",
        help: "How long before its end the token is renewed; 1 to 1440.",
        kind: FieldKind::Number,
        default: "5",
        required: false,
    },
    Field {
        name: "time_zone",
        label: "Time zone of the locks",
        help: "For codes with a schedule, such as Europe/Berlin; the site's own when left empty.",
        kind: FieldKind::Text,
        default: "",
        required: false,
    },
    Field {
        name: "scope",
        label: "Scope",
        help: "What sign-in asks for; as the app shows it.",
        kind: FieldKind::Text,
        default: "openapi",
        required: false,
    },
    Field {
        name: "base_url",
        label: "API address",
        help: "Where the cloud's API is. Change it only for a test cloud.",
        kind: FieldKind::Url,
        default: "https://api.u-tec.com",
        required: false,
    },
    Field {
        name: "oauth_base_url",
        label: "Sign-in address",
        help: "Where the cloud's sign-in is. Change it only for a test cloud.",
        kind: FieldKind::Url,
        default: "https://oauth.u-tec.com",
        required: false,
    },
    Field {
        name: "action_path",
        label: "Path of the API",
        help: "The path of the cloud's one endpoint.",
        kind: FieldKind::Text,
        default: "/action",
        required: false,
    },
    Field {
        name: "ca_file",
        label: "More authorities",
        help: "A PEM file with certificate authorities to trust besides the public ones.",
        kind: FieldKind::Text,
        default: "",
        required: false,
    },
    Field {
        name: "pin_sha256",
        label: "Pinned certificate",
        help: "SHA-256 of the server's certificate or public key, as hex or base64; it is then trusted instead of any authority.",
        kind: FieldKind::Text,
        default: "",
        required: false,
    },
];

/// The steps of sign-in and set-up.
const STEPS: &[Step] = &[
    Step { name: "start", label: "Sign in", help: "Gives the vendor's sign-in page to open in a browser. It waits ten minutes." },
    Step {
        name: "exchange",
        label: "Finish",
        help: "Takes the code, or the whole address at which the browser ended, and signs the account in.",
    },
    Step { name: "refresh", label: "Renew now", help: "Renews the token at once." },
    Step { name: "tokens", label: "Use tokens", help: "Takes tokens that another program was given, as an import does." },
    Step {
        name: "push",
        label: "Pushes",
        help: "Registers this doorward's public https address, so that the cloud tells of changes by itself.",
    },
];

/// What this driver is and can do, before an account exists.
pub fn about() -> About {
    about_polled_every(Duration::from_mins(1))
}

pub(crate) fn about_polled_every(status_poll: Duration) -> About {
    About {
        kind: KIND,
        title: "U-tec / Ultraloq",
        summary: "Ultraloq and other U-tec locks that are connected to the vendor's cloud by Wi-Fi or a bridge.",
        fields: FIELDS,
        steps: STEPS,
        verify: VERIFY.map(Duration::from_secs).to_vec(),
        // The slack covers a slow answer to the last of them.
        stale_after: status_poll * POLLS_UNTIL_STALE + Duration::from_secs(30),
        signs_in_here: false,
        calls: &["whoami", "devices", "status"],
        only_in_file: false,
    }
}
