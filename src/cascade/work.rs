//! In which order the steps of a plan are worked off.

use std::collections::BTreeMap;

use super::{
    Step,
    catalogue::{Catalogue, Table},
    circle::{Order, above},
};

/// Breaks of circles first, then children before their parents; of what is free, rows that name objects come as early
/// as they can: while the others go, their objects do. None where there is no such order.
pub(super) fn order(catalogue: &Catalogue, order: &Order, steps: &[Step]) -> Option<Vec<usize>> {
    let rank = |at: usize| {
        let step: &Step = &steps[at];
        let names_objects = catalogue.table(&step.table).is_some_and(Table::names_objects);
        (names_objects, above(&order.kept, &step.table).len(), steps.len() - at)
    };
    let waits = |at: usize, left: &BTreeMap<usize, _>| {
        let is_child = |child: &Step| {
            order.kept.iter().any(|key| key.child == child.table && key.parent == steps[at].table)
        };
        left.keys().any(|other| is_child(&steps[*other]))
    };
    let (breaks, erasing): (Vec<_>, Vec<_>) = (0..steps.len() - 1).partition(|at| !steps[*at].erases());
    let mut left: BTreeMap<usize, _> = erasing.into_iter().map(|at| (at, rank(at))).collect();
    let mut found = breaks;
    while !left.is_empty() {
        let free = left.iter().filter(|(at, _)| !waits(**at, &left));
        let next = *free.max_by_key(|(_, rank)| **rank)?.0;
        left.remove(&next);
        found.push(next);
    }
    Some(found)
}
