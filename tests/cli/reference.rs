//! Generated files: docs/cli.md and docs/schema are what the binary prints.

use std::path::Path;

use super::SHOP;
use crate::support::fake::Fake;

#[test]
fn generated_files_are_not_stale() {
    for (what, file) in [
        ("cli", "docs/cli.md"),
        ("status-schema", "docs/schema/status.schema.json"),
        ("scale-schema", "docs/schema/scale.schema.json"),
        ("check-schema", "docs/schema/check.schema.json"),
        ("export-schema", "docs/schema/export.schema.json"),
        ("load-test-schema", "docs/schema/load-test.schema.json"),
        (
            "load-test-compare-schema",
            "docs/schema/load-test-compare.schema.json",
        ),
        (
            "load-test-sweep-schema",
            "docs/schema/load-test-sweep.schema.json",
        ),
    ] {
        let ran = Fake::new(SHOP)
            .env("RSCALE_COMPOSE", "")
            .args(["reference", what])
            .output();
        assert_eq!((ran.status, ran.calls.len()), (0, 0), "{ran:#?}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == ran.stdout,
            "{file} is stale: cargo run -- reference {what} > {file}"
        );
    }
}

#[test]
fn the_command_line_page_has_a_section_for_every_command() {
    let page = Fake::new(SHOP).line("reference cli").output().stdout;
    let titles: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(
        titles,
        [
            "rscale",
            "rscale scale",
            "rscale scale-all",
            "rscale status",
            "rscale check",
            "rscale load-test",
            "rscale export",
            "rscale completions",
            "rscale man"
        ]
    );
}
