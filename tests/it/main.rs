//! Every promise of the gateway, held against the running program: real HTTP, real databases.

mod browser;
mod smoke;
mod support;
