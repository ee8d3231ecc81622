//! The first key of the tunnel: the original gateway's, where there is one, or a new one.

use super::write_private;
use crate::config::TunnelConfig;
use anyhow::{Context, bail};
use doorward_core::Secret;
use doorward_tunnel::{
    Tunnel,
    keys::{from_hex, hex},
};
use doorward_wire::attempt::{Actor, ActorKind};

/// How the first key is called.
const NAME: &str = "first";

/// Takes or makes the first key, where there is none yet. A secret that was made is given back, to be shown once.
pub(super) async fn make(tunnel: &Tunnel, config: &TunnelConfig) -> anyhow::Result<Option<Secret<String>>> {
    if !tunnel.has_no_key() {
        return Ok(None);
    }
    let actor = Actor { kind: ActorKind::System, id: "start".into(), name: None };
    let scopes = tunnel.first_scopes();
    let Some(path) = &config.secret_key_file else {
        let secret = tunnel.add_key(NAME, None, &scopes, &actor).await?;
        return Ok(Some(hex(&secret)));
    };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let Some(secret) = from_hex(&text) else {
                bail!("{} does not hold 64 hexadecimal digits", path.display());
            };
            tunnel.add_key_with(NAME, None, &secret, &scopes, &actor).await?;
            tracing::info!("the tunnel took its first key from {}", path.display());
            Ok(None)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = tunnel.add_key(NAME, None, &scopes, &actor).await?;
            let text = hex(&secret);
            write_private(path, format!("{}\n", text.reveal())).with_context(|| format!("{} cannot be written", path.display()))?;
            tracing::info!("the first key of the tunnel is in {}", path.display());
            Ok(Some(text))
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}
