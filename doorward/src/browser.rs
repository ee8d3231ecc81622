//! The person's browser.

use reqwest::Url;
use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

/// What opens an address on a desktop: macOS, freedesktop.org, Windows' Linux. Elsewhere `open` is another program.
const OPENERS: &[&str] = if cfg!(target_os = "macos") { &["open"] } else { &["xdg-open", "wslview"] };

/// Opens a page in the person's browser, if there is a display to show one on. Says whether a browser was started, not
/// whether it shows the page.
pub(crate) fn open(url: &Url) -> bool {
    started(url, |name| std::env::var_os(name).filter(|value| !value.is_empty())).is_some()
}

fn started(url: &Url, variable: impl Fn(&str) -> Option<OsString>) -> Option<Child> {
    let display = cfg!(target_os = "macos") || variable("DISPLAY").is_some() || variable("WAYLAND_DISPLAY").is_some();
    if !display || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    // Commands between colons; %s is the address, which else comes last.
    let chosen = variable("BROWSER").and_then(|chosen| chosen.into_string().ok()).unwrap_or_default();
    let chosen = chosen.split(':').map(|command| command.split_whitespace().collect::<Vec<_>>()).filter(|command| !command.is_empty());
    let openers = OPENERS.iter().map(|opener| vec![*opener]);
    chosen.chain(openers).find_map(|command| start(&command, url))
}

/// Starts a command without a shell and without waiting for it. Ctrl-C at this terminal is not for the browser.
fn start(command: &[&str], url: &Url) -> Option<Child> {
    let (program, arguments) = command.split_first()?;
    let named = arguments.iter().any(|argument| argument.contains("%s"));
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|argument| argument.replace("%s", url.as_str())));
    if !named {
        command.arg(url.as_str());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

    /// A browser that writes what it is given to a file beside it.
    fn browser(folder: &Path) -> String {
        let script = folder.join("browser");
        fs::write(&script, "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$0.given\"\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        script.to_str().unwrap().to_owned()
    }

    fn given(browser: &str, environment: &[(&str, &str)], url: &str) -> Option<String> {
        let environment: HashMap<&str, &str> = environment.iter().copied().collect();
        let url = Url::parse(url).unwrap();
        started(&url, |name| environment.get(name).map(OsString::from))?.wait().unwrap();
        Some(fs::read_to_string(format!("{browser}.given")).unwrap())
    }

    #[test]
    fn a_browser_is_given_the_address_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let browser = browser(folder.path());
        let url = "http://localhost:8080/t?a=b&c=$(touch%20x);%22";
        for (chosen, words) in [
            (browser.clone(), format!("{url}\n")),
            (format!("no-such-browser:{browser} --new"), format!("--new\n{url}\n")),
            (format!("{browser} --url=%s -x"), format!("--url={url}\n-x\n")),
        ] {
            for display in ["DISPLAY", "WAYLAND_DISPLAY"] {
                let environment = [("BROWSER", chosen.as_str()), (display, "x")];
                assert_eq!(given(&browser, &environment, url), Some(words.clone()), "{chosen}");
            }
        }
    }

    #[test]
    fn without_a_display_or_for_another_scheme_nothing_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let browser = browser(folder.path());
        if !cfg!(target_os = "macos") {
            assert_eq!(given(&browser, &[("BROWSER", &browser)], "http://localhost"), None);
        }
        for url in ["file:///etc/passwd", "com.app.diy://back", "javascript:1"] {
            assert_eq!(given(&browser, &[("BROWSER", &browser), ("DISPLAY", "x")], url), None, "{url}");
        }
    }
}
