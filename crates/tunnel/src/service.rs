//! What a request may ask for.

pub(crate) mod doors;
pub(crate) mod http;
pub(crate) mod mqtt;
