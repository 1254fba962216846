//! How many requests a second one address and one viewer may send.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DashMapStateStore,
};

use super::address::whose;
use crate::auth::{Role, Viewer};

/// Those who have not asked for a while are forgotten each time that so many requests have come.
const FORGET: u32 = 8_192;

/// Requests a second; 0 is without a limit.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Of one address, or of one /64 of IPv6.
    pub per_address: u32,
    /// Of one viewer, from wherever.
    pub per_viewer: u32,
}

impl Default for Rates {
    /// More than a machine of a few cores answers: one client cannot take more than that, and whoever knows what
    /// theirs need sets less.
    fn default() -> Self {
        Self { per_address: 50_000, per_viewer: 50_000 }
    }
}

/// Counts requests. As many as a second allows may come at once.
#[derive(Debug)]
pub struct RateLimits {
    addresses: Option<Limiter<IpAddr>>,
    viewers: Option<Limiter<u64>>,
    /// A viewer is known by a number that nobody can choose.
    hasher: RandomState,
}

#[derive(Debug)]
struct Limiter<K: Hash + Eq + Clone> {
    counts: RateLimiter<K, DashMapStateStore<K>, DefaultClock>,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(a_second: u32) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(a_second)?);
        Some(Self {
            counts: RateLimiter::dashmap(quota),
            clock: DefaultClock::default(),
            asked: AtomicU32::new(0),
        })
    }

    fn check(&self, key: &K) -> Result<(), Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET == FORGET - 1 {
            self.counts.retain_recent();
        }
        self.counts.check_key(key).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

impl RateLimits {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            addresses: Limiter::new(rates.per_address),
            viewers: Limiter::new(rates.per_viewer),
            hasher: RandomState::new(),
        }
    }

    /// Whether this address may ask; else how long it is to wait.
    pub(super) fn address(&self, address: IpAddr) -> Result<(), Duration> {
        self.addresses.as_ref().map_or(Ok(()), |limiter| limiter.check(&whose(address)))
    }

    /// Whether this viewer may ask; else how long they are to wait.
    pub(super) fn viewer(&self, viewer: &Viewer) -> Result<(), Duration> {
        let Some(limiter) = &self.viewers else { return Ok(()) };
        let tenant = if let Role::Tenant(tenant) = viewer.role { Some(tenant) } else { None };
        limiter.check(&self.hasher.hash_one((&viewer.subject, tenant)))
    }
}
