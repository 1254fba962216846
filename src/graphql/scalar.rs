//! The scalars of the public schema.

use async_graphql::{InputValueError, InputValueResult, Number, Scalar, ScalarType, Value};
use chrono::{NaiveDate, SecondsFormat, Utc};

/// Largest whole number that a JSON number carries exactly.
const MAX_SAFE: i64 = (1 << 53) - 1;

/// An instant: RFC 3339, UTC, always with Z, such as `2026-10-02T12:34:56.789Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub chrono::DateTime<Utc>);

/// An instant: RFC 3339, UTC, always with Z, such as `2026-10-02T12:34:56.789Z`.
#[Scalar(name = "DateTime", specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => chrono::DateTime::parse_from_rfc3339(text)
                .map(|instant| Self(instant.with_timezone(&Utc)))
                .map_err(|_| InputValueError::custom("write an instant as 2026-10-02T12:34:56Z")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

/// A day in the tenant's time zone, such as `2026-10-02`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub NaiveDate);

/// A day in the tenant's time zone, such as `2026-10-02`.
#[Scalar(name = "Date")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) if text.len() == 10 => NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .map(Self)
                .map_err(|_| InputValueError::custom("write a day that exists, as 2026-10-02")),
            Value::String(_) => Err(InputValueError::custom("write a day as 2026-10-02")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.format("%Y-%m-%d").to_string())
    }
}

/// A whole number within ±(2^53-1), sent as a JSON number. Beyond it the field is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int64(i64);

impl Int64 {
    /// The number, if JSON carries it exactly.
    pub(super) fn exact(number: i64) -> Option<Self> {
        (-MAX_SAFE..=MAX_SAFE).contains(&number).then_some(Self(number))
    }
}

/// A whole number within ±(2^53-1), sent as a JSON number. Beyond it the field is an error.
#[Scalar(name = "Int64")]
impl ScalarType for Int64 {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number
                .as_i64()
                .and_then(Self::exact)
                .ok_or_else(|| InputValueError::custom("write a whole number within ±(2^53-1)")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Number(Number::from(self.0))
    }
}
