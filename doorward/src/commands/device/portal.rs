//! `doorward device portal`: an unconfigured device opens an access point with a form; this machine joins it, and fills the form in.

use super::serial::online;
use crate::{
    client::Client,
    commands::{ask, deadline::Deadline},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_wire::device::Provisioned;
use serde_json::json;
use std::{path::PathBuf, time::Duration};

/// How long one try of the portal may take.
const TRY: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// What is asked for.
pub(super) struct Wish {
    pub(super) id: String,
    pub(super) wifi_ssid: String,
    pub(super) wifi_password_file: Option<PathBuf>,
    pub(super) address: String,
    pub(super) wait: Duration,
    pub(super) name: Option<String>,
}

pub(super) async fn run(client: &Client, as_json: bool, wish: &Wish) -> Outcome {
    let password = ask::secret(wish.wifi_password_file.as_deref(), "Password of the Wi-Fi")?;
    if password.reveal().is_empty() {
        return Err(Failure::usage("the device's form takes no Wi-Fi without a password"));
    }
    let base: reqwest::Url =
        wish.address.parse().map_err(|_| Failure::usage(format!("“{}” is no address such as http://192.168.4.1", wish.address)))?;
    // Before this machine leaves its network for the device's.
    let told: Provisioned = client.post("/devices", json!({ "id": wish.id, "name": wish.name })).await?;
    let say = |text: &str| {
        if !as_json {
            output::note(text);
        }
    };
    say("Its credentials are ready. Join the Wi-Fi “BLE-Gateway-Setup” (password 12345678) with this machine now.");
    let http = reqwest::Client::builder().no_proxy().timeout(TRY).redirect(reqwest::redirect::Policy::none()).build();
    let http = http.map_err(|error| Failure::failed(format!("no HTTP client: {error}")))?;
    wait_for(&http, &base, wish.wait).await?;
    // The firmware stores what is left out as empty, so all five go.
    let form = [
        ("ssid", wish.wifi_ssid.as_str()),
        ("password", password.reveal()),
        ("mqtt_host", &told.mqtt_host),
        ("mqtt_user", &told.mqtt_user),
        ("mqtt_pass", &told.mqtt_password),
    ];
    let save = base.join("save").map_err(|error| Failure::usage(error.to_string()))?;
    let answer = http.post(save).form(&form).send().await;
    let answer = answer.map_err(|error| Failure::failed(format!("the device's form was not taken: {}", error.without_url())))?;
    if !answer.status().is_success() {
        return Err(Failure::failed(format!("the device's form was refused: {}", answer.status())));
    }
    say("The device has it, and starts again. Join your own Wi-Fi again with this machine.");
    let is_online = online_again(client, &told, wish.wait).await?;
    if as_json {
        output::json(&json!({ "device_id": told.device_id, "online": is_online }));
    } else if is_online {
        output::line(&format!("{} is provisioned, and connected to the broker.", told.device_id));
    } else {
        output::warn(&format!(
            "{} has its credentials, and did not connect to the broker in time. Is the password of the Wi-Fi right?",
            told.device_id
        ));
    }
    Ok(if is_online { Exit::Done } else { Exit::Pending })
}

/// Waits until the portal answers: somebody joins its Wi-Fi meanwhile.
async fn wait_for(http: &reqwest::Client, base: &reqwest::Url, wait: Duration) -> Result<(), Failure> {
    let deadline = Deadline::within(wait);
    loop {
        match http.get(base.clone()).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(_) | Err(_) if !deadline.is_over() => tokio::time::sleep(PAUSE).await,
            Ok(answer) => return Err(Failure::failed(format!("{base} answered {}, and is no device's portal", answer.status()))),
            Err(_) => {
                return Err(Failure::new(Exit::Unreachable, format!("no portal answers at {base}"))
                    .and("is this machine in the Wi-Fi “BLE-Gateway-Setup”?"));
            }
        }
    }
}

/// While this machine changes its Wi-Fi a doorward elsewhere cannot be asked.
async fn online_again(client: &Client, told: &Provisioned, wait: Duration) -> Result<bool, Failure> {
    let deadline = Deadline::within(wait);
    loop {
        match online(client, &told.device_id, deadline.left()).await {
            Err(failure) if failure.exit == Exit::Unreachable && !deadline.is_over() => tokio::time::sleep(PAUSE).await,
            ended => return ended,
        }
    }
}
