//! Stand-ins until the real ones are merged.
use super::*;
/// S.
#[derive(Clone, Debug, Default)]
pub struct Settings;
/// C.
#[derive(Clone, Debug)]
pub struct Counted {
    /// t
    pub table: TableName,
    /// r
    pub rows: i64,
    /// e
    pub is_exact: bool,
}
/// X.
pub async fn crossings<C: ConnectionTrait>(
    _: &C,
    _: &Plan,
    _: uuid::Uuid,
) -> Result<Vec<Gap>, database::Error> {
    Ok(vec![])
}
/// E.
pub async fn estimate<C: ConnectionTrait>(
    c: &C,
    plan: &Plan,
    t: uuid::Uuid,
) -> Result<Vec<Counted>, database::Error> {
    Ok(count(c, plan, t)
        .await?
        .into_iter()
        .map(|(table, rows)| Counted { table, rows, is_exact: true })
        .collect())
}
