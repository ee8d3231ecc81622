//! `doorward device image`: the partition with which a device is flashed in a factory.

use crate::{
    client::Client,
    commands::ask,
    failure::{Exit, Failure, Outcome},
    output,
    serve::write_private,
};
use doorward_wire::{
    device::Provisioned,
    nvs::{self, Value},
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// What is asked for.
pub(super) struct Wish {
    pub(super) id: String,
    pub(super) out: PathBuf,
    pub(super) wifi_ssid: Option<String>,
    pub(super) wifi_password_file: Option<PathBuf>,
    pub(super) size: String,
    pub(super) offset: String,
    pub(super) namespace: String,
}

pub(super) async fn run(client: &Client, as_json: bool, wish: &Wish) -> Outcome {
    let (size, offset) = (number(&wish.size)?, number(&wish.offset)?);
    let wifi_password = match (&wish.wifi_ssid, &wish.wifi_password_file) {
        (Some(_), file) => ask::secret(file.as_deref(), "Password of the Wi-Fi")?.reveal().clone(),
        (None, _) => String::new(),
    };
    let told: Provisioned = client.post("/devices", json!({ "id": wish.id })).await?;
    let text = |value: &str| Value::Text(value.to_owned());
    let mut values = Vec::new();
    if let Some(ssid) = &wish.wifi_ssid {
        values.extend([("wifi_ssid", text(ssid)), ("wifi_pass", text(&wifi_password))]);
    }
    values.extend([
        ("mqtt_host", text(&told.mqtt_host)),
        ("mqtt_user", text(&told.mqtt_user)),
        ("mqtt_pass", text(&told.mqtt_password)),
        ("device_token", text(&told.device_token)),
        // No firmware in the field reads it; the original's guide has it.
        ("provisioned", Value::Byte(1)),
    ]);
    let image = nvs::partition(&wish.namespace, &values, size).map_err(|error| Failure::usage(error.to_string()))?;
    let list = wish.out.with_extension("csv");
    let cannot = |path: &Path, error: std::io::Error| Failure::failed(format!("{} cannot be written: {error}", path.display()));
    write_private(&wish.out, &image).map_err(|error| cannot(&wish.out, error))?;
    write_private(&list, nvs::csv(&wish.namespace, &values).as_bytes()).map_err(|error| cannot(&list, error))?;
    let flash = format!("esptool.py --chip esp32s3 --port /dev/ttyUSB0 write_flash {offset:#x} {}", wish.out.display());
    if as_json {
        output::json(
            &json!({ "device_id": told.device_id, "image": wish.out, "csv": list, "size": size, "offset": offset, "flash": flash }),
        );
        return Ok(Exit::Done);
    }
    output::line(&format!(
        "{} holds the credentials of {}, and {} the same for ESP-IDF's generator.",
        wish.out.display(),
        told.device_id,
        list.display()
    ));
    output::line(&format!("Flash it:\n  {flash}"));
    output::note("Neither file is encrypted: whoever has one is this device. Delete them once it is flashed.");
    Ok(Exit::Done)
}

/// `20480` or `0x5000`.
fn number(text: &str) -> Result<usize, Failure> {
    let number = text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| usize::from_str_radix(digits, 16).ok());
    number.filter(|number| *number <= 1 << 24).ok_or_else(|| Failure::usage(format!("“{text}” is no number such as 0x5000")))
}
