//! Calls and what hangs on them: recordings, transcripts, sessions, and what the team did meanwhile.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use entity::{activity_logs, agents, call_recordings, call_transcripts, calls, sessions};
use uuid::Uuid;

use super::{
    cast,
    dice::Dice,
    objects,
    rows::Rows,
    speech::{ENGLISH, GERMAN, Language, SPANISH},
};

/// How long the platform keeps sessions that have ended.
const SESSIONS_KEPT: TimeDelta = TimeDelta::days(30);

/// Agents that are paused or archived have had no call for this long.
const RETIRED_FOR: TimeDelta = TimeDelta::days(30);

/// Longest call, in seconds.
const LONGEST: f64 = 2_700.0;

/// What sets one tenant's calls apart from another's.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    language: &'static Language,
    /// Share of calls that come in.
    inbound: f64,
    /// Seconds that half of its calls stay below.
    median_seconds: f64,
    /// The mood of its callers on the whole, from −1 to 1.
    mood: f64,
    cents_per_minute: f64,
    /// Share of completed calls that are recorded.
    recorded: f64,
    /// Share of calls that come from a browser.
    web: f64,
}

impl Habits {
    pub(super) fn draw(dice: &mut Dice, zone: Tz) -> Self {
        let language = match zone {
            Tz::Europe__Berlin => &GERMAN,
            Tz::America__Santiago => &SPANISH,
            _ => &ENGLISH,
        };
        Self {
            language,
            inbound: dice.real(0.3, 0.95),
            median_seconds: dice.real(60.0, 190.0),
            mood: dice.real(0.0, 0.5),
            cents_per_minute: dice.real(5.0, 14.0),
            recorded: dice.real(0.25, 0.5),
            web: dice.real(0.02, 0.3),
        }
    }

    pub(super) fn desk<'a>(
        self,
        dice: &'a mut Dice,
        tenant_id: Uuid,
        agents: &'a [agents::Model],
        now: DateTime<Utc>,
    ) -> Desk<'a> {
        Desk { habits: self, dice, tenant_id, agents, now }
    }
}

/// Where one tenant's calls are taken.
pub(super) struct Desk<'a> {
    habits: Habits,
    dice: &'a mut Dice,
    tenant_id: Uuid,
    /// The earliest first, which is never retired. Not empty where there are calls.
    agents: &'a [agents::Model],
    now: DateTime<Utc>,
}

