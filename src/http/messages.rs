//! The messages of `graphql-transport-ws`, and the codes that a socket is closed with.

use async_graphql::ServerError;
use axum::extract::ws::CloseFrame;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Written, asked::Asked};

/// Why a socket is closed: what the protocol says, and beyond it what a client should know.
#[derive(Clone, Copy, Debug)]
pub(super) enum Close {
    NotProtocol,
    TooMuch,
    NoProtocol,
    Unauthorized,
    Forbidden,
    NotBegun,
    BegunTwice,
    Duplicate,
    TokenEnded,
    Silent,
    Idle,
    TooOld,
    TooSlow,
    Stopping,
}

impl Close {
    pub(super) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::NotProtocol => (4400, "not a message of graphql-transport-ws"),
            Self::TooMuch => (4400, "a message with too many values"),
            Self::NoProtocol => (4406, "the protocol must be graphql-transport-ws"),
            Self::Unauthorized => (4401, "send connection_init first"),
            Self::Forbidden => (4403, "no token, or none that is accepted"),
            Self::NotBegun => (4408, "connection_init did not come in time"),
            Self::BegunTwice => (4429, "connection_init came twice"),
            Self::Duplicate => (4409, "an operation of this id is going on"),
            Self::TokenEnded => (4403, "the token has ended; connect with a new one"),
            Self::Silent => (4408, "nothing came for too long"),
            Self::Idle => (1000, "no operation for too long"),
            Self::TooOld => (1001, "connect again"),
            Self::TooSlow => (1013, "messages were taken too slowly"),
            Self::Stopping => (1001, "the gateway stops; connect again"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromClient {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Payload>,
    },
    Subscribe {
        id: Id,
        payload: Box<Asked>,
    },
    Complete {
        id: Id,
    },
    Ping {
        #[serde(default)]
        payload: Option<Payload>,
    },
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<Payload>,
    },
}

/// Whatever a client likes to send along.
pub(super) type Payload = serde_json::Map<String, Value>;

/// The name of an operation.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Id(pub(super) String);

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Err("an id has at least one character") } else { Ok(Self(text)) }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToClient<'a> {
    ConnectionAck,
    Next {
        id: &'a str,
        payload: Written<'a>,
    },
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
    Ping,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<&'a Payload>,
    },
}
