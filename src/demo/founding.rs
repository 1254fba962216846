//! A tenant and all that does not hang on a call: agents, squads, trunks, files and so on.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use entity::{
    activity_logs, agents, integrations, knowledge_files, phone_numbers, sessions, sip_trunks, squad_members,
    squads, tenants, workflows,
};

use super::{
    cast,
    dice::Dice,
    objects,
    rows::Rows,
    tenants::{Allowance, Outline, Standing},
};

/// Monthly limits on offer, in calls.
const LIMITS: [i32; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// Limits of calls at the same time on offer.
const CONCURRENCY: [i32; 8] = [2, 5, 10, 20, 50, 100, 200, 500];

/// Draws the rows. `used` is how many calls the tenant has made in its month so far.
pub(super) fn rows(dice: &mut Dice, outline: &Outline, used: usize, now: DateTime<Utc>) -> Rows {
    let mut founding = Founding { dice, outline, now, rows: Rows::default() };
    founding.tenant(used);
    if outline.standing != Standing::Empty {
        let size = outline.monthly_calls.max(1.0).log10();
        founding.agents(size);
        founding.squads();
        founding.trunks(size);
        founding.settings(size);
        founding.files(size);
        founding.open_sessions();
    }
    founding.log();
    founding.rows
}

struct Founding<'a> {
    dice: &'a mut Dice,
    outline: &'a Outline,
    now: DateTime<Utc>,
    rows: Rows,
}

