//! Arrows point one way (ARCHITECTURE.md).

use std::{collections::BTreeSet, process::Command};

/// Everything that a package depends on in the end, without dev-dependencies.
fn tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", package])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split(' ').next()).filter(|name| *name != package).map(str::to_owned).collect()
}

#[test]
fn wire_and_core_know_no_sockets() {
    for package in ["doorward-wire", "doorward-core"] {
        let tree = tree(package);
        for forbidden in ["tokio", "axum", "sqlx", "hyper", "reqwest", "mio", "socket2", "rustls"] {
            assert!(!tree.contains(forbidden), "{package} must not depend on {forbidden}");
        }
    }
}

#[test]
fn arrows_point_one_way() {
    let allowed: [(&str, &[&str]); 17] = [
        ("doorward-wire", &[]),
        ("doorward-core", &["wire"]),
        ("doorward-store", &["wire", "core"]),
        ("doorward-engine", &["wire", "core", "store"]),
        ("doorward-mqtt", &["wire", "core", "http", "store", "engine"]),
        ("doorward-listen", &["wire", "core", "http"]),
        ("doorward-tunnel", &["wire", "core", "http", "listen", "store", "engine", "mqtt"]),
        ("doorward-fleet", &["wire", "core", "http", "listen", "store", "engine", "mqtt"]),
        ("doorward-web", &["wire", "core", "http", "listen", "store", "engine", "mqtt", "tunnel", "fleet"]),
        ("doorward-http", &["wire", "core"]),
        ("doorward-oauth", &["wire", "core", "http"]),
        ("doorward-bticino", &["wire", "core", "http", "oauth"]),
        ("doorward-utec", &["wire", "core", "http", "oauth"]),
        ("doorward-foreign", &["wire", "core", "http"]),
        ("doorward-ble", &["wire", "core"]),
        ("doorward-sim", &["wire"]),
        (
            "doorward",
            &[
                "wire", "core", "store", "engine", "mqtt", "listen", "tunnel", "fleet", "web", "http", "oauth", "bticino", "utec",
                "foreign", "ble", "sim",
            ],
        ),
    ];
    for (package, allowed) in allowed {
        let own: Vec<String> = tree(package).into_iter().filter_map(|name| name.strip_prefix("doorward-").map(str::to_owned)).collect();
        for name in own {
            assert!(allowed.contains(&name.as_str()), "{package} must not depend on doorward-{name}");
        }
    }
}
