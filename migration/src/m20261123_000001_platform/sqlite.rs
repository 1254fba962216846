//! The tables on SQLite. An id is 16 bytes; an instant is text in one form, which a check enforces,
//! so that comparing text compares time.

use crate::dialect;

/// The statements, each a message of its own, in this order.
pub(super) fn up() -> Vec<String> {
    TABLES.iter().map(|statement| dialect::sqlite(statement)).collect()
}

/// In the dialect of [`dialect::sqlite`].
const TABLES: &[&str] = &[
    r"
CREATE TABLE tenants (
    id ID NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'suspended', 'deleting')),
    time_zone TEXT NOT NULL DEFAULT 'UTC',
    plan TEXT,
    monthly_call_limit INTEGER CHECK (monthly_call_limit BETWEEN 0 AND 2147483647),
    max_concurrent_calls INTEGER CHECK (max_concurrent_calls BETWEEN 0 AND 2147483647),
    created_at INSTANT NOT NULL DEFAULT NOW,
    updated_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE agents (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT agents_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE calls (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    agent_id ID NOT NULL,
    direction TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at INSTANT NOT NULL,
    ended_at INSTANT,
    duration_seconds INTEGER CHECK (duration_seconds BETWEEN 0 AND 2147483647),
    sentiment_score REAL CHECK (sentiment_score BETWEEN -1 AND 1),
    cost_cents INTEGER NOT NULL DEFAULT 0 CHECK (cost_cents BETWEEN -1000000000000 AND 1000000000000),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT calls_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT calls_agent_fkey
        FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id) ON DELETE NO ACTION
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE call_recordings (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    call_id ID NOT NULL,
    storage_key TEXT NOT NULL,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT call_recordings_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT call_recordings_call_fkey
        FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE call_transcripts (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    call_id ID NOT NULL,
    language TEXT NOT NULL DEFAULT 'en',
    content TEXT NOT NULL DEFAULT '',
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT call_transcripts_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT call_transcripts_call_fkey
        FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE sessions (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    agent_id ID,
    call_id ID,
    channel TEXT NOT NULL,
    started_at INSTANT NOT NULL,
    last_seen_at INSTANT,
    ended_at INSTANT,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT sessions_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT sessions_agent_fkey
        FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id) ON DELETE NO ACTION,
    CONSTRAINT sessions_call_fkey
        FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE workflows (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    definition TEXT NOT NULL DEFAULT '{}',
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT workflows_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE integrations (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    provider TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT integrations_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE knowledge_files (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    name TEXT NOT NULL,
    storage_key TEXT NOT NULL,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT knowledge_files_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE activity_logs (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT activity_logs_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE sip_trunks (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    name TEXT NOT NULL,
    host TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'active',
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT sip_trunks_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE phone_numbers (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    trunk_id ID NOT NULL,
    number TEXT NOT NULL,
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT phone_numbers_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT phone_numbers_trunk_fkey
        FOREIGN KEY (tenant_id, trunk_id) REFERENCES sip_trunks (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE squads (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    name TEXT NOT NULL,
    routing TEXT NOT NULL DEFAULT 'round_robin',
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT squads_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE squad_members (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    squad_id ID NOT NULL,
    agent_id ID NOT NULL,
    priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -2147483648 AND 2147483647),
    created_at INSTANT NOT NULL DEFAULT NOW,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT squad_members_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT squad_members_squad_fkey
        FOREIGN KEY (tenant_id, squad_id) REFERENCES squads (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT squad_members_agent_fkey
        FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE tenant_deletions (
    id ID NOT NULL,
    tenant_id ID NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('scheduled', 'exporting', 'erasing', 'verifying', 'deleted', 'blocked', 'canceled')),
    reason TEXT,
    requested_by TEXT NOT NULL,
    requested_at INSTANT NOT NULL,
    is_forced INTEGER NOT NULL CHECK (is_forced IN (0, 1)),
    is_export_requested INTEGER NOT NULL CHECK (is_export_requested IN (0, 1)),
    started_at INSTANT,
    finished_at INSTANT,
    plan_digest TEXT NOT NULL,
    objects_planned INTEGER NOT NULL DEFAULT 0 CHECK (objects_planned >= 0),
    bytes_planned INTEGER NOT NULL DEFAULT 0 CHECK (bytes_planned >= 0),
    idempotency_key TEXT,
    input_digest TEXT,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID
",
    r"
CREATE TABLE tenant_deletion_tables (
    deletion_id ID NOT NULL,
    position INTEGER NOT NULL CHECK (position BETWEEN -2147483648 AND 2147483647),
    table_name TEXT NOT NULL,
    rows_planned INTEGER NOT NULL CHECK (rows_planned >= 0),
    rows_erased INTEGER NOT NULL DEFAULT 0 CHECK (rows_erased >= 0),
    PRIMARY KEY (deletion_id, position),
    CONSTRAINT tenant_deletion_tables_deletion_fkey
        FOREIGN KEY (deletion_id) REFERENCES tenant_deletions (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID
",
    r"
CREATE INDEX tenants_name_idx ON tenants (name, id)
",
    r"
CREATE INDEX tenants_created_at_idx ON tenants (created_at, id)
",
    r"
CREATE INDEX calls_agent_idx ON calls (tenant_id, agent_id)
",
    r"
CREATE INDEX calls_started_at_idx ON calls (tenant_id, started_at, duration_seconds, sentiment_score, cost_cents)
",
    r"
CREATE INDEX calls_open_idx ON calls (tenant_id, started_at)
    WHERE ended_at IS NULL
",
    r"
CREATE INDEX call_recordings_call_idx ON call_recordings (tenant_id, call_id)
",
    r"
CREATE INDEX call_transcripts_call_idx ON call_transcripts (tenant_id, call_id)
",
    r"
CREATE INDEX sessions_agent_idx ON sessions (tenant_id, agent_id)
",
    r"
CREATE INDEX sessions_call_idx ON sessions (tenant_id, call_id)
",
    r"
CREATE INDEX sessions_open_idx ON sessions (tenant_id, coalesce(last_seen_at, started_at))
    WHERE ended_at IS NULL
",
    r"
CREATE INDEX phone_numbers_trunk_idx ON phone_numbers (tenant_id, trunk_id)
",
    r"
CREATE UNIQUE INDEX phone_numbers_number_key ON phone_numbers (tenant_id, number)
",
    r"
CREATE UNIQUE INDEX squad_members_squad_agent_key ON squad_members (tenant_id, squad_id, agent_id)
",
    r"
CREATE INDEX squad_members_agent_idx ON squad_members (tenant_id, agent_id)
",
    r"
CREATE INDEX tenant_deletions_tenant_idx ON tenant_deletions (tenant_id, requested_at, id)
",
    r"
CREATE INDEX tenant_deletions_requested_at_idx ON tenant_deletions (requested_at, id)
",
    r"
CREATE UNIQUE INDEX tenant_deletions_open_key ON tenant_deletions (tenant_id)
    WHERE status NOT IN ('deleted', 'canceled')
",
    r"
CREATE UNIQUE INDEX tenant_deletions_idempotency_key ON tenant_deletions (requested_by, idempotency_key)
",
];