impl Founding<'_> {
    fn tenant(&mut self, used: usize) {
        let outline = self.outline;
        let monthly = outline.monthly_calls;
        let live = i32::try_from(outline.live_calls).unwrap_or(i32::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "small, and saturates")]
        let peak = live.saturating_add((monthly / 1_500.0) as i32);
        self.rows.tenants.push(tenants::Model {
            id: outline.id,
            name: outline.name.clone(),
            status: match outline.standing {
                Standing::Suspended => "suspended",
                Standing::Inactive => "inactive",
                _ => "active",
            }
            .to_owned(),
            time_zone: outline.zone.name().to_owned(),
            plan: Some(plan(monthly).to_owned()),
            monthly_call_limit: limit(outline.allowance, monthly, used),
            max_concurrent_calls: CONCURRENCY.into_iter().find(|offered| *offered > peak),
            created_at: outline.created_at,
            updated_at: self.dice.instant(outline.created_at, self.now),
        });
    }

    /// Never later than what a call of the tenant can refer to needs, and never after `now`.
    fn early(&mut self) -> DateTime<Utc> {
        self.dice.instant(self.outline.created_at, self.outline.from)
    }

    fn agents(&mut self, size: f64) {
        let outline = self.outline;
        let count = count(size.powf(2.3) * self.dice.real(0.5, 1.1)).clamp(1, 60);
        // The first is there before the first call.
        let mut hired = vec![outline.created_at + TimeDelta::minutes(self.dice.whole(5, 110))];
        hired.extend((1..count).map(|_| self.dice.instant(outline.created_at, outline.to)));
        hired.sort_unstable();
        for (place, created_at) in hired.into_iter().enumerate() {
            let is_retired = place > 0 && self.dice.chance(0.14);
            self.rows.agents.push(agents::Model {
                tenant_id: outline.id,
                id: self.dice.id(created_at),
                name: cast::agent(self.dice),
                status: if is_retired { self.dice.pick(&["paused", "archived"]) } else { "active" }
                    .to_owned(),
                created_at,
            });
        }
    }

    fn squads(&mut self) {
        let agents = std::mem::take(&mut self.rows.agents);
        for position in 0..agents.len().div_ceil(5).min(8) {
            // A squad of one is no squad.
            if agents.len() < 2 {
                break;
            }
            let first = self.dice.index(agents.len());
            let size = (2 + self.dice.index(5)).min(agents.len());
            let members: Vec<_> = agents.iter().cycle().skip(first).take(size).collect();
            let newest = members.iter().map(|agent| agent.created_at).max().unwrap_or(self.now);
            let created_at = self.dice.instant(newest, self.now);
            let squad = squads::Model {
                tenant_id: self.outline.id,
                id: self.dice.id(created_at),
                name: cast::squad(position),
                routing: self.dice.pick(&["round_robin", "priority", "least_busy", "by_language"]).to_owned(),
                created_at,
            };
            for (priority, agent) in (0..).zip(members) {
                self.rows.squad_members.push(squad_members::Model {
                    tenant_id: self.outline.id,
                    id: self.dice.id(created_at),
                    squad_id: squad.id,
                    agent_id: agent.id,
                    priority,
                    created_at,
                });
            }
            self.rows.squads.push(squad);
        }
        self.rows.agents = agents;
    }

    fn trunks(&mut self, size: f64) {
        let mut numbers = Numbers::new(self.dice, self.outline.zone);
        for position in 0..count(size / 1.5).clamp(1, 4) {
            let created_at = self.early();
            let (name, host) = cast::trunk(self.dice, position);
            let trunk = sip_trunks::Model {
                tenant_id: self.outline.id,
                id: self.dice.id(created_at),
                name,
                host,
                status: if position == 0 || self.dice.chance(0.8) { "active" } else { "disabled" }.to_owned(),
                created_at,
            };
            for _ in 0..count(size * self.dice.real(0.5, 3.0)).clamp(1, 20) {
                let created_at = self.dice.instant(created_at, self.now);
                self.rows.phone_numbers.push(phone_numbers::Model {
                    tenant_id: self.outline.id,
                    id: self.dice.id(created_at),
                    trunk_id: trunk.id,
                    number: numbers.next(),
                    created_at,
                });
            }
            self.rows.sip_trunks.push(trunk);
        }
    }

    fn settings(&mut self, size: f64) {
        let tenant_id = self.outline.id;
        for position in 0..count(size * self.dice.real(0.5, 2.5)) {
            let created_at = self.dice.instant(self.outline.created_at, self.now);
            let (name, definition) = cast::workflow(position);
            self.rows.workflows.push(workflows::Model {
                tenant_id,
                id: self.dice.id(created_at),
                name,
                status: self.dice.pick(&["active", "active", "active", "draft", "paused"]).to_owned(),
                definition: definition.to_owned(),
                created_at,
            });
        }
        let first = self.dice.index(12);
        for position in 0..count(size * self.dice.real(0.3, 1.5)) {
            let created_at = self.dice.instant(self.outline.created_at, self.now);
            self.rows.integrations.push(integrations::Model {
                tenant_id,
                id: self.dice.id(created_at),
                provider: cast::provider(first + position).to_owned(),
                status: self.dice.pick(&["active", "active", "active", "active", "error"]).to_owned(),
                created_at,
            });
        }
    }

    fn files(&mut self, size: f64) {
        let first = self.dice.index(12);
        for position in 0..count(size * self.dice.real(0.5, 4.0)) {
            let created_at = self.dice.instant(self.outline.created_at, self.now);
            let id = self.dice.id(created_at);
            let (name, suffix) = cast::file(first + position);
            self.rows.knowledge_files.push(knowledge_files::Model {
                tenant_id: self.outline.id,
                id,
                name,
                storage_key: objects::file_key(self.outline.id, id, suffix),
                size_bytes: self.dice.whole(200, 6_000),
                created_at,
            });
        }
    }

    /// Sessions without an end: chats that go on, and ones whose end was never reported.
    fn open_sessions(&mut self) {
        let is_active = matches!(self.outline.standing, Standing::Settled | Standing::New);
        let size = self.outline.monthly_calls / 2_000.0;
        let live = if is_active { count(size.min(5.0) * self.dice.real(0.0, 1.5)) } else { 0 };
        let stale = count(size.min(8.0) * self.dice.unit() + self.dice.unit());
        for place in 0..live + stale {
            let (started_at, last_seen_at) = if place < live {
                let started_at = self.dice.instant(self.now - TimeDelta::minutes(12), self.now);
                (started_at, self.dice.instant(started_at.max(self.now - TimeDelta::minutes(2)), self.now))
            } else {
                let started_at = self.dice.instant(self.outline.from, self.now - TimeDelta::hours(9));
                (started_at, self.dice.instant(started_at, started_at + TimeDelta::minutes(20)))
            };
            let agent = self.rows.agents.first().map(|agent| agent.id);
            self.rows.sessions.push(sessions::Model {
                tenant_id: self.outline.id,
                id: self.dice.id(started_at),
                agent_id: agent,
                call_id: None,
                channel: "chat".to_owned(),
                started_at,
                // Some clients leave before their first sign of life.
                last_seen_at: self.dice.chance(0.9).then_some(last_seen_at),
                ended_at: None,
            });
        }
    }

    fn log(&mut self) {
        let signed_up = (self.outline.created_at, "tenant.created".to_owned());
        let mut entries = vec![signed_up];
        entries.extend(match self.outline.standing {
            Standing::Suspended => Some((self.outline.to, "tenant.suspended".to_owned())),
            Standing::Inactive => Some((self.outline.to, "tenant.deactivated".to_owned())),
            _ => None,
        });
        for agent in &self.rows.agents {
            entries.push((agent.created_at, "agent.created".to_owned()));
        }
        for (created_at, action) in entries {
            self.rows.activity_logs.push(activity_logs::Model {
                tenant_id: self.outline.id,
                id: self.dice.id(created_at),
                actor: cast::actor(self.dice),
                action,
                created_at,
            });
        }
    }
}

