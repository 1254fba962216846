//! The tables of the platform and of the gateway, one file each, with their columns and the edges
//! along which a deletion cascades. Knows nothing of the gateway that reads them.
//!
//! Every table that a tenant owns leads its primary key with `tenant_id`, and every foreign key
//! inside a tenant carries it too, so that no row can point into another tenant.

#![allow(missing_docs, reason = "the derive macros write public items without documentation")]

pub mod activity_logs;
pub mod agents;
pub mod call_recordings;
pub mod call_transcripts;
pub mod calls;
pub mod gateway_leases;
pub mod integrations;
pub mod knowledge_files;
pub mod phone_numbers;
pub mod sessions;
pub mod sip_trunks;
pub mod squad_members;
pub mod squads;
pub mod tenant_deletion_objects;
pub mod tenant_deletion_ranges;
pub mod tenant_deletion_tables;
pub mod tenant_deletions;
pub mod tenants;
pub mod timestamp;
pub mod usage_days;
pub mod usage_deltas;
pub mod usage_quarter_hours;
pub mod usage_rebuilds;
pub mod workflows;
