//! Deletion under faults: whatever dies, stands still, disappears or gets in the way, every deletion ends as the
//! uninterrupted one does, counts each row once, and leaves all others as they were.

mod leases;
mod points;
mod process;
mod victim;
