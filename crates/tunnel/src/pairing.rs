//! Giving a key to a phone: a link that holds it in its fragment, and a code to photograph.
//!
//! Browsers do not send a fragment, so no server on the way sees the secret; whoever sees the code has it.

use doorward_core::Secret;
use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write as _;

/// Modules of white around a code (ISO/IEC 18004, section 5.3.8).
const QUIET: i32 = 4;

/// What a phone is given: a link to the page that opens doors, when the house has an address, and the secret alone when not.
/// In the link are the key's secret (`k`) and name (`n`), and the pin of the house's own key (`p`), for version 2 of the wire.
pub fn code(public_url: Option<&str>, name: &str, secret: &Secret<String>, pin: &str) -> Secret<String> {
    Secret::new(match public_url {
        Some(url) => format!("{url}/remote#k={}&n={name}&p={pin}", secret.reveal()),
        None => secret.reveal().clone(),
    })
}

/// A code as a picture, black on white whatever is around it. `None` when the text is too long for one.
pub fn svg(text: &Secret<String>, label: &str) -> Option<String> {
    let code = QrCode::encode_text(text.reveal(), QrCodeEcc::Medium).ok()?;
    let side = code.size() + 2 * QUIET;
    let mut path = String::new();
    for (x, y) in dark(&code) {
        let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
    }
    Some(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"{label}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

/// A code for a terminal: two rows of modules in each line, black on white whatever its colours are.
pub fn terminal(text: &Secret<String>) -> Option<String> {
    let code = QrCode::encode_text(text.reveal(), QrCodeEcc::Low).ok()?;
    let mut out = String::new();
    for y in (-QUIET..code.size() + QUIET).step_by(2) {
        out.push_str("\u{1b}[38;5;16;48;5;231m");
        for x in -QUIET..code.size() + QUIET {
            out.push(match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push_str("\u{1b}[0m\n");
    }
    Some(out)
}

fn dark(code: &QrCode) -> impl Iterator<Item = (i32, i32)> + '_ {
    (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y))).filter(|(x, y)| code.get_module(*x, *y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_link_with_the_secret_in_its_fragment() {
        let secret = Secret::from("ab".repeat(32).as_str());
        let link = code(Some("https://doors.example"), "anna", &secret, "pin");
        assert_eq!(link.reveal(), &format!("https://doors.example/remote#k={}&n=anna&p=pin", "ab".repeat(32)));
        assert_eq!(code(None, "anna", &secret, "pin").reveal(), secret.reveal());
        let picture = svg(&link, "Pairing code").unwrap();
        assert!(picture.starts_with("<svg class=\"qr\"") && !picture.contains(secret.reveal().as_str()));
        let lines = terminal(&link).unwrap();
        let widths: Vec<usize> = lines.lines().map(|line| line.chars().filter(|letter| " ▀▄█".contains(*letter)).count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]) && widths.len() == widths[0].div_ceil(2), "it is a square");
    }
}
