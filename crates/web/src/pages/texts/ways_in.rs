//! What is said about ways in: passkeys, the code of an authenticator app, and the browsers that are signed in.

use super::{Texts, labels};

labels! {
    Labels []

    passkey_in = "Sign in with a passkey",
    or = "or",
    // For passkey.js, in its order: nobody touched it or it was cancelled; it is there already; anything else.
    js_words = "That was cancelled, or took too long. Try again.|This device has a passkey for you already.|That did not work. Try again in a moment.",
    passkey_where = "Passkeys work where doorward is called by https:// and a name, or as http://localhost on this machine. An address such as 192.168.1.2 is no name.",
    passkey_late = "That took too long, or was begun in another window. Try again.",
    passkey_unknown = "doorward does not know this passkey any more. Sign in in another way.",
    passkey_refused = "This passkey was not taken. Sign in in another way.",
    passkey_copied = "This passkey was not taken: its counter did not go up, so there may be a copy of it. Sign in in another way and remove it.",
    passkey_known = "This passkey is there already.",
    passkey_many = "You have 20 passkeys. Remove one that you do not use.",

    code_title = "One more step",
    code_text = "Enter the code that your authenticator app shows for doorward.",
    code = "Code",
    code_help = "Six digits. No phone at hand? Enter a recovery code.",
    code_wrong = "The code is not right, or was used before.",
    code_late = "That took too long. Sign in again.",
    code_again = "Start again",

    passkeys = "Passkeys",
    passkeys_text = "Sign in with the finger, face or PIN of a device instead of a password. No code is asked for then: a passkey is two factors by itself.",
    passkey_no_script = "Adding one needs JavaScript.",
    add_passkey = "Add a passkey",
    passkey = "Passkey",
    passkey_place = "Works at",
    passkey_added_at = "Added",
    passkey_used_at = "Last used",
    passkey_copies = "Copies",
    passkey_synced = "Synchronised between devices",
    passkey_not_synced = "Not yet on other devices",
    passkey_name_help = "The device, so that you know it again.",
    rename = "Rename",
    passkey_remove = "Remove passkey",
    passkey_remove_text = "It signs nobody in any more from this moment. The device goes on showing it until you delete it there.",
    passkey_left_password = "You then sign in with your password.",
    passkey_left_both = "Your other passkeys and your password stay.",
    passkey_left_others = "Your other passkeys stay.",
    passkey_last = "This is your only way in. Set a password or add another passkey first.",
    passkey_added = "The passkey was added. You can sign in with it from now on.",
    passkey_renamed = "The passkey has another name.",
    passkey_removed = "The passkey was removed.",

    factor = "Authenticator app",
    factor_text = "Asks for a code from your phone after the password, so that a password alone is not enough.",
    factor_on = "On",
    factor_none = "Off. It asks for a code from your phone after the password. With a passkey or a sign-in link no code is asked for.",
    factor_no_password = "For whoever signs in with a password. Set one first.",
    factor_set_up = "Set up",
    factor_turn_off = "Turn off",
    factor_scan_title = "Set up an authenticator app",
    factor_scan = "Photograph this with an app such as Aegis, 2FAS, FreeOTP or the passwords of your phone.",
    factor_picture = "Code for an authenticator app",
    factor_secret = "Or type this in",
    factor_confirm = "Then enter the code that it shows",
    factor_finish = "Turn on",
    factor_code_wrong = "This is not the code that the app should show now. Is the clock of your phone right?",
    factor_codes_title = "Keep these codes",
    factor_codes_text = "Each of them stands in for the app once, should the phone be lost. Print them or write them down.",
    factor_codes_once = "They are not shown again.",
    factor_codes = "Recovery codes",
    factor_off_title = "Turn the authenticator app off",
    factor_off_text = "From then on your password alone signs you in. Recovery codes stop working.",
    factor_proof = "Password or code",
    factor_proof_help = "So that nobody does this at a browser that you left open.",
    factor_proof_wrong = "This is neither your password nor a code that is right now.",
    factor_removed = "The authenticator app was turned off.",

    browsers = "Browsers",
    browser_unknown = "A browser",
    this_browser = "This browser",
    browser_out = "That browser was signed out.",
}

impl Texts {
    /// What `?done=` says about ways in.
    pub(crate) fn way_in_done(&self, word: &str) -> Option<&'static str> {
        let t = self.ways_in;
        Some(match word {
            "passkey_added" => t.passkey_added,
            "passkey_renamed" => t.passkey_renamed,
            "passkey_removed" => t.passkey_removed,
            "factor_removed" => t.factor_removed,
            "browser_out" => t.browser_out,
            _ => return None,
        })
    }

    pub(crate) fn passkey_note(&self, added: &str, used: bool) -> String {
        format!("added {added} · {}", if used { "last used" } else { "not used yet" })
    }

    pub(crate) fn factor_on(&self, since: &str, codes: i64) -> String {
        let codes = match codes {
            0 => "No recovery code is left".to_owned(),
            1 => "1 recovery code is left".to_owned(),
            codes => format!("{codes} recovery codes are left"),
        };
        format!("Since {since}. {codes}.")
    }

    pub(crate) fn browser_note(&self, began: Option<&str>, seen: bool) -> String {
        let seen = if seen { "last used" } else { "" };
        match began {
            Some(began) if !seen.is_empty() => format!("signed in {began} · {seen}"),
            Some(began) => format!("signed in {began}"),
            None => seen.into(),
        }
    }

    pub(crate) fn sign_browser_out(&self, browser: &str) -> String {
        format!("Sign out {browser}")
    }

    /// What was changed about how a person comes in.
    pub(crate) fn way_in_changed(&self, change: &str) -> Option<&'static str> {
        Some(match change {
            "passkey_added" => "added a passkey",
            "passkey_renamed" => "renamed a passkey",
            "passkey_removed" => "removed a passkey",
            "second_factor_set" => "set up an authenticator app",
            "second_factor_removed" => "turned an authenticator app off",
            "session_ended" => "signed a browser out",
            _ => return None,
        })
    }
}
