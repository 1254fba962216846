//! A GraphQL gateway over the database of a multi-tenant voice-AI platform: exact statistics of a
//! tenant, and its complete erasure. `ARCHITECTURE.md` walks through the parts.

pub mod app;
pub mod auth;
pub mod cascade;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod deletion;
pub mod demo;
pub mod faults;
pub mod graphql;
pub mod http;
pub mod metrics;
pub mod paging;
pub mod storage;
pub mod telemetry;
pub mod tenant;
pub mod usage;
pub mod workers;
