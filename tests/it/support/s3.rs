//! A real S3 server that nobody here wrote: `moto`, one for all tests of the binary.

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Once,
    time::{Duration, Instant},
};

use reqwest::{Client, Method, StatusCode};
use tenant_gateway::storage::Storage;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::client;

/// A server that does not answer by then does not start.
const DEADLINE: Duration = Duration::from_mins(2);

/// Somebody whom the server believes to own what it holds, as long as it checks nobody.
const OWNER: &str =
    "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A server, gone when this is dropped or the tests end, however they do.
pub struct S3 {
    pub address: SocketAddr,
    shell: Child,
}

/// A bucket of one test, as the platform's own services use it: without the gateway.
pub struct Bucket {
    pub name: String,
    pub address: SocketAddr,
    client: Client,
}

impl S3 {
    /// The server of all tests, started once. None where neither `MOTO_SERVER` names one nor `.ci/run` has
    /// installed one: one line says so, and with `REQUIRE_S3=1` the test fails instead.
    pub async fn shared() -> Option<&'static Self> {
        static SERVER: OnceCell<Option<S3>> = OnceCell::const_new();
        SERVER.get_or_init(Self::start).await.as_ref()
    }

    /// A server of this test alone, for what concerns all of a server.
    pub async fn start() -> Option<Self> {
        static TOLD: Once = Once::new();
        let Some(program) = program() else {
            assert!(env::var("REQUIRE_S3").as_deref() != Ok("1"), "REQUIRE_S3=1 but no moto_server");
            TOLD.call_once(|| {
                let _ = std::io::stderr().write_all(b"NOT RUN ON S3: no moto_server is installed\n");
            });
            return None;
        };
        // Free a moment ago; the server takes no number from the system that it would tell.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        // The shell reads until this process is gone, whatever ended it.
        let script = r#""$0" -H 127.0.0.1 -p "$1" >/dev/null 2>&1 </dev/null & read -r _; kill $!"#;
        let shell = Command::new("sh")
            .args(["-c", script])
            .arg(program)
            .arg(address.port().to_string())
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < DEADLINE, "moto_server does not answer at {address}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(Self { address, shell })
    }

    /// A new, empty bucket.
    pub async fn bucket(&self) -> Bucket {
        let name = format!("test-{}", Uuid::now_v7().simple());
        let bucket = Bucket { name, address: self.address, client: client() };
        bucket.ask(Method::PUT, "", "").await;
        bucket
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// The one that was chosen, or that of `.ci/run`, whose version is pinned: others sign differently.
fn program() -> Option<PathBuf> {
    let chosen = env::var_os("MOTO_SERVER").filter(|value| !value.is_empty()).map(PathBuf::from);
    let pinned = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/moto/bin/moto_server"));
    chosen.or(Some(pinned)).filter(|file| file.is_file())
}

impl Bucket {
    /// The gateway's view of the bucket, below a prefix.
    pub fn storage(&self, prefix: &str) -> Storage {
        self.storage_at(&format!("http://{}", self.address), prefix)
    }

    /// The same, through another address.
    pub fn storage_at(&self, endpoint: &str, prefix: &str) -> Storage {
        self.storage_as(endpoint, prefix, ("anybody", "anything"))
    }

    /// The same, as a certain user: the key's id and its secret.
    pub fn storage_as(&self, endpoint: &str, prefix: &str, (id, secret): (&str, &str)) -> Storage {
        let variables = [
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = format!("s3://{}/{prefix}", self.name);
        Storage::open_with(&url, variables).expect("a storage")
    }

    /// Asks the bucket; `what` follows its name in the address.
    pub async fn ask(&self, method: Method, what: &str, body: impl Into<reqwest::Body>) -> String {
        let url = format!("http://{}/{}{what}", self.address, self.name);
        let answer = self
            .client
            .request(method, &url)
            .header("authorization", OWNER)
            .body(body)
            .send()
            .await
            .expect(what);
        assert!(answer.status().is_success(), "{what}: {:?}", answer.text().await);
        answer.text().await.expect("text")
    }

    pub async fn keep_versions(&self) {
        let order = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        self.ask(Method::PUT, "?versioning", order).await;
    }

    /// Writes an object whose path in the address is `path`, byte for byte: clients for HTTP would
    /// make `a/../b` shorter.
    pub fn write(&self, path: &str, bytes: &str) {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        let head = format!(
            "PUT /{}/{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {OWNER}\r\n",
            self.name, self.address
        );
        let rest = format!("Content-Length: {}\r\nConnection: close\r\n\r\n{bytes}", bytes.len());
        stream.write_all((head + &rest).as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }

    /// Begins an upload in parts.
    pub async fn begin_upload(&self, key: &str) {
        self.ask(Method::POST, &format!("/{key}?uploads"), "").await;
    }

    /// How often a word stands in the answer to a question: elements of a list are counted with it.
    pub async fn count(&self, what: &str, word: &str) -> usize {
        self.ask(Method::GET, what, "").await.matches(word).count()
    }

    pub async fn objects(&self) -> usize {
        self.count("?list-type=2", "<Key>").await
    }

    /// Whether there is an object at this path of the address.
    pub async fn has(&self, path: &str) -> bool {
        let url = format!("http://{}/{}/{path}", self.address, self.name);
        self.client.head(url).header("authorization", OWNER).send().await.expect("an answer").status()
            == StatusCode::OK
    }
}
