//! Files from beside the database that belong to the house: what a backup carries of them, and where a restore puts them.
//!
//! | in a backup | here |
//! |---|---|
//! | `doorward.toml`, and `.env` beside it | wherever they lay; put back into the data folder |
//! | `ble/keys/…` | the folder that `ble.keys` names; put back into the data folder |
//!
//! What else a configuration names, such as certificates of listeners, is somebody else's and not in a backup.

use crate::{
    cli::Global,
    config::{BLE_KEYS, CONFIG_FILE, Config, ENV_FILE, read_config},
    data::Data,
};
use doorward_store::{Beside, Put};
use std::path::{Component, Path, PathBuf};

/// What a backup carries, by the names that it has there.
pub(crate) fn places(config: &Config, file: &Path) -> Vec<(String, PathBuf)> {
    let place = |name: &str, path: PathBuf| (name.to_owned(), path);
    vec![place(CONFIG_FILE, file.into()), place(ENV_FILE, file.with_file_name(ENV_FILE)), place(BLE_KEYS, config.ble.keys.clone())]
}

/// What a restore did with the files of a backup.
#[derive(Debug, Default)]
pub(crate) struct PutBack {
    /// Where they lie now, in the order of the backup.
    pub(crate) files: Vec<PathBuf>,
    /// What a person should know before the house is started.
    pub(crate) warnings: Vec<String>,
}

impl PutBack {
    /// Puts the files of a house into its folder. `url` is the database that the house is restored into.
    pub(crate) fn put(&mut self, global: &Global, data: &Data, url: &str, files: &[Beside]) -> Result<(), String> {
        let mut new = Vec::new();
        for file in files {
            let Some(path) = place_of(&data.path, &file.name) else {
                self.warnings.push(format!("{} in this backup is nothing that this version knows, and was left out", file.name));
                continue;
            };
            match file.put(&path).map_err(|error| format!("{} cannot be written: {error}", path.display()))? {
                Put::New => new.push(path.clone()),
                Put::Same => {}
                Put::Aside(aside) => {
                    let (path, aside) = (path.display(), aside.display());
                    self.warnings
                        .push(format!("{path} was there already and stays. The one of the backup is another, and lies beside it: {aside}"));
                    continue;
                }
            }
            self.files.push(path);
        }
        new.retain(|path| path.parent() == Some(&data.path));
        self.look_at_configuration(global, data, url, &new)
    }

    /// A configuration that leads elsewhere must not count at the next start.
    fn look_at_configuration(&mut self, global: &Global, data: &Data, url: &str, new: &[PathBuf]) -> Result<(), String> {
        let wrong = match read_config(global, None) {
            Ok(config) if data.store_url(&config.store.url) == url => {
                if url_in_file(data).is_some_and(|named| data.store_url(&named) != url) {
                    let warning = "doorward.toml names another database, and the environment (DOORWARD_STORE__URL) this one: \
                                   set it at each start, or change store.url there";
                    self.warnings.push(warning.into());
                }
                if self.has_keys(data) && config.ble.keys != data.path.join(BLE_KEYS) {
                    let (here, there) = (data.path.join(BLE_KEYS), config.ble.keys);
                    self.warnings.push(format!("ble.keys names {}: move the keys there from {}", there.display(), here.display()));
                }
                return Ok(());
            }
            Ok(_) => "names another database than the one that was restored into: change store.url there".to_owned(),
            Err(failure) => format!("cannot be used here: {}", failure.lines.join(" ")),
        };
        for path in new {
            let aside = path.with_file_name(format!("{}.restored", path.file_name().unwrap_or_default().display()));
            std::fs::rename(path, &aside).map_err(|error| format!("{} cannot be renamed: {error}", path.display()))?;
            self.files.iter_mut().filter(|file| *file == path).for_each(|file| file.clone_from(&aside));
        }
        let names: Vec<_> = new.iter().map(|path| format!("{}.restored", path.display())).collect();
        self.warnings
            .push(format!("the configuration of the backup {wrong}. It lies under {}; rename it when it is right", names.join(", ")));
        Ok(())
    }

    fn has_keys(&self, data: &Data) -> bool {
        self.files.iter().any(|file| file.starts_with(data.path.join(BLE_KEYS)))
    }
}

/// What the configuration file alone names.
fn url_in_file(data: &Data) -> Option<String> {
    let file: toml::Table = std::fs::read_to_string(data.path.join(CONFIG_FILE)).ok()?.parse().ok()?;
    file.get("store")?.get("url")?.as_str().map(ToOwned::to_owned)
}

/// Where a file of a backup belongs; nowhere when its name is none of ours, or leads out of the folder.
fn place_of(data: &Path, name: &str) -> Option<PathBuf> {
    let is_one_name =
        |name: &str| matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(part)] if part == name);
    match name {
        CONFIG_FILE | ENV_FILE => Some(data.join(name)),
        name => {
            let key = name.strip_prefix(BLE_KEYS)?.strip_prefix('/')?;
            (is_one_name(key) && !key.starts_with('.') && !key.contains('\0')).then(|| data.join(BLE_KEYS).join(key))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::place_of;
    use std::path::{Path, PathBuf};

    #[test]
    fn a_name_that_leads_elsewhere_has_no_place() {
        let data = Path::new("/data");
        let places =
            [("doorward.toml", "/data/doorward.toml"), (".env", "/data/.env"), ("ble/keys/a_v2.secret", "/data/ble/keys/a_v2.secret")];
        for (name, path) in places {
            assert_eq!(place_of(data, name), Some(PathBuf::from(path)));
        }
        let nowhere =
            ["", "master.key", "doorward.db", "../doorward.toml", "/etc/passwd", "ble/keys", "ble/keys/", "ble/keys/..", "ble/keys/."];
        let hidden =
            ["ble/keys/../x", "ble/keys/a/b", "ble/keys//etc/x", "ble/keys/.x", "ble/keysx", "ble/keys/a/", "ble/keys/./a", "ble/keys/a\0"];
        for name in nowhere.into_iter().chain(hidden) {
            assert_eq!(place_of(data, name), None, "{name}");
        }
    }
}