impl Desk<'_> {
    /// Adds a call that is over, with what was kept of it.
    pub(super) fn ended_call(&mut self, rows: &mut Rows, started_at: DateTime<Utc>) {
        let Some(agent_id) = self.agent(started_at) else { return };
        let is_inbound = self.dice.chance(self.habits.inbound);
        let status = self.status(is_inbound);
        let is_answered = matches!(status, "completed" | "voicemail");
        let seconds = match status {
            "completed" => self.dice.skewed(self.habits.median_seconds, 0.75).min(LONGEST),
            "voicemail" => self.dice.real(8.0, 40.0),
            _ => self.dice.real(1.0, 45.0),
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most some thousand seconds")]
        let span = TimeDelta::microseconds((seconds.max(1.0) * 1e6) as i64);
        let ended_at = (started_at + span).min(self.now);
        let seconds = i32::try_from((ended_at - started_at).num_seconds()).unwrap_or(i32::MAX);
        // Now and then a caller says too little to tell.
        let mood = (status == "completed" && self.dice.chance(0.93)).then(|| self.mood());
        let call = calls::Model {
            tenant_id: self.tenant_id,
            id: self.dice.id(started_at),
            agent_id,
            direction: direction(is_inbound),
            status: status.to_owned(),
            started_at,
            ended_at: Some(ended_at),
            duration_seconds: is_answered.then_some(seconds),
            sentiment_score: mood,
            cost_cents: if is_answered { self.cost(seconds) } else { 0 },
        };
        if status == "completed" {
            self.keep(rows, &call, ended_at);
        }
        if is_answered && started_at > self.now - SESSIONS_KEPT {
            let channel = self.channel();
            rows.sessions.push(self.session(&call, channel, ended_at, Some(ended_at)));
        }
        rows.calls.push(call);
        self.meanwhile(rows, started_at);
    }

    /// Adds a call that goes on, with its session.
    pub(super) fn live_call(&mut self, rows: &mut Rows, started_at: DateTime<Utc>) {
        let Some(agent_id) = self.agent(started_at) else { return };
        let call = calls::Model {
            tenant_id: self.tenant_id,
            id: self.dice.id(started_at),
            agent_id,
            direction: direction(self.dice.chance(self.habits.inbound)),
            status: "in_progress".to_owned(),
            started_at,
            ended_at: None,
            duration_seconds: None,
            sentiment_score: None,
            cost_cents: 0,
        };
        let last_seen_at = self.dice.instant(started_at.max(self.now - TimeDelta::seconds(40)), self.now);
        let channel = self.channel();
        rows.sessions.push(self.session(&call, channel, last_seen_at, None));
        rows.calls.push(call);
    }

    /// Whoever was there by then; a few agents take most of the calls.
    fn agent(&mut self, at: DateTime<Utc>) -> Option<Uuid> {
        let there = self.agents.partition_point(|agent| agent.created_at <= at).max(1);
        let draw = self.dice.unit();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let place = (there as f64 * draw * draw) as usize;
        let is_recent = at > self.now - RETIRED_FOR;
        let agent = self.agents.get(place).filter(|agent| agent.status == "active" || !is_recent);
        agent.or(self.agents.first()).map(|agent| agent.id)
    }

    fn status(&mut self, is_inbound: bool) -> &'static str {
        let draw = self.dice.unit();
        let steps: [(f64, &str); 4] = if is_inbound {
            [(0.86, "completed"), (0.93, "no_answer"), (0.97, "voicemail"), (0.98, "busy")]
        } else {
            [(0.66, "completed"), (0.85, "no_answer"), (0.92, "voicemail"), (0.97, "busy")]
        };
        steps.iter().find(|(reached, _)| draw < *reached).map_or("failed", |(_, status)| status)
    }

    /// From −1 to 1, in thousandths.
    fn mood(&mut self) -> f64 {
        let mood = self.habits.mood + self.dice.bell() * 0.35;
        // Adding 0 turns −0 into 0: PostgreSQL would keep the difference, SQLite would not.
        (mood.clamp(-1.0, 1.0) * 1_000.0).round() / 1_000.0 + 0.0
    }

    /// Cents, rounded up.
    fn cost(&self, seconds: i32) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "at most some thousand cents")]
        let cents = (f64::from(seconds) * self.habits.cents_per_minute / 60.0).ceil() as i64;
        cents.max(1)
    }

    fn channel(&mut self) -> &'static str {
        if self.dice.chance(self.habits.web) { "web" } else { "phone" }
    }

    fn session(
        &mut self,
        call: &calls::Model,
        channel: &str,
        last_seen_at: DateTime<Utc>,
        ended_at: Option<DateTime<Utc>>,
    ) -> sessions::Model {
        sessions::Model {
            tenant_id: call.tenant_id,
            id: self.dice.id(call.started_at),
            agent_id: Some(call.agent_id),
            call_id: Some(call.id),
            channel: channel.to_owned(),
            started_at: call.started_at,
            last_seen_at: Some(last_seen_at),
            ended_at,
        }
    }

    /// Keeps the sound of some completed calls and the words of most.
    fn keep(&mut self, rows: &mut Rows, call: &calls::Model, ended_at: DateTime<Utc>) {
        let created_at = self.dice.instant(ended_at, (ended_at + TimeDelta::seconds(9)).min(self.now));
        if self.dice.chance(self.habits.recorded) {
            let id = self.dice.id(created_at);
            rows.call_recordings.push(call_recordings::Model {
                tenant_id: call.tenant_id,
                id,
                call_id: call.id,
                storage_key: objects::recording_key(call.tenant_id, id),
                size_bytes: objects::recording_size(self.dice),
                created_at,
            });
        }
        if self.dice.chance(0.77) {
            rows.call_transcripts.push(call_transcripts::Model {
                tenant_id: call.tenant_id,
                id: self.dice.id(created_at),
                call_id: call.id,
                language: self.habits.language.tag.to_owned(),
                content: self.habits.language.transcript(self.dice, call.sentiment_score.unwrap_or(0.0)),
                created_at,
            });
        }
    }

    /// Chats and the team's own work follow the same rhythm as calls.
    fn meanwhile(&mut self, rows: &mut Rows, around: DateTime<Utc>) {
        if around > self.now - SESSIONS_KEPT && self.dice.chance(0.08) {
            let started_at = self.dice.instant(around, (around + TimeDelta::minutes(5)).min(self.now));
            let ended_at = self.dice.instant(started_at, (started_at + TimeDelta::minutes(12)).min(self.now));
            rows.sessions.push(sessions::Model {
                tenant_id: self.tenant_id,
                id: self.dice.id(started_at),
                agent_id: self.agent(started_at),
                call_id: None,
                channel: "chat".to_owned(),
                started_at,
                last_seen_at: Some(ended_at),
                ended_at: Some(ended_at),
            });
        }
        if self.dice.chance(0.02) {
            let created_at = self.dice.instant(around, (around + TimeDelta::minutes(5)).min(self.now));
            rows.activity_logs.push(activity_logs::Model {
                tenant_id: self.tenant_id,
                id: self.dice.id(created_at),
                actor: cast::actor(self.dice),
                action: cast::action(self.dice),
                created_at,
            });
        }
    }
}

fn direction(is_inbound: bool) -> String {
    if is_inbound { "inbound" } else { "outbound" }.to_owned()
}
