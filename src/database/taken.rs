//! Names that the gateway's tables need and that somebody else's tables, views or types have.

use migration::HISTORY_TABLE;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};

use super::Sql;

/// Which of `names` are taken, as their owner wrote them. SQLite does not tell upper from lower case;
/// on PostgreSQL only the schema counts in which the gateway would make its tables.
pub(super) async fn taken<C: ConnectionTrait>(connection: &C, names: &[&str]) -> Result<Vec<String>, DbErr> {
    let mut sql = Sql::new(connection.get_database_backend());
    let any_name = sql.bind_words(names);
    let text = match sql.backend() {
        DbBackend::Sqlite => format!(
            "SELECT name FROM sqlite_master WHERE type <> 'trigger' AND lower(name) {any_name} ORDER BY name"
        ),
        // A table has a type of its own name, which a type of that name stands in the way of.
        _ => format!(
            "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = current_schema() AND c.relname::text {any_name} \
             UNION SELECT t.typname::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
             WHERE n.nspname = current_schema() AND t.typname::text {any_name} ORDER BY 1"
        ),
    };
    let rows = connection.query_all_raw(sql.statement(&text)).await?;
    rows.iter().map(|row| row.try_get_by("name")).collect()
}

/// Whether the history's name is taken by anything that is no history of migrations.
pub(super) async fn history_is_foreign<C: ConnectionTrait>(connection: &C) -> Result<bool, DbErr> {
    let mut sql = Sql::new(connection.get_database_backend());
    let name = sql.bind(HISTORY_TABLE.into());
    let text = match sql.backend() {
        DbBackend::Sqlite => format!(
            "SELECT count(*) AS found FROM sqlite_master m WHERE lower(m.name) = {name} \
             AND m.type <> 'trigger' AND NOT (m.type = 'table' AND (SELECT count(*) \
             FROM pragma_table_info(m.name) i WHERE i.name IN ('version', 'applied_at')) = 2)"
        ),
        _ => format!(
            "SELECT count(*) AS found FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = current_schema() AND c.relname::text = {name} \
             AND NOT (c.relkind IN ('r', 'p') AND (SELECT count(*) FROM pg_attribute a \
             WHERE a.attrelid = c.oid AND a.attname IN ('version', 'applied_at') AND NOT a.attisdropped) = 2)"
        ),
    };
    let row = connection.query_one_raw(sql.statement(&text)).await?;
    let found = |row: QueryResult| row.try_get_by::<i64, _>("found");
    Ok(row.map(found).transpose()?.is_some_and(|found| found > 0))
}

/// Whether there is a schema to make tables in: on PostgreSQL the search path may name none.
pub(super) async fn has_schema<C: ConnectionTrait>(connection: &C) -> Result<bool, DbErr> {
    if connection.get_database_backend() == DbBackend::Sqlite {
        return Ok(true);
    }
    let sql = Sql::new(connection.get_database_backend()).statement("SELECT current_schema()::text AS name");
    let row = connection.query_one_raw(sql).await?;
    let name = |row: QueryResult| row.try_get_by::<Option<String>, _>("name");
    Ok(row.map(name).transpose()?.flatten().is_some())
}
