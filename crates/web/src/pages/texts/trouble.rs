//! Errors as sentences.

use super::Texts;
use crate::ApiError;

impl Texts {
    /// An error as a sentence. Those of the API begin small and end without a stop.
    pub(crate) fn explain(&self, error: &ApiError) -> String {
        let text = if let ApiError::RateLimited(seconds) = error {
            format!("Too many tries. Wait {seconds} seconds, then try again.")
        } else {
            error.to_string()
        };
        self.sentence(&text)
    }

    /// A text with a capital at its beginning and a stop at its end.
    pub(crate) fn sentence(&self, text: &str) -> String {
        let mut chars = text.chars();
        let mut out: String = chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect());
        if !out.ends_with(['.', '!', '?', '…']) {
            out.push('.');
        }
        out
    }
}
