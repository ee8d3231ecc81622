//! Secrets from a file, from standard input, or asked for without showing them.

use crate::failure::Failure;
use doorward_core::Secret;
use std::{io::Read, path::Path};

pub(crate) fn secret(file: Option<&Path>, question: &str) -> Result<Secret<String>, Failure> {
    let text = match file {
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().take(64 * 1024).read_to_string(&mut text)?;
            text
        }
        Some(path) => {
            std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?
        }
        None => rpassword::prompt_password(format!("{question}: "))
            .map_err(|error| Failure::usage(format!("{question} cannot be asked for: {error}")).and("name a file that holds it instead"))?,
    };
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Asks for a new secret twice, unless it comes from a file.
pub(crate) fn new_secret(file: Option<&Path>, question: &str) -> Result<Secret<String>, Failure> {
    let first = secret(file, question)?;
    if file.is_none() && secret(None, &format!("{question}, again"))? != first {
        return Err(Failure::usage("the two differ; nothing was changed"));
    }
    Ok(first)
}

/// A line from standard input.
pub(crate) fn line(question: &str) -> Result<String, Failure> {
    eprint!("{question}: ");
    let mut text = String::new();
    if std::io::stdin().read_line(&mut text)? == 0 {
        return Err(Failure::usage("nothing was given"));
    }
    Ok(text.trim().to_owned())
}

/// The next line from standard input that is not empty, while other things happen. Never, when there is none.
pub(crate) async fn later() -> String {
    let (sender, line) = tokio::sync::oneshot::channel();
    // A thread of its own: reading cannot be given up, and must not hold up the end of the program.
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines().map_while(Result::ok);
        let given = lines.map(|line| line.trim().to_owned()).find(|line| !line.is_empty());
        given.map(|line| sender.send(line))
    });
    match line.await {
        Ok(line) => line,
        Err(_) => std::future::pending().await,
    }
}
