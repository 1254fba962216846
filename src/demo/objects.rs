//! The objects behind recordings and knowledge files: small, but whole and playable or readable, and
//! of exactly the size that their rows say.

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{SeedError, dice::Dice, rows::Rows, story::Story, tenants::Outline};
use crate::storage::Storage;

/// Objects written at the same time.
const WRITERS: usize = 8;

/// Bytes of a WAV file before its samples.
const WAV_HEADER: u32 = 44;

/// Telephone quality.
const SAMPLES_PER_SECOND: u32 = 8_000;

/// An object to be written.
pub(super) enum Object {
    /// A recording. There is one for many a call, so its key is left to be made when it is needed.
    Recording { tenant_id: Uuid, id: Uuid, size: i64 },
    /// A knowledge file.
    File { key: String, title: String, size: i64 },
}

/// What a recording's object is called.
pub(super) fn recording_key(tenant_id: Uuid, id: Uuid) -> String {
    format!("tenants/{tenant_id}/recordings/{id}.wav")
}

/// What a knowledge file's object is called.
pub(super) fn file_key(tenant_id: Uuid, id: Uuid, suffix: &str) -> String {
    format!("tenants/{tenant_id}/files/{id}.{suffix}")
}

/// Bytes of a recording: a few hundred samples, an even number, as WAV wants it.
pub(super) fn recording_size(dice: &mut Dice) -> i64 {
    i64::from(WAV_HEADER) + 2 * dice.whole(100, 350)
}

/// The objects that the rows of all these tenants will name. Takes as long as generating those rows.
pub(super) fn of(outlines: Vec<Outline>, seed: u64, now: DateTime<Utc>) -> Vec<Object> {
    let mut objects = Vec::new();
    for part in outlines.into_iter().flat_map(|outline| Story::new(outline, seed, now)) {
        objects.extend(named_by(&part));
    }
    objects
}

/// The objects that rows name.
fn named_by(rows: &Rows) -> impl Iterator<Item = Object> {
    let recordings = rows.call_recordings.iter().map(|recording| Object::Recording {
        tenant_id: recording.tenant_id,
        id: recording.id,
        size: recording.size_bytes,
    });
    let files = rows.knowledge_files.iter().map(|file| Object::File {
        key: file.storage_key.clone(),
        title: file.name.clone(),
        size: file.size_bytes,
    });
    recordings.chain(files)
}

impl Object {
    pub(super) fn size(&self) -> u64 {
        let (Self::Recording { size, .. } | Self::File { size, .. }) = self;
        u64::try_from(*size).unwrap_or_default()
    }

    fn key(&self) -> String {
        match self {
            Self::Recording { tenant_id, id, .. } => recording_key(*tenant_id, *id),
            Self::File { key, .. } => key.clone(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let size = usize::try_from(self.size()).unwrap_or_default();
        match self {
            Self::Recording { id, .. } => wav(size, *id),
            Self::File { title, .. } => text(size, title),
        }
    }
}

/// Writes all objects, several at a time.
///
/// # Errors
///
/// [`SeedError::Storage`] with the first that could not be written; others may have been.
pub(super) async fn write(
    storage: &Storage,
    objects: Vec<Object>,
    progress: &ProgressBar,
) -> Result<(), SeedError> {
    // Each writer has a stretch of its own, so that they seldom meet in one tenant's directory.
    let stretch = objects.len().div_ceil(WRITERS);
    let mut objects = objects.into_iter();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (storage, progress) = (storage.clone(), progress.clone());
        let objects: Vec<_> = objects.by_ref().take(stretch).collect();
        writers.spawn(async move {
            for object in objects {
                storage.put(&object.key(), object.bytes()).await?;
                progress.inc(1);
            }
            Ok::<_, SeedError>(())
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(())
}

/// A sound of 8-bit samples, one channel, that lasts as long as `size` bytes allow.
fn wav(size: usize, id: Uuid) -> Vec<u8> {
    let samples = u32::try_from(size).unwrap_or(u32::MAX).saturating_sub(WAV_HEADER);
    let mut wav = Vec::with_capacity(size);
    wav.extend(b"RIFF");
    wav.extend((samples + WAV_HEADER - 8).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    // Uncompressed, one channel.
    wav.extend(1_u16.to_le_bytes());
    wav.extend(1_u16.to_le_bytes());
    // Samples, and with one byte for each of them bytes, a second.
    wav.extend(SAMPLES_PER_SECOND.to_le_bytes());
    wav.extend(SAMPLES_PER_SECOND.to_le_bytes());
    wav.extend(1_u16.to_le_bytes());
    wav.extend(8_u16.to_le_bytes());
    wav.extend(b"data");
    wav.extend(samples.to_le_bytes());
    // A triangle wave around the middle of the range, whose pitch the id decides.
    let period = 12 + u32::from(id.as_bytes()[15] % 48);
    let wave = |sample: u32| {
        let phase = sample % period * 128 / period;
        64 + if phase < 64 { phase } else { 128 - phase } * 2
    };
    wav.extend((0..samples).map(|sample| u8::try_from(wave(sample)).unwrap_or(128)));
    wav
}

/// Lines about `title`, cut off at `size` bytes.
fn text(size: usize, title: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(size + 80);
    let mut line = 1;
    while text.len() < size {
        text.extend(format!("{title}, {line}: ask the team if this does not answer the question.\n").bytes());
        line += 1;
    }
    text.truncate(size);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_a_whole_wav_file_of_its_size() {
        for size in [44, 244, 744] {
            let wav = wav(size, Uuid::from_u128(7));
            assert_eq!(wav.len(), size);
            let number = |at: usize| u32::from_le_bytes(wav[at..at + 4].try_into().unwrap()) as usize;
            assert_eq!((&wav[..4], number(4)), (&b"RIFF"[..], size - 8));
            assert_eq!((&wav[36..40], number(40)), (&b"data"[..], size - 44));
        }
    }

    #[test]
    fn a_file_is_of_its_size() {
        for size in [0, 1, 200, 6_000] {
            assert_eq!(text(size, "Opening hours.txt").len(), size);
        }
    }
}
