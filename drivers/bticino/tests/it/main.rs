//! The driver against a simulated cloud, and against servers that answer as no cloud should.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod account;
mod answers;
mod authority;
mod browser;
mod captures;
mod conformance;
mod corpus;
mod driver;
mod examples;
mod forget;
mod kamailio;
mod line;
mod openssl;
mod proxy;
mod sipp;
mod support;
mod tap;
mod until;
mod upstream;
