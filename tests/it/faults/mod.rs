//! Deletion under faults: whatever dies, stands still, disappears or gets in the way, every deletion ends as the
//! uninterrupted one does, counts each row once, and leaves all others as they were.

mod clocks;
mod crowd;
mod cuts;
mod fence;
mod foreign_keys;
mod leases;
mod pauses;
mod points;
mod process;
mod proof;
mod schema;
mod server;
mod soak;
mod standing;
mod states;
mod storage;
mod victim;
mod worker;
mod writers;

pub use process::Gateway;
