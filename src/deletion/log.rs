//! SQLite's log while rows are erased: it is copied into the database beside the batches, not inside their commits,
//! and begins anew between two of them.

use std::{convert::Infallible, time::Duration};

use sea_orm::DbBackend;
use tokio::time::Instant;

use super::erasure::Erasure;
use crate::database;

/// Between two copies. A page that several batches have changed meanwhile is copied once.
const PAUSE: Duration = Duration::from_millis(500);
/// Pages of a log that is long: 128 MiB. While others write it only grows; here they wait for a moment, and it begins
/// anew.
const LONG: i64 = 32_768;

/// Keeps the log short for as long as it is polled.
pub(super) async fn keep_short(erasure: &Erasure<'_>) -> Infallible {
    if erasure.tools.database.backend() != DbBackend::Sqlite {
        return std::future::pending().await;
    }
    loop {
        let copied = match copy(erasure).await {
            Ok(pages) if pages > LONG => begin_anew(erasure).await,
            outcome => outcome.map(drop),
        };
        tell(erasure, copied);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Copies what is left, so that nobody else's commit has to.
pub(super) async fn finish(erasure: &Erasure<'_>) {
    if erasure.tools.database.backend() == DbBackend::Sqlite {
        tell(erasure, copy(erasure).await.map(drop));
    }
}

fn tell(erasure: &Erasure<'_>, copied: Result<(), database::Error>) {
    if let Err(error) = copied {
        tracing::debug!(deletion = %erasure.id(), %error, "the log was not copied; the next time more is");
    }
}

/// Copies what batches have written with none of them under way, then the little that others have written meanwhile
/// with nobody writing. Who writes next begins the log anew, unless somebody reads from it at that moment.
async fn begin_anew(erasure: &Erasure<'_>) -> Result<(), database::Error> {
    let database = &erasure.tools.database;
    let _place = erasure.traffic.place().await;
    copy(erasure).await?;
    let writer = database.begin_without_checkpoint().await?;
    let copied = copy(erasure).await;
    writer.rollback().await?;
    copied.map(drop)
}

/// Returns how many pages the log has.
async fn copy(erasure: &Erasure<'_>) -> Result<i64, database::Error> {
    let begun = Instant::now();
    let pages = erasure.tools.database.checkpoint().await?;
    let micros = begun.elapsed().as_micros();
    tracing::debug!(deletion = %erasure.id(), pages, micros, "the log was copied");
    Ok(pages)
}
