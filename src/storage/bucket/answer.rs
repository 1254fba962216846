//! The XML of S3: what is sent to delete, and what comes back.

use std::fmt::Write;

use percent_encoding::percent_decode_str;
use quick_xml::{Reader, escape::escape, events::Event};
use serde::{Deserialize, de::DeserializeOwned};

use super::super::Error;

/// A page of a bucket's objects.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ObjectPage {
    pub(super) encoding_type: Option<String>,
    pub(super) is_truncated: bool,
    pub(super) next_continuation_token: Option<String>,
    #[serde(default)]
    pub(super) contents: Vec<Object>,
}

/// An object, with its size in bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Object {
    pub(super) key: String,
    pub(super) size: u64,
}

/// A page of versions and delete markers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VersionPage {
    pub(super) encoding_type: Option<String>,
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_version_id_marker: Option<String>,
    #[serde(default, rename = "Version")]
    pub(super) versions: Vec<Version>,
    #[serde(default, rename = "DeleteMarker")]
    pub(super) markers: Vec<Version>,
}

/// A version or a delete marker. The latest one of a key is what a plain listing goes by.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) key: String,
    #[serde(rename = "VersionId")]
    pub(super) id: String,
    pub(super) is_latest: bool,
}

/// A page of unfinished uploads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UploadPage {
    pub(super) encoding_type: Option<String>,
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_upload_id_marker: Option<String>,
    #[serde(default, rename = "Upload")]
    pub(super) uploads: Vec<Upload>,
}

/// An unfinished upload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Upload {
    pub(super) key: String,
    #[serde(rename = "UploadId")]
    pub(super) id: String,
}

/// Whether a bucket keeps versions: `Enabled`, `Suspended`, or nothing for never.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Versioning {
    pub(super) status: Option<String>,
}

/// What could not be deleted.
#[derive(Debug, Deserialize)]
pub(super) struct Deleted {
    #[serde(default, rename = "Error")]
    pub(super) errors: Vec<NotDeleted>,
}

/// One such thing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NotDeleted {
    pub(super) key: String,
    pub(super) version_id: Option<String>,
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// Why a request failed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Reason {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// Reads a document whose outermost element has `root` in its name; servers differ in the rest of it.
/// The name counts: every field of some answers is optional, and the report of a fault must not be
/// read as an answer without faults.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], root: &str) -> Result<T, String> {
    let mut reader = Reader::from_reader(bytes);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                let name = element.local_name();
                let name = String::from_utf8_lossy(name.as_ref());
                if name.contains(root) {
                    break;
                }
                return Err(format!("it is {name} and not {root}"));
            }
            Ok(Event::Eof) => return Err(format!("it is not {root}")),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    quick_xml::de::from_reader(bytes).map_err(|error| error.to_string())
}

/// The order to delete these keys or versions. All keys are plain.
pub(super) fn deletion<'a>(targets: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut order = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (key, version) in targets {
        let _ = write!(order, "<Object><Key>{}</Key>", escape(key));
        if let Some(version) = version {
            let _ = write!(order, "<VersionId>{}</VersionId>", escape(version));
        }
        order.push_str("</Object>");
    }
    // Only what failed is of interest.
    order.push_str("<Quiet>true</Quiet></Delete>");
    order
}

/// Whether every reader of XML finds this key as it was written: control characters are not allowed
/// there, and blanks at the ends may get lost.
pub(super) fn is_plain(key: &str) -> bool {
    let is_outside = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    !key.contains(is_outside) && key.trim() == key
}

/// Decodes keys of an answer, where the server says that it has encoded them: not all do so when
/// asked to.
pub(super) fn decoder(encoding: Option<&str>) -> impl Fn(String) -> Result<String, Error> {
    let is_encoded = encoding == Some("url");
    move |key| {
        if !is_encoded {
            return Ok(key);
        }
        let spaced = key.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8();
        decoded
            .map(Into::into)
            .map_err(|_| Error::Refused(format!("the storage has a key that is no UTF-8: {key:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_that_is_due_says_that_all_is_gone() {
        for gone in ["<DeleteResult/>", "<?xml version=\"1.0\"?>\n<DeleteResult xmlns=\"x\"></DeleteResult>"]
        {
            assert!(read::<Deleted>(gone.as_bytes(), "DeleteResult").unwrap().errors.is_empty(), "{gone}");
        }
        for other in [
            "",
            "<Error><Code>InternalError</Code></Error>",
            "<html><body>Sign in</body></html>",
            "<DeleteResult><Error><Key>a</Key>",
            "nothing",
        ] {
            assert!(read::<Deleted>(other.as_bytes(), "DeleteResult").is_err(), "{other}");
        }
    }
}
