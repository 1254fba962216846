//! Opens a page in a real browser, where the machine has one.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// Time that the page's own clock gets: timers fire as if it had passed, without waiting for it.
const PAGE_TIME: &str = "--virtual-time-budget=8000";

/// A browser that has not answered by then hangs.
const DEADLINE: Duration = Duration::from_mins(1);

/// The browser to use: the one that `CHROMIUM` names, else the first in `PATH`.
pub(crate) fn chromium() -> Option<PathBuf> {
    if let Some(chosen) = env::var_os("CHROMIUM").filter(|value| !value.is_empty()) {
        return Some(PathBuf::from(chosen));
    }
    let folders: Vec<_> = env::split_paths(&env::var_os("PATH")?).collect();
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|candidate| candidate.is_file())
}

/// The document at `url` once its scripts have run, or nothing where no browser starts.
///
/// # Panics
///
/// When the browser hangs on the page.
pub(crate) fn dom_of(url: &str) -> Option<String> {
    match document_in(&chromium()?, url) {
        Ok(document) if !document.is_empty() => Some(document),
        Ok(_) => {
            eprintln!("the browser does not start: it ends without a document");
            None
        }
        Err(error) => {
            eprintln!("the browser does not start: {error}");
            None
        }
    }
}

fn document_in(chromium: &Path, url: &str) -> io::Result<String> {
    let profile = tempfile::tempdir()?;
    let mut browser = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        .args(["--disable-sync", "--window-size=1400,900", PAGE_TIME, "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // The document is larger than a pipe holds, so it is read while the browser runs.
    let output = browser.stdout.take();
    let (sender, documents) = mpsc::channel();
    thread::spawn(move || {
        let document = output.map_or_else(|| Ok(String::new()), io::read_to_string);
        sender.send(document).ok();
    });
    let received = documents.recv_timeout(DEADLINE);
    browser.kill()?;
    browser.wait()?;
    received.unwrap_or_else(|_| panic!("the browser hangs on {url}"))
}
