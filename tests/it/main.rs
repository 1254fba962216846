//! Every promise of the gateway, held against the running program: real HTTP, real databases.

mod browser;
mod catalogue;
mod contract;
mod deletion;
mod smoke;
mod support;
