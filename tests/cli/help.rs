//! `--help` of every command, as snapshots: what users read changes on purpose only.

use super::SHOP;
use crate::support::fake::Fake;

/// The help as it is printed where nobody says how wide the terminal is.
fn help(line: &str) -> String {
    let ran = Fake::new(SHOP)
        .env("RSCALE_COMPOSE", "")
        .line(line)
        .output();
    assert_eq!(
        (ran.status, ran.stderr.as_str(), ran.calls.len()),
        (0, "", 0),
        "{line}: {ran:#?}"
    );
    ran.stdout
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

#[test]
fn help_of_every_command_is_as_it_was_agreed() {
    insta::with_settings!({ snapshot_path => "../snapshots/help", prepend_module_to_snapshot => false, omit_expression => true }, {
        for command in ["", "scale", "scale-all", "status", "check", "load-test", "export", "completions", "man"] {
            let name = if command.is_empty() { "help" } else { &format!("help-{command}") };
            insta::assert_snapshot!(name, help(&format!("{command} --help")));
        }
        insta::assert_snapshot!("help-short", help("-h"));
    });
}

#[test]
fn help_is_had_in_every_way_that_people_type_it() {
    assert_eq!(help("help"), help("--help"));
    assert_eq!(help("help scale-all"), help("scale-all --help"));
}

#[test]
fn help_tells_the_exit_codes() {
    for command in [
        "",
        "scale",
        "scale-all",
        "status",
        "check",
        "load-test",
        "export",
    ] {
        let text = help(&format!("{command} --help"));
        for code in [
            "  0    done",
            "  1    it failed",
            "  2    wrong usage",
            "  3    refused",
            "  4    the project",
            "  5    ",
            "  130  interrupted",
        ] {
            assert!(text.contains(code), "{command}: {code}");
        }
    }
}
