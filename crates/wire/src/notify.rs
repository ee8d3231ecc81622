//! Notifications: what people are told of, and by which way.

use crate::words::words;

words! {
    /// What people are told of.
    pub enum NotifyKind {
        /// Somebody rang.
        Ring = "ring",
        /// A bolt is stuck.
        Jam = "jam",
        /// A door was seen to do the opposite of what was asked.
        Contradiction = "contradiction",
        /// Somebody opened a door who is forced to.
        Duress = "duress",
        /// A battery is low.
        Battery = "battery",
        /// An account must be signed in again.
        SignIn = "sign_in",
        /// A door can no longer be reached.
        Offline = "offline",
    }
}

words! {
    /// How people are told.
    pub enum NotifyChannel {
        /// Browsers that asked for it, through their push service (Web Push).
        Push = "push",
        /// A topic of an ntfy server.
        Ntfy = "ntfy",
        /// Mail.
        Mail = "mail",
    }
}
