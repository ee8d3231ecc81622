//! BTicino and Legrand door entry: gates and locks behind an intercom of theirs.
//!
//! [`csr`] asks the vendor's authority for the client certificate, with which the SIP server lets a client in; [`digest`]
//! says who a request is from; [`files`] are the original's, taken over;
//! [`proxy`] shows a browser the vendor's sign-in, which ends where only an app can go.
//!
//! It must never send an opening twice, and never believe that a gate moved because the vendor took the command.

pub mod csr;
pub mod digest;
pub mod files;
pub mod proxy;
pub mod sip;
