//! `rscale man`.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{SHOP, skipped};
use crate::support::fake::Fake;

#[test]
fn the_page_is_roff_with_every_command_and_asks_docker_nothing() {
    let ran = Fake::new(SHOP).line("man").output();
    assert_eq!(
        (ran.status, ran.stderr.as_str(), ran.calls.len()),
        (0, "", 0)
    );
    assert!(
        ran.stdout.contains(".TH rscale 1"),
        "{}",
        &ran.stdout[..200]
    );
    for word in [
        ".SH NAME",
        ".SH SYNOPSIS",
        ".SH OPTIONS",
        "scale\\-all",
        "RSCALE_WAIT_TIMEOUT",
        "130",
    ] {
        assert!(ran.stdout.contains(word), "{word}");
    }
    assert!(
        !ran.stdout.contains("reference"),
        "hidden commands stay hidden"
    );
}

#[test]
fn the_page_renders_without_a_warning() {
    let page = Fake::new(SHOP).line("man").output().stdout;
    let renderer = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-Wbreak"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut renderer) = renderer else {
        skipped("groff is not installed, the manual page was not rendered");
        return;
    };
    renderer
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = renderer.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("NAME") && text.contains("wait"), "{text}");
}
