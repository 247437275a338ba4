//! Chromium without a window: opens a page and lets a probe look at it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PROBE: &str = include_str!("probe.js");
/// The page around: writes down what the probe says.
const AROUND: &str = r#"<!DOCTYPE html><html style="color-scheme: light dark"><body><pre></pre>
<script>
const found = [];
addEventListener("message", (event) => {
    found.push(JSON.parse(event.data));
    if (found.length === document.querySelectorAll("iframe").length) document.querySelector("pre").textContent = JSON.stringify(found);
});
</script>FRAMES</body></html>"#;
/// Names of the browser; `RSCALE_E2E_BROWSER` is another one.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// It takes a second or two; a machine with much to do gets more.
const TIME_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

pub struct Browser(PathBuf);

/// What a page was found to be.
pub struct Seen {
    /// What the probe says at each width.
    pub found: Vec<Value>,
    /// Lines that the page left on the console.
    pub console: Vec<String>,
}

impl Browser {
    /// The browser of this machine; where there is none, says that `what` was not tried.
    pub fn find(what: &str) -> Option<Self> {
        let skipped = |why: &str| {
            // Past the test runner, which keeps what passing tests print to itself.
            let line = format!("SKIPPED: {what} ({why})\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            None
        };
        if std::env::var_os("RSCALE_E2E").is_some_and(|value| value == "skip") {
            return skipped("RSCALE_E2E=skip");
        }
        if let Some(browser) = std::env::var_os("RSCALE_E2E_BROWSER") {
            if browser.is_empty() {
                return skipped("RSCALE_E2E_BROWSER is empty");
            }
            return Some(Self(browser.into()));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = NAMES.into_iter().find_map(|name| {
            let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
            files.find(|file| file.is_file())
        });
        match found {
            Some(browser) => Some(Self(browser)),
            None => skipped("no browser; install it: tests/testbed/browser.sh"),
        }
    }

    /// Opens a page in frames of these widths: a window has at least 500 pixels.
    pub fn open(&self, page: &str, widths: &[u32], scheme: Scheme) -> Seen {
        let folder = TempDir::new().unwrap();
        let (before, after) = page.rsplit_once("</body>").unwrap();
        let probed = format!("{before}<script>{PROBE}</script></body>{after}");
        fs::write(folder.path().join("page.html"), probed).unwrap();
        let frame = |width: &u32| {
            format!(
                "<iframe src=\"page.html\" style=\"width: {width}px; height: 900px; border: 0\"></iframe>"
            )
        };
        let frames: String = widths.iter().map(frame).collect();
        let around = AROUND.replace("FRAMES", &frames);
        let file = folder.path().join("around.html");
        fs::write(&file, around).unwrap();
        let (dom, log) = self.dump(folder.path(), &file, scheme);
        let text = dom
            .split_once("<pre>")
            .and_then(|(_, rest)| rest.split_once("</pre>"))
            .map(|(text, _)| text)
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| panic!("the probe did not come to its end:\n{log}\n{dom}"));
        let text = text
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&nbsp;", "\u{a0}")
            .replace("&amp;", "&");
        Seen {
            found: serde_json::from_str(&text).unwrap(),
            console: log
                .lines()
                .filter(|line| line.contains("CONSOLE"))
                .map(str::to_owned)
                .collect(),
        }
    }

    fn dump(&self, folder: &Path, page: &Path, scheme: Scheme) -> (String, String) {
        let (dom, log) = (folder.join("dom"), folder.join("log"));
        let preferred = match scheme {
            Scheme::Light => 1,
            Scheme::Dark => 0,
        };
        let mut browser = Command::new(&self.0)
            // It refuses to run as root with its sandbox; the page is our own.
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            // No word to anybody.
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args(["--disable-sync", "--disable-quic", "--hide-scrollbars"])
            .args(["--enable-logging=stderr", "--dump-dom"])
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .arg(format!("--blink-settings=preferredColorScheme={preferred}"))
            // Until nothing is left to happen, by the page's own clock.
            .args(["--window-size=1400,900", "--virtual-time-budget=5000"])
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .stdout(File::create(&dom).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = browser.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > TIME_LIMIT {
                browser.kill().unwrap();
                browser.wait().unwrap();
                panic!("the browser hangs:\n{}", fs::read_to_string(&log).unwrap());
            }
            sleep(Duration::from_millis(50));
        };
        let log = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
        assert!(status.success(), "{status}\n{log}");
        (fs::read_to_string(&dom).unwrap(), log)
    }
}