/// E.164 numbers out of ranges that their countries set aside for fiction. No two are the same.
struct Numbers {
    prefixes: &'static [&'static str],
    /// How many digits follow the prefix.
    digits: usize,
    next: usize,
}

impl Numbers {
    fn new(dice: &mut Dice, zone: Tz) -> Self {
        let (prefixes, digits): (&'static [&'static str], usize) = match zone {
            Tz::Europe__Berlin => (&["+493023125"], 3),
            Tz::Europe__London => (&["+442079460"], 3),
            Tz::Australia__Lord_Howe => (&["+6125550"], 4),
            _ => (&["+121255501", "+131255501", "+141555501", "+161755501", "+120655501", "+130555501"], 2),
        };
        Self { prefixes, digits, next: dice.index(1_000) }
    }

    fn next(&mut self) -> String {
        let prefix = self.prefixes[self.next % self.prefixes.len()];
        let line = self.next / self.prefixes.len() % 10_usize.pow(u32::try_from(self.digits).unwrap_or(2));
        self.next += 1;
        format!("{prefix}{line:0width$}", width = self.digits)
    }
}

fn plan(monthly_calls: f64) -> &'static str {
    match monthly_calls {
        calls if calls < 100.0 => "free",
        calls if calls < 1_000.0 => "starter",
        calls if calls < 10_000.0 => "growth",
        calls if calls < 40_000.0 => "scale",
        _ => "enterprise",
    }
}

/// The monthly limit, by what the tenant usually needs and what it has used so far.
fn limit(allowance: Allowance, monthly: f64, used: usize) -> Option<i32> {
    let used = i32::try_from(used).unwrap_or(i32::MAX);
    let step = match used {
        ..100 => 1,
        100..1_000 => 10,
        1_000..10_000 => 50,
        _ => 500,
    };
    match allowance {
        Allowance::Unlimited => None,
        Allowance::Tight if used > 0 => Some((used + used / 16 + step - 1) / step * step),
        Allowance::Exceeded if used > 1 => Some((used - used / 16 - 1) / step * step),
        _ => LIMITS.into_iter().find(|offered| f64::from(*offered) > monthly * 1.3),
    }
}

fn count(number: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
    let whole = number.round() as usize;
    whole
}
