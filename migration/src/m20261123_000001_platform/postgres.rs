//! The tables on PostgreSQL. A constraint is added by a statement of its own, as Citus wants it. Instants
//! keep to the years that RFC 3339 can write.

/// Each is sent as a message of its own, in this order.
pub(super) const UP: &[&str] = &[
    r"
CREATE TABLE tenants (
    id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'suspended', 'deleting')),
    time_zone text NOT NULL DEFAULT 'UTC',
    plan text,
    monthly_call_limit integer CHECK (monthly_call_limit >= 0),
    max_concurrent_calls integer CHECK (max_concurrent_calls >= 0),
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    updated_at timestamptz NOT NULL DEFAULT now() CHECK (updated_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (id)
)
",
    r"
CREATE TABLE agents (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE agents ADD CONSTRAINT agents_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
CREATE TABLE calls (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    agent_id uuid NOT NULL,
    direction text NOT NULL,
    status text NOT NULL,
    started_at timestamptz NOT NULL CHECK (started_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    ended_at timestamptz CHECK (ended_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    duration_seconds integer CHECK (duration_seconds >= 0),
    sentiment_score double precision CHECK (sentiment_score BETWEEN -1 AND 1),
    cost_cents bigint NOT NULL DEFAULT 0 CHECK (cost_cents BETWEEN -1000000000000 AND 1000000000000),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE calls ADD CONSTRAINT calls_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
ALTER TABLE calls ADD CONSTRAINT calls_agent_fkey
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id) ON DELETE NO ACTION
",
    r"
CREATE TABLE call_recordings (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    call_id uuid NOT NULL,
    storage_key text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE call_recordings ADD CONSTRAINT call_recordings_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
ALTER TABLE call_recordings ADD CONSTRAINT call_recordings_call_fkey
    FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE
",
    r"
CREATE TABLE call_transcripts (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    call_id uuid NOT NULL,
    language text NOT NULL DEFAULT 'en',
    content text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE call_transcripts ADD CONSTRAINT call_transcripts_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
ALTER TABLE call_transcripts ADD CONSTRAINT call_transcripts_call_fkey
    FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE
",
    r"
CREATE TABLE sessions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    agent_id uuid,
    call_id uuid,
    channel text NOT NULL,
    started_at timestamptz NOT NULL CHECK (started_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    last_seen_at timestamptz CHECK (last_seen_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    ended_at timestamptz CHECK (ended_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE sessions ADD CONSTRAINT sessions_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
ALTER TABLE sessions ADD CONSTRAINT sessions_agent_fkey
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id) ON DELETE NO ACTION
",
    r"
ALTER TABLE sessions ADD CONSTRAINT sessions_call_fkey
    FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE
",
    r"
CREATE TABLE workflows (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    definition text NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE workflows ADD CONSTRAINT workflows_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
CREATE TABLE integrations (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    provider text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE integrations ADD CONSTRAINT integrations_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
CREATE TABLE knowledge_files (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    storage_key text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE knowledge_files ADD CONSTRAINT knowledge_files_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
CREATE TABLE activity_logs (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE activity_logs ADD CONSTRAINT activity_logs_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
CREATE TABLE sip_trunks (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    host text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE sip_trunks ADD CONSTRAINT sip_trunks_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
CREATE TABLE phone_numbers (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    trunk_id uuid NOT NULL,
    number text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE phone_numbers ADD CONSTRAINT phone_numbers_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
ALTER TABLE phone_numbers ADD CONSTRAINT phone_numbers_trunk_fkey
    FOREIGN KEY (tenant_id, trunk_id) REFERENCES sip_trunks (tenant_id, id) ON DELETE CASCADE
",
    r"
CREATE TABLE squads (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    routing text NOT NULL DEFAULT 'round_robin',
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE squads ADD CONSTRAINT squads_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
CREATE TABLE squad_members (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    squad_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    PRIMARY KEY (tenant_id, id)
)
",
    r"
ALTER TABLE squad_members ADD CONSTRAINT squad_members_tenant_fkey
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
",
    r"
ALTER TABLE squad_members ADD CONSTRAINT squad_members_squad_fkey
    FOREIGN KEY (tenant_id, squad_id) REFERENCES squads (tenant_id, id) ON DELETE CASCADE
",
    r"
ALTER TABLE squad_members ADD CONSTRAINT squad_members_agent_fkey
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id) ON DELETE CASCADE
",
    r"
CREATE TABLE tenant_deletions (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('scheduled', 'exporting', 'erasing', 'verifying', 'deleted', 'blocked', 'canceled')),
    reason text,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL CHECK (requested_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    is_forced boolean NOT NULL,
    is_export_requested boolean NOT NULL,
    started_at timestamptz CHECK (started_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    finished_at timestamptz CHECK (finished_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'),
    plan_digest text NOT NULL,
    objects_planned bigint NOT NULL DEFAULT 0 CHECK (objects_planned >= 0),
    bytes_planned bigint NOT NULL DEFAULT 0 CHECK (bytes_planned >= 0),
    idempotency_key text,
    input_digest text,
    PRIMARY KEY (id)
)
",
    r"
CREATE TABLE tenant_deletion_tables (
    deletion_id uuid NOT NULL,
    position integer NOT NULL,
    table_name text NOT NULL,
    rows_planned bigint NOT NULL CHECK (rows_planned >= 0),
    rows_erased bigint NOT NULL DEFAULT 0 CHECK (rows_erased >= 0),
    PRIMARY KEY (deletion_id, position)
)
",
    r"
ALTER TABLE tenant_deletion_tables ADD CONSTRAINT tenant_deletion_tables_deletion_fkey
    FOREIGN KEY (deletion_id) REFERENCES tenant_deletions (id) ON DELETE CASCADE
",
    r#"
CREATE INDEX tenants_name_idx ON tenants (name COLLATE "C", id)
"#,
    r"
CREATE INDEX tenants_created_at_idx ON tenants (created_at, id)
",
    r"
CREATE INDEX calls_agent_idx ON calls (tenant_id, agent_id)
",
    r"
CREATE INDEX calls_started_at_idx ON calls (tenant_id, started_at) INCLUDE (duration_seconds, sentiment_score, cost_cents)
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
