//! The one map from a fault to what a client sees: a stable code and a sentence. What else is known
//! goes to the log.

use async_graphql::ErrorExtensions;

use crate::{database, deletion, paging::PageError, tenant, usage};

/// The closed list of `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// No token, or none that is accepted. Answered with HTTP status 401.
    Unauthenticated,
    /// The viewer may not do this.
    Forbidden,
    /// An argument is of no use; the sentence says what to pass.
    BadUserInput,
    /// The request is no GraphQL request.
    BadRequest,
    /// The address or the viewer has asked too often. Answered with HTTP status 429 and `Retry-After`.
    RateLimited,
    /// The document is not among those that are known beforehand.
    DocumentNotFound,
    /// The document is not GraphQL.
    GraphqlParseFailed,
    /// The document does not fit the schema, or is beyond a limit.
    GraphqlValidationFailed,
    /// The tenant's `time_zone` is not in the IANA database.
    UnknownTimeZone,
    /// A figure is beyond the type of its field.
    NumberOutOfRange,
    /// The database does not answer now; try again.
    Unavailable,
    /// A fault of the gateway; the log has it under the request id.
    Internal,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::BadUserInput,
        Self::BadRequest,
        Self::RateLimited,
        Self::DocumentNotFound,
        Self::GraphqlParseFailed,
        Self::GraphqlValidationFailed,
        Self::UnknownTimeZone,
        Self::NumberOutOfRange,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The value in `extensions.code`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::BadRequest => "BAD_REQUEST",
            Self::RateLimited => "RATE_LIMITED",
            Self::DocumentNotFound => "DOCUMENT_NOT_FOUND",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::UnknownTimeZone => "UNKNOWN_TIME_ZONE",
            Self::NumberOutOfRange => "NUMBER_OUT_OF_RANGE",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

/// A fault on its way to the client.
#[derive(Clone, Debug)]
pub struct Fault {
    code: Code,
    sentence: String,
}

const INTERNAL: &str = "the gateway could not answer; quote the request id to its operators";

impl Fault {
    /// A fault that the caller can mend.
    pub(super) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }

    pub(super) fn forbidden(what: &str) -> Self {
        Self::new(Code::Forbidden, format!("this token may not {what}; use an admin's"))
    }

    pub(super) fn out_of_range(what: &str) -> Self {
        Self::new(Code::NumberOutOfRange, format!("{what} is beyond what its type can hold"))
    }

    /// The work that was to answer ended without an answer: a fault of the gateway.
    pub(super) fn lost() -> Self {
        tracing::error!("a batch ended without an answer");
        Self::new(Code::Internal, INTERNAL)
    }

    /// What programs see of it.
    pub(super) fn code(&self) -> Code {
        self.code
    }

    /// Whether the same request may succeed later, whatever it asked for.
    pub(super) fn is_passing(&self) -> bool {
        self.code == Code::Unavailable
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %error, "a request failed");
        Self::new(Code::Internal, INTERNAL)
    }
}

impl From<Fault> for async_graphql::Error {
    fn from(fault: Fault) -> Self {
        let code = fault.code.word();
        async_graphql::Error::new(fault.sentence).extend_with(|_, extensions| extensions.set("code", code))
    }
}

impl From<&database::Error> for Fault {
    fn from(error: &database::Error) -> Self {
        match error {
            database::Error::Unavailable(reason) | database::Error::Contention(reason) => {
                tracing::warn!(reason, "the database did not answer");
                Self::new(Code::Unavailable, "the database does not answer now; try again in a moment")
            }
            database::Error::OutOfRange(reason) => {
                tracing::error!(reason, "a sum outgrew its type");
                Self::out_of_range("a figure")
            }
            database::Error::Address
            | database::Error::Duplicate(_)
            | database::Error::Denied(_)
            | database::Error::ForeignKey(_)
            | database::Error::Circle(_)
            | database::Error::Changed(_)
            | database::Error::Refused(_) => Self::internal(error),
        }
    }
}

impl From<database::Error> for Fault {
    fn from(error: database::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&usage::Error> for Fault {
    fn from(error: &usage::Error) -> Self {
        match error {
            usage::Error::UnknownZone(_) => Self::new(Code::UnknownTimeZone, error.to_string()),
            usage::Error::Calendar(_) | usage::Error::Range(_) => {
                Self::new(Code::BadUserInput, error.to_string())
            }
            usage::Error::OutOfRange(_) => Self::new(Code::NumberOutOfRange, error.to_string()),
            usage::Error::Database(error) => error.into(),
        }
    }
}

impl From<usage::Error> for Fault {
    fn from(error: usage::Error) -> Self {
        Self::from(&error)
    }
}

impl From<PageError> for Fault {
    fn from(error: PageError) -> Self {
        Self::new(Code::BadUserInput, error.to_string())
    }
}

impl From<tenant::Error> for Fault {
    fn from(error: tenant::Error) -> Self {
        match error {
            tenant::Error::Page(error) => error.into(),
            tenant::Error::Usage(error) => error.into(),
            tenant::Error::Database(error) => error.into(),
        }
    }
}

impl From<deletion::Error> for Fault {
    /// A refusal is data and reaches the client in a payload; only its database faults come here.
    fn from(error: deletion::Error) -> Self {
        match error {
            deletion::Error::Database(error) => error.into(),
            deletion::Error::Refused(refusal) => Self::new(Code::BadUserInput, refusal.to_string()),
        }
    }
}

/// The dataloader lost a key: a fault of the gateway.
impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::internal(&error)
    }
}
