//! The demo's configuration file: made at its first start, and the user's from then on, but for where the simulators are.

use super::{CONTACT, GATES, WIRED, is_simulated, studio};
use crate::failure::Failure;
use doorward_sim::legrand;
use doorward_wire::account::AccountId;
use std::{fs, io::ErrorKind, path::Path};

/// Writes the file, or puts the simulators' addresses in it right: their ports change when another program has them.
pub(super) fn configure(folder: &Path, gates: &legrand::Sim, subscription_key: &str) -> Result<(), Failure> {
    let file = folder.join("doorward.toml");
    let (cloud, sip) = (gates.base_url(), gates.sip_addr().to_string());
    let text = match fs::read_to_string(&file) {
        Ok(text) => moved(&text, &cloud, &sip),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(made(&cloud, &sip, subscription_key)),
        // What is wrong with it is told where the configuration is read.
        Err(_) => None,
    };
    if let Some(text) = text {
        fs::write(&file, text)?;
    }
    Ok(())
}

/// The second account and the contact of its gate, as a configuration file says them.
fn made(cloud: &str, sip: &str, subscription_key: &str) -> String {
    let (gateway, gate) = WIRED;
    format!(
        "# Made by `doorward demo`, and yours from now on. Addresses at 127.0.0.1 are the simulators' and follow their ports.\n\n\
         [[accounts]]\nkind = \"bticino\"\nname = \"BTicino (simulated)\"\n\
         login_url = \"{cloud}\"\napi_url = \"{cloud}\"\nsip_server = \"{sip}\"\nsubscription_key = \"{subscription_key}\"\n\n\
         # The contact of this gate tells over MQTT what the gate really did.\n\
         [[doors]]\nid = \"driveway_gate\"\nname = \"Driveway gate\"\naccount = \"{GATES}\"\nexternal = \"{gateway}/{gate}\"\n\
         contact = {{ mqtt = \"{CONTACT}\", open = \"true\" }}\n\n\
         # A lock over Bluetooth, in the simulated air. It opens only above this signal strength.\n\
         [[doors]]\nid = \"{door}\"\nname = \"Studio door\"\nkind = \"radio\"\nrssi = -70\n\
         open = {{ mqtt = \"{strike}\", payload = \"OPEN\" }}\n\
         contact = {{ mqtt = \"{seen}\", open = \"true\" }}\n",
        door = studio::DOOR,
        strike = studio::STRIKE,
        seen = studio::CONTACT,
    )
}

/// The file with the addresses at which the simulated gates are now, and else as it is. `None` when there is nothing to
/// put right.
fn moved(text: &str, cloud: &str, sip: &str) -> Option<String> {
    let file: toml::Table = text.parse().ok()?;
    let account = file.get("accounts")?.as_array()?.iter().find(|account| is_ours(account))?;
    let mut moved = text.to_owned();
    for (key, now) in [("login_url", cloud), ("api_url", cloud), ("sip_server", sip)] {
        let before = account.get(key).and_then(toml::Value::as_str).filter(|before| is_simulated(before));
        let Some(before) = before else { continue };
        for quote in ['"', '\''] {
            moved = moved.replace(&format!("{quote}{before}{quote}"), &format!("{quote}{now}{quote}"));
        }
    }
    (moved != text).then_some(moved)
}

fn is_ours(account: &toml::Value) -> bool {
    let text = |key: &str| account.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    AccountId::from_name(text("name"), text("kind")).as_str() == GATES
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: (&str, &str) = ("http://127.0.0.1:4001", "127.0.0.1:4002");
    const NOW: (&str, &str) = ("http://127.0.0.1:5001", "127.0.0.1:5002");

    #[test]
    fn the_file_follows_the_simulators_and_nothing_else_in_it_changes() {
        let then = made(THEN.0, THEN.1, "key");
        assert_eq!(moved(&then, THEN.0, THEN.1), None, "they are where they were");
        assert_eq!(moved(&then, NOW.0, NOW.1), Some(made(NOW.0, NOW.1, "key")));

        let ours =
            |text: &str| text.replacen("[[doors]]", "[log]\nlevel = \"debug\" # mine\n\n[[doors]]", 1).replace(" gate\"", " gate (mine)\"");
        assert_eq!(moved(&ours(&then), NOW.0, NOW.1), Some(ours(&made(NOW.0, NOW.1, "key"))));
    }

    #[test]
    fn an_address_that_somebody_set_stays() {
        let then = made(THEN.0, THEN.1, "key");
        let set =
            then.replace(&format!("api_url = \"{}\"", THEN.0), "api_url = \"http://localhost:9001\"").replace(THEN.1, "sip.example:5228");
        let expected = set.replace(THEN.0, NOW.0);
        assert_eq!(moved(&set, NOW.0, NOW.1), Some(expected));
        for other in [then.replace("(simulated)", "(real)"), "accounts = 1".into(), "not TOML".into(), String::new()] {
            assert_eq!(moved(&other, NOW.0, NOW.1), None, "{other}");
        }
    }
}
