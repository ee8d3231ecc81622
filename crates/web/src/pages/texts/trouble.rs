//! Errors as sentences.

use super::Texts;
use crate::ApiError;

impl Texts {
    /// An error as a sentence. Those of the API begin small and end without a stop.
    pub(crate) fn explain(&self, error: &ApiError) -> String {
        let text = match error {
            ApiError::RateLimited(1) => "Too many tries. Wait a second, then try again.".into(),
            ApiError::RateLimited(seconds) => format!("Too many tries. Wait {seconds} seconds, then try again."),
            other => other.to_string(),
        };
        let mut chars = text.chars();
        let mut out: String = chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect());
        if !out.ends_with(['.', '!', '?', '…']) {
            out.push('.');
        }
        out
    }
}
