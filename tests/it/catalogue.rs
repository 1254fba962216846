//! Entities, migrations and the live catalogues of both databases say the same.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    EntityTrait, Schema,
    sea_query::{ColumnType, ForeignKeyAction, TableCreateStatement},
};
use tenant_gateway::cascade;

use crate::support::{TestApp, on_both};

/// Tables of the gateway itself; every other one is owned by a tenant, or is `tenants`.
const OWN_TABLES: [&str; 5] = [
    "tenant_deletions",
    "tenant_deletion_tables",
    "tenant_deletion_ranges",
    "tenant_deletion_objects",
    "gateway_leases",
];

/// A table as a catalogue, or an entity, describes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Described {
    /// Name, type and whether it may be null.
    columns: BTreeSet<(String, String, bool)>,
    primary_key: Vec<String>,
    /// Columns, parent, its columns, action on delete.
    keys: BTreeSet<(Vec<String>, String, Vec<String>, String)>,
}

fn table<E: EntityTrait>(schema: &Schema, entity: E) -> (String, TableCreateStatement) {
    (entity.table_name().to_owned(), schema.create_table_from_entity(entity))
}

fn entities(app: &TestApp) -> BTreeMap<String, Described> {
    let schema = Schema::new(app.backend());
    let statements = [
        table(&schema, entity::tenants::Entity),
        table(&schema, entity::agents::Entity),
        table(&schema, entity::calls::Entity),
        table(&schema, entity::call_recordings::Entity),
        table(&schema, entity::call_transcripts::Entity),
        table(&schema, entity::sessions::Entity),
        table(&schema, entity::workflows::Entity),
        table(&schema, entity::integrations::Entity),
        table(&schema, entity::knowledge_files::Entity),
        table(&schema, entity::activity_logs::Entity),
        table(&schema, entity::sip_trunks::Entity),
        table(&schema, entity::phone_numbers::Entity),
        table(&schema, entity::squads::Entity),
        table(&schema, entity::squad_members::Entity),
        table(&schema, entity::usage_quarter_hours::Entity),
        table(&schema, entity::usage_days::Entity),
        table(&schema, entity::usage_deltas::Entity),
        table(&schema, entity::usage_rebuilds::Entity),
        table(&schema, entity::gateway_leases::Entity),
        table(&schema, entity::tenant_deletions::Entity),
        table(&schema, entity::tenant_deletion_tables::Entity),
        table(&schema, entity::tenant_deletion_ranges::Entity),
        table(&schema, entity::tenant_deletion_objects::Entity),
    ];
    statements
        .into_iter()
        .map(|(name, statement)| (name.clone(), described(&name, &statement, app)))
        .collect()
}

fn described(name: &str, statement: &TableCreateStatement, app: &TestApp) -> Described {
    let sqlite = app.backend() == sea_orm::DbBackend::Sqlite;
    let columns = statement.get_columns().iter().map(|column| {
        let kind = match (column.get_column_type().expect("a type"), sqlite) {
            (ColumnType::Uuid, true) => "BLOB",
            (ColumnType::Uuid, false) => "uuid",
            (ColumnType::Text | ColumnType::TimestampWithTimeZone, true) => "TEXT",
            (ColumnType::Text, false) => "text",
            (ColumnType::TimestampWithTimeZone, false) => "timestamp with time zone",
            (ColumnType::Integer | ColumnType::BigInteger | ColumnType::Boolean, true) => "INTEGER",
            (ColumnType::Integer, false) => "integer",
            (ColumnType::BigInteger, false) => "bigint",
            (ColumnType::Boolean, false) => "boolean",
            (ColumnType::Double, true) => "REAL",
            (ColumnType::Double, false) => "double precision",
            (other, _) => panic!("{name}: no such type in the schema: {other:?}"),
        };
        let nullable =
            column.get_column_spec().nullable != Some(false) && !column.get_column_spec().primary_key;
        (column.get_column_name(), kind.to_owned(), nullable)
    });
    let keys = statement.get_foreign_key_create_stmts().iter().map(|key| {
        let key = key.get_foreign_key();
        let action = match key.get_on_delete() {
            Some(ForeignKeyAction::Cascade) => "CASCADE",
            Some(ForeignKeyAction::NoAction) | None => "NO ACTION",
            Some(other) => panic!("{name}: no key of the schema does {other:?}"),
        };
        let parent = key.get_ref_table().expect("a parent").sea_orm_table().to_string();
        (key.get_columns(), parent, key.get_ref_columns(), action.to_owned())
    });
    let (columns, keys) = (columns.collect(), keys.collect());
    let primary = |column: &str| i32::from(!(column == "deletion_id" || column == "tenant_id"));
    let mut primary_key: Vec<String> = match name {
        "tenants" | "tenant_deletions" => vec!["id".to_owned()],
        "tenant_deletion_tables" => vec!["deletion_id".to_owned(), "position".to_owned()],
        "tenant_deletion_ranges" => vec!["deletion_id".to_owned(), "position".to_owned(), "lane".to_owned()],
        "tenant_deletion_objects" => vec!["deletion_id".to_owned(), "storage_key".to_owned()],
        "gateway_leases" => vec!["name".to_owned()],
        "usage_quarter_hours" | "usage_days" => vec!["tenant_id".to_owned(), "starts_at".to_owned()],
        "usage_rebuilds" => vec!["tenant_id".to_owned()],
        _ => vec!["tenant_id".to_owned(), "id".to_owned()],
    };
    primary_key.sort_by_key(|column| primary(column));
    Described { columns, primary_key, keys }
}

