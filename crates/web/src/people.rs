//! People, what they may open, and passes for guests: the one way in for API, pages and command line.
//!
//! * [`roles`] says what a role may do beside doors, and keeps one administrator in the house.
//! * [`rights`] gives rights to people and groups: nobody gives what they do not have.
//! * [`passes`] makes passes, changes them and takes them back.
//! * [`compile`] brings locks to keep codes for passes, where they can.
//! * [`access`] explains who may open a door, and why.
//!
//! Each change is written in one commit with the event that tells of it. Names of people and guests stand outside the audit.

pub(crate) mod access;
pub mod compile;
pub(crate) mod passes;
pub(crate) mod phones;
pub(crate) mod rights;
pub(crate) mod roles;
