//! Secrets that cannot be printed or serialised by accident.

use zeroize::Zeroize;

/// A value that is never shown: `Debug` prints `…`, there is no `Display` and no `Serialize`, and its memory is wiped
/// when it goes.
///
/// ```
/// let secret = doorward_core::Secret::new(String::from("hunter2"));
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// assert_eq!(secret.reveal(), "hunter2");
/// ```
///
/// It cannot be printed or serialised:
/// ```compile_fail
/// println!("{}", doorward_core::Secret::new(String::from("hunter2")));
/// ```
/// ```compile_fail
/// serde_json::to_string(&doorward_core::Secret::new(String::from("hunter2")));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value into hiding.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call is a place to look at in a review.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl<'de> serde::Deserialize<'de> for Secret<String> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}