async fn live(app: &TestApp) -> BTreeMap<String, Described> {
    let (columns, primary, keys) = match app.backend() {
        sea_orm::DbBackend::Sqlite => (SQLITE_COLUMNS, SQLITE_PRIMARY, SQLITE_KEYS),
        _ => (POSTGRES_COLUMNS, POSTGRES_PRIMARY, POSTGRES_KEYS),
    };
    let mut tables: BTreeMap<String, Described> = BTreeMap::new();
    for row in app.rows(columns, []).await {
        let text = |at: usize| row.try_get_by_index::<String>(at).expect("text");
        let nullable = text(3) == "YES";
        tables.entry(text(0)).or_default().columns.insert((text(1), text(2), nullable));
    }
    for row in app.rows(primary, []).await {
        let text = |at: usize| row.try_get_by_index::<String>(at).expect("text");
        tables.entry(text(0)).or_default().primary_key.push(text(1));
    }
    for row in app.rows(keys, []).await {
        let text = |at: usize| row.try_get_by_index::<String>(at).expect("text");
        let list = |at: usize| text(at).split(',').map(str::to_owned).collect::<Vec<_>>();
        tables.entry(text(0)).or_default().keys.insert((list(1), text(2), list(3), text(4)));
    }
    tables.remove("tenant_gateway_migrations");
    tables
}

const SQLITE_COLUMNS: &str = "SELECT m.name, x.name, x.type, CASE WHEN x.\"notnull\" = 1 OR x.pk > 0 THEN 'NO' ELSE 'YES' END
    FROM sqlite_schema m JOIN pragma_table_info(m.name) x WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'";
const SQLITE_PRIMARY: &str = "SELECT m.name, x.name FROM sqlite_schema m JOIN pragma_table_info(m.name) x
    WHERE m.type = 'table' AND x.pk > 0 ORDER BY m.name, x.pk";
const SQLITE_KEYS: &str = "SELECT name, group_concat(\"from\", ','), \"table\", group_concat(\"to\", ','), on_delete
    FROM (SELECT m.name, f.id, f.\"from\", f.\"table\", f.\"to\", f.on_delete
          FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq)
    GROUP BY name, id";
const POSTGRES_COLUMNS: &str =
    "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text
    FROM information_schema.columns WHERE table_schema = current_schema()";
const POSTGRES_PRIMARY: &str = "SELECT t.relname::text, a.attname::text FROM pg_constraint c
    JOIN pg_class t ON t.oid = c.conrelid AND t.relnamespace = current_schema()::regnamespace,
    unnest(c.conkey) WITH ORDINALITY k (n, o) JOIN pg_attribute a ON a.attnum = k.n
    WHERE c.contype = 'p' AND a.attrelid = c.conrelid ORDER BY 1, k.o";
const POSTGRES_KEYS: &str = "SELECT t.relname::text,
    (SELECT string_agg(a.attname, ',' ORDER BY k.o) FROM unnest(c.conkey) WITH ORDINALITY k (n, o)
     JOIN pg_attribute a ON a.attnum = k.n AND a.attrelid = c.conrelid),
    p.relname::text,
    (SELECT string_agg(a.attname, ',' ORDER BY k.o) FROM unnest(c.confkey) WITH ORDINALITY k (n, o)
     JOIN pg_attribute a ON a.attnum = k.n AND a.attrelid = c.confrelid),
    CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' ELSE c.confdeltype::text END
    FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class p ON p.oid = c.confrelid
    WHERE c.contype = 'f'";

