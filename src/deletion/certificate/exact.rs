//! Integers in JSON that no reader rounds: a number where every reader has it exactly, else a string
//! of its digits, as RFC 8785 (appendix D) advises.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// The largest integer below which a double, as which JSON's readers may take numbers, has them all.
const LARGEST: i64 = (1 << 53) - 1;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn serialize<S: Serializer>(number: &i64, to: S) -> Result<S::Ok, S::Error> {
    if (-LARGEST..=LARGEST).contains(number) { to.serialize_i64(*number) } else { to.collect_str(number) }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(i64),
        Digits(String),
    }
    match Written::deserialize(from)? {
        Written::Number(number) => Ok(number),
        Written::Digits(digits) => digits.parse().map_err(D::Error::custom),
    }
}
