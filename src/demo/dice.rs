//! Chance that repeats itself: what a seed and a stream decide, they decide the same way every time.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::{Builder, Uuid};

/// A stream of random numbers. Streams of one seed are independent of one another, so what is drawn
/// for one tenant never shifts another.
#[derive(Clone)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Within 0 to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// True with this probability, taken within 0 to 1.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// From `low` to `high`, both included; `low` when they are the wrong way round.
    pub(super) fn whole(&mut self, low: i64, high: i64) -> i64 {
        if high <= low { low } else { self.0.random_range(low..=high) }
    }

    /// From 0 up to, but without, `length`; 0 when there is nothing to choose from.
    pub(super) fn index(&mut self, length: usize) -> usize {
        if length == 0 { 0 } else { self.0.random_range(0..length) }
    }

    /// From `low` to `high`.
    pub(super) fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of `choices`, each as likely as the next.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, choices: &[T; N]) -> T {
        const { assert!(N > 0) };
        choices[self.index(N)]
    }

    /// Bell-shaped around 0 with a deviation of 1: twelve sums of chance come close enough, and never
    /// stray beyond 6.
    pub(super) fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Log-normal: half of all draws are below `median`, a few are far above.
    pub(super) fn skewed(&mut self, median: f64, spread: f64) -> f64 {
        median * (self.bell() * spread).exp()
    }

    /// An instant from `from` to `to`, to the microsecond; `from` when they are the wrong way round.
    pub(super) fn instant(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> DateTime<Utc> {
        let span = to.timestamp_micros() - from.timestamp_micros();
        from + TimeDelta::microseconds(self.whole(0, span))
    }

    /// A UUID of version 7: the milliseconds of `made_at`, then chance.
    pub(super) fn id(&mut self, made_at: DateTime<Utc>) -> Uuid {
        let mut chance = [0; 10];
        self.0.fill_bytes(&mut chance);
        let millis = u64::try_from(made_at.timestamp_millis()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &chance).into_uuid()
    }
}
