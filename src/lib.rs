//! A GraphQL gateway over the database of a multi-tenant voice-AI platform: exact statistics of a
//! tenant, and its complete erasure. `ARCHITECTURE.md` walks through the parts.

pub mod clock;
pub mod database;
pub mod storage;
