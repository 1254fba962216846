//! One tenant's rows from its founding to this moment, a bounded part at a time.

use std::vec;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use chrono_tz::Tz;
use entity::agents;

use super::{calls::Habits, dice::Dice, founding, rhythm, rows::Rows, tenants::Outline};

/// Most calls told at a time.
const CHAPTER: usize = 4_000;

/// Live calls started within this time.
const LIVE: TimeDelta = TimeDelta::minutes(9);

/// Yields the rows of one tenant: first the tenant and all that does not hang on a call, then its calls
/// from the oldest to the newest, each with what belongs to it. The same outline, seed and `now` yield
/// the same rows.
pub(super) struct Story {
    outline: Outline,
    now: DateTime<Utc>,
    dice: Dice,
    habits: Habits,
    agents: Vec<agents::Model>,
    founding: Option<Rows>,
    ended: vec::IntoIter<DateTime<Utc>>,
    live: vec::IntoIter<DateTime<Utc>>,
}

impl Story {
    pub(super) fn new(outline: Outline, seed: u64, now: DateTime<Utc>) -> Self {
        let mut dice = Dice::new(seed, outline.stream);
        let habits = Habits::draw(&mut dice, outline.zone);
        let count = usize::try_from(outline.calls - outline.live_calls).unwrap_or(usize::MAX);
        let ended = rhythm::starts(&mut dice, outline.zone, outline.from, outline.to, count);
        let mut live: Vec<_> = (0..outline.live_calls)
            .map(|_| dice.instant((now - LIVE).max(outline.from), now - TimeDelta::seconds(2)))
            .collect();
        live.sort_unstable();
        let used = this_month(&ended, outline.zone, now) + this_month(&live, outline.zone, now);
        let founding = founding::rows(&mut dice, &outline, used, now);
        Self {
            agents: founding.agents.clone(),
            founding: Some(founding),
            ended: ended.into_iter(),
            live: live.into_iter(),
            outline,
            now,
            dice,
            habits,
        }
    }
}

impl Iterator for Story {
    type Item = Rows;

    fn next(&mut self) -> Option<Rows> {
        if let Some(founding) = self.founding.take() {
            return Some(founding);
        }
        let mut rows = Rows::default();
        let mut desk = self.habits.desk(&mut self.dice, self.outline.id, &self.agents, self.now);
        for start in self.ended.by_ref().take(CHAPTER) {
            desk.ended_call(&mut rows, start);
        }
        if self.ended.as_slice().is_empty() {
            for start in self.live.by_ref() {
                desk.live_call(&mut rows, start);
            }
        }
        (!rows.calls.is_empty()).then_some(rows)
    }
}

/// How many of the instants, which are in order, fall into the local month of `now`.
fn this_month(starts: &[DateTime<Utc>], zone: Tz, now: DateTime<Utc>) -> usize {
    let month = |instant: DateTime<Utc>| {
        let local = instant.with_timezone(&zone);
        (local.year(), local.month())
    };
    starts.len() - starts.partition_point(|start| month(*start) < month(now))
}
