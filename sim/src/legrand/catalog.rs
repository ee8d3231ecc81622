//! Plants and their modules, as the service catalogue writes them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::api::{Asked, Outcome, Refusal};
use super::faults::Faults;
use super::openers::Opener;
use super::spec::{GatewaySpec, OpenerKind, PanelSpec, PlantSpec};
use super::world::{State, World};

/// `GET …/plants`
#[expect(clippy::unnecessary_wraps, reason = "as every call")]
pub(crate) fn plants(asked: &Asked<'_>) -> Outcome {
    let list = asked.world.look(|state, _| {
        let plants = state.plants().filter(|plant| plant.owner == asked.oid).map(|plant| plant_written(asked.world, plant));
        listed("plants", plants.collect(), &state.faults)
    });
    Ok((StatusCode::OK, list))
}

/// `GET …/plants/{id}`
pub(crate) fn plant(asked: &Asked<'_>) -> Outcome {
    let found = asked.world.look(|state, _| {
        let plant = state.plants().find(|plant| plant.id == asked.id && plant.owner == asked.oid)?;
        let written = plant_written(asked.world, plant);
        Some(if state.faults.plant_wrapped { json!({ "plant": written }) } else { written })
    });
    Ok((StatusCode::OK, found.ok_or_else(|| Refusal::gone("plant"))?))
}

/// `GET …/modules`: those of all plants.
#[expect(clippy::unnecessary_wraps, reason = "as every call")]
pub(crate) fn modules(asked: &Asked<'_>) -> Outcome {
    let list = asked.world.look(|state, _| listed("modules", all(state, asked.oid), &state.faults));
    Ok((StatusCode::OK, list))
}

/// `GET …/modules/{id}`
pub(crate) fn module(asked: &Asked<'_>) -> Outcome {
    let is_it = |module: &Value| [&module["id"], &module["entityId"]].iter().any(|id| **id == asked.id);
    let found = asked.world.look(|state, _| all(state, asked.oid).into_iter().find(is_it));
    Ok((StatusCode::OK, found.ok_or_else(|| Refusal::gone("module"))?))
}

/// A list, bare or wrapped.
pub(crate) fn listed(name: &str, list: Vec<Value>, faults: &Faults) -> Value {
    if faults.lists_wrapped { json!({ name: list }) } else { Value::Array(list) }
}

fn plant_written(world: &World, plant: &PlantSpec) -> Value {
    let owner = world.person(&plant.owner);
    let mut written = json!({
        "id": plant.id,
        "name": plant.name,
        "type": plant.kind,
        "ownerId": plant.owner,
        "ownerEmail": owner.map(|owner| &owner.email),
    });
    if let Some(country) = &plant.country {
        written["country"] = json!(country);
    }
    written
}

fn all(state: &State, oid: &str) -> Vec<Value> {
    let mut modules = Vec::new();
    for plant in state.plants().filter(|plant| plant.owner == oid) {
        for gateway in &plant.gateways {
            modules.push(gateway_written(plant, gateway, &state.faults));
            let openers = state.openers.iter().filter(|opener| opener.gateway == gateway.id && !opener.works.deleted);
            modules.extend(openers.map(|opener| opener_written(plant, opener, &state.faults)));
            modules.extend(gateway.panels.iter().map(|panel| panel_written(plant, gateway, panel, &state.faults)));
        }
    }
    modules
}

fn gateway_written(plant: &PlantSpec, gateway: &GatewaySpec, faults: &Faults) -> Value {
    let id = if faults.gateway_with_entity_id { "entityId" } else { "id" };
    belonging(
        plant,
        faults,
        json!({
            id: gateway.id,
            "name": gateway.name,
            "device": "gateway",
            "deviceType": "gateway",
            "model": "bs-classe100x",
            "firmwareVersion": "1.5.8",
            "status": "CONNECTED",
        }),
    )
}

fn opener_written(plant: &PlantSpec, opener: &Opener, faults: &Faults) -> Value {
    let (device, kind) = match opener.spec.kind {
        OpenerKind::Gate => ("gate", "Gate"),
        OpenerKind::Strike => ("lock", "Lock"),
    };
    let id = &opener.spec.id;
    belonging(
        plant,
        faults,
        json!({ "id": id, "name": opener.spec.name, "gatewayId": opener.gateway, "device": device, "deviceType": kind }),
    )
}

fn panel_written(plant: &PlantSpec, gateway: &GatewaySpec, panel: &PanelSpec, faults: &Faults) -> Value {
    belonging(
        plant,
        faults,
        json!({ "id": panel.id, "name": panel.name, "gatewayId": gateway.id, "device": "externalUnit", "deviceType": "EU" }),
    )
}

fn belonging(plant: &PlantSpec, faults: &Faults, mut module: Value) -> Value {
    let plant_id = if faults.plant_id_in_snake_case { "plant_id" } else { "plantId" };
    module[plant_id] = json!(plant.id);
    module
}
