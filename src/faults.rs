//! Named points at which tests make a process die or stand still.
//!
//! In a debug build the variable `TENANT_GATEWAY_FAULT` names one: `batch.erased=kill@3` kills the
//! process, as SIGKILL does, when it gets there the third time; `batch.erased=stop` lets it stand still
//! until SIGCONT. A release build has none of this.

/// Every point, in the order in which a deletion passes them: after each step, and between any two writes.
pub const POINTS: [&str; 42] = [
    "request.locked",
    "request.marked",
    "request.inserted",
    "request.recorded",
    "request.committed",
    "entry.locked",
    "entry.marked",
    "entry.recorded",
    "entry.committed",
    "turn.leased",
    "storage.recorded",
    "plan.counted",
    "plan.recorded",
    "plan.adopted",
    "ranges.recorded",
    "ranges.committed",
    "batch.begun",
    "batch.erased",
    "batch.counted",
    "batch.recorded",
    "batch.committed",
    "step.recorded",
    "step.done",
    "objects.removed",
    "objects.forgotten",
    "objects.recorded",
    "objects.found",
    "objects.purged",
    "objects.gone",
    "phase.recorded",
    "phase.committed",
    "closing.begun",
    "closing.swept",
    "closing.proven",
    "closing.erased",
    "closing.recorded",
    "closing.ended",
    "closing.committed",
    "certificate.stored",
    "certificate.recorded",
    "obstacle.recorded",
    "obstacle.committed",
];

/// Does what the environment asks for at this point.
#[cfg(not(debug_assertions))]
pub fn point(_: &'static str) {}

/// Does what the environment asks for at this point.
#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is not on the list");
    if let Some(fault) = armed::fault()
        && fault.is_due(name)
    {
        fault.strike();
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        process::Command,
        sync::{
            LazyLock,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    /// What happens, where, and at which visit.
    pub(super) struct Fault {
        point: String,
        signal: &'static str,
        visit: u32,
        visits: AtomicU32,
    }

    static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| {
        let text = std::env::var("TENANT_GATEWAY_FAULT").ok()?;
        let (point, action) = text.split_once('=')?;
        let (action, visit) = action.split_once('@').unwrap_or((action, "1"));
        let signal = if action == "stop" { "-STOP" } else { "-KILL" };
        let visit = visit.parse().ok()?;
        Some(Fault { point: point.to_owned(), signal, visit, visits: AtomicU32::new(0) })
    });

    pub(super) fn fault() -> Option<&'static Fault> {
        FAULT.as_ref()
    }

    impl Fault {
        pub(super) fn is_due(&self, point: &str) -> bool {
            point == self.point && self.visits.fetch_add(1, Ordering::SeqCst) + 1 == self.visit
        }

        pub(super) fn strike(&self) {
            let me = std::process::id().to_string();
            let _ = Command::new("kill").args([self.signal, &me]).status();
            // On a busy machine it reaches the thread a moment later.
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