#[tokio::test]
async fn entities_equal_the_live_catalogue() {
    on_both(async |app| {
        let (wanted, found) = (entities(&app), live(&app).await);
        assert_eq!(wanted.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
        for (table, wanted) in &wanted {
            assert_eq!(wanted, &found[table], "{table}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_key_inside_a_tenant_carries_the_tenant() {
    on_both(async |app| {
        for (table, described) in live(&app).await {
            let own = OWN_TABLES.contains(&table.as_str());
            if own || table == "tenants" {
                assert!(described.keys.iter().all(|key| key.1 != "tenants"), "{table} must outlive tenants");
                continue;
            }
            assert_eq!(described.primary_key[0], "tenant_id", "{table}");
            // Differences are appended without a look at anything else.
            assert!(
                table == "usage_deltas"
                    || described.keys.contains(&(
                        vec!["tenant_id".into()],
                        "tenants".into(),
                        vec!["id".into()],
                        "CASCADE".into()
                    )),
                "{table} goes with its tenant"
            );
            for (columns, parent, parent_columns, _) in &described.keys {
                let parent_tenant = if parent == "tenants" { "id" } else { "tenant_id" };
                assert_eq!(
                    (columns[0].as_str(), parent_columns[0].as_str()),
                    ("tenant_id", parent_tenant),
                    "{table}"
                );
            }
        }
    })
    .await;
}

/// Rules without which the schema could not be distributed by tenant, as far as a catalogue shows
/// them: unique keys hold the tenant, nothing is numbered by a sequence, no key sets null or
/// cascades an update.
#[tokio::test]
async fn the_schema_can_be_distributed_by_tenant() {
    on_both(async |app| {
        let unique = match app.backend() {
            sea_orm::DbBackend::Sqlite => {
                "SELECT m.name, group_concat(x.name) FROM sqlite_schema m JOIN pragma_index_list(m.name) i
                 JOIN pragma_index_info(i.name) x WHERE m.type = 'table' AND i.\"unique\" = 1 GROUP BY m.name, i.name"
            }
            _ => {
                "SELECT t.relname::text, string_agg(a.attname, ',') FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
                 JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(i.indkey)
                 WHERE i.indisunique AND t.relnamespace = current_schema()::regnamespace GROUP BY t.relname, i.indexrelid"
            }
        };
        for row in app.rows(unique, []).await {
            let (table, columns): (String, String) = (
                row.try_get_by_index(0).expect("a table"),
                row.try_get_by_index(1).expect("columns"),
            );
            let distributed = table != "tenants" && !OWN_TABLES.contains(&table.as_str());
            if distributed && table != "tenant_gateway_migrations" {
                assert!(columns.split(',').any(|column| column == "tenant_id"), "{table} ({columns})");
            }
        }
        if app.backend() == sea_orm::DbBackend::Postgres {
            let sequences = "SELECT count(*) FROM pg_class WHERE relkind = 'S'";
            assert_eq!(app.number(sequences, []).await, 0);
            let risky = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' \
                         AND (confupdtype <> 'a' OR confdeltype NOT IN ('a', 'c'))";
            assert_eq!(app.number(risky, []).await, 0);
        }
    })
    .await;
}

/// Every foreign key has an index that leads with its columns, or deleting a parent would read the
/// child whole. The plan itself reports tables without one, so an empty list of gaps also says that
/// every way into a tenant's rows is indexed.
#[tokio::test]
async fn the_plan_covers_every_table_of_a_tenant_and_has_no_gap() {
    on_both(async |app| {
        let plan =
            cascade::plan(&app.database.connection, &cascade::Settings::default()).await.expect("a plan");
        assert_eq!(plan.gaps, []);
        let planned: BTreeSet<String> = plan.steps.iter().map(|step| step.table.to_string()).collect();
        let owned: BTreeSet<String> =
            entities(&app).into_keys().filter(|table| !OWN_TABLES.contains(&table.as_str())).collect();
        assert_eq!(planned, owned);
        assert_eq!(plan.steps.last().expect("steps").table.to_string(), "tenants");
        for (child, described) in live(&app).await {
            let place = |table: &str| plan.steps.iter().position(|step| step.table.to_string() == table);
            for (columns, parent, ..) in &described.keys {
                if let (Some(child), Some(parent)) = (place(&child), place(parent)) {
                    assert!(child < parent, "{columns:?}: children come first");
                }
                assert!(indexed(&app, &child, columns).await, "{child} {columns:?} has no index");
            }
        }
    })
    .await;
}

async fn indexed(app: &TestApp, table: &str, columns: &[String]) -> bool {
    let sql = match app.backend() {
        sea_orm::DbBackend::Sqlite => {
            "SELECT group_concat(name) FROM (SELECT i.name AS i, x.name FROM pragma_index_list($1) i \
             JOIN pragma_index_info(i.name) x WHERE i.partial = 0 ORDER BY i.name, x.seqno) GROUP BY i \
             UNION ALL SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk)"
        }
        _ => {
            "SELECT string_agg(a.attname, ',' ORDER BY k.o) FROM pg_index i \
             JOIN pg_class t ON t.oid = i.indrelid AND t.relname = $1, \
             unnest(i.indkey::int2[]) WITH ORDINALITY k (n, o) \
             JOIN pg_attribute a ON a.attnum = k.n WHERE a.attrelid = t.oid AND i.indpred IS NULL GROUP BY i.indexrelid"
        }
    };
    let wanted = columns.join(",");
    app.rows(sql, [table.into()])
        .await
        .iter()
        .filter_map(|row| row.try_get_by_index::<Option<String>>(0).expect("columns"))
        .any(|leading| leading == wanted || leading.starts_with(&format!("{wanted},")))
}
