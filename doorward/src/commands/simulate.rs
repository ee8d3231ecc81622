//! `doorward sim …`

use crate::{
    cli::{Global, Rotation, Sim},
    config::LogFormat,
    data,
    failure::{Exit, Failure, Outcome},
    logging, output, serve,
};
use doorward_sim::utec;

pub(crate) async fn run(global: &Global, sim: Sim) -> Outcome {
    logging::start("info", LogFormat::Text, global.debug);
    let stop = serve::told_to_stop()?;
    let Sim::Utec { listen, seed, rotation, expires_in } = sim;
    let rotation = match rotation {
        Rotation::Grace => utec::Rotation::Grace,
        Rotation::Strict => utec::Rotation::Strict,
        Rotation::Fixed => utec::Rotation::Fixed,
    };
    let dir = global.data.as_ref().map(|folder| data::folder(Some(folder)).join("sim"));
    let config = utec::Config { listen, seed, rotation, expires_in, dir, ..utec::Config::default() };
    let (key, secret) = (config.client_id.clone(), config.client_secret.clone());
    let sim = utec::start(config).await.map_err(|error| Failure::failed(format!("the simulator cannot start at {listen}: {error}")))?;
    output::line(&format!("The simulated U-tec cloud is at {}", sim.base_url()));
    output::line(&format!("  base_url and oauth_base_url  {}", sim.base_url()));
    output::line(&format!("  access_key                   {key}"));
    output::line(&format!("  secret_key                   {secret}"));
    output::line(&format!("  locks, faults, pushes        {}/  (GET /sim/state, PUT /sim/faults)", sim.base_url()));
    stop.await;
    sim.stop().await;
    Ok(Exit::Done)
}
