//! Text from outside on its way to a terminal: whatever containers, files, Compose and the engine say, only line ends and
//! rscale's own colours come out of it as control characters, and no line is taken for one of rscale's.

use crate::support::fake::{Answer, Container, Fake, Ran, running};

/// Sets the title, clears the screen, sets the clipboard, looks like an error, turns the direction of writing.
const EVIL: &str = "\u{1b}]0;pwned\u{7}\u{1b}[2J\u{1b}]52;c;cm0=\u{1b}\\\nerror: fake\r  hint: fake\t\u{9b}31m\u{7f}\u{202e}\u{2067}\u{0}";

/// As a string of YAML and JSON.
fn quoted() -> String {
    serde_json::to_string(EVIL).unwrap()
}

fn web() -> Vec<Container> {
    let mut containers = running("web", 3);
    for container in &mut containers {
        container.name = format!("{}{EVIL}", container.name);
        container.ports = format!("0.0.0.0:8000{EVIL}->80/tcp");
        container.command = EVIL.into();
    }
    containers
}

#[track_caller]
fn is_tame(line: &str, ran: &Ran) {
    for (stream, printed) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        let mut rest = printed.as_str();
        let mut text = String::new();
        while let Some(at) = rest.find("\u{1b}[") {
            text.push_str(&rest[..at]);
            let end = rest[at..].find('m').map_or(rest.len(), |end| at + end + 1);
            let own = ["0", "1", "31", "32", "33", "36", "90"];
            assert!(
                own.contains(&&rest[at + 2..end - 1]),
                "rscale {line}: {stream}: {:?}",
                &rest[at..end]
            );
            rest = &rest[end..];
        }
        text.push_str(rest);
        for (number, one) in text.lines().enumerate() {
            let odd = one.chars().find(|c| {
                c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            });
            assert_eq!(odd, None, "rscale {line}: {stream} {number}: {one:?}");
            assert!(
                !one.trim_start().starts_with("error: fake")
                    && !one.trim_start().starts_with("hint: fake"),
                "rscale {line}: {stream} {number}: {one:?}"
            );
            assert!(one.chars().count() < 10_000, "rscale {line}: {stream}");
        }
    }
}

#[test]
fn nothing_from_outside_reaches_the_terminal_as_it_came() {
    let evil = quoted();
    let shop = format!(
        "services:
  web:
    image: {evil}
    container_name: {evil}
    command: [sh, -c, {evil}]
    pre_stop: [{{command: [{evil}]}}]
    x-rscale: {{refresh: [{{service: {evil}, exec: [{evil}]}}], drain: {{exec: [sh, -c, {evil}], undo: [{evil}]}}}}
  {evil}: {{image: a}}"
    );
    let key = format!("services:\n  web:\n    image: a\n    x-rscale: {{{evil}: 1}}");
    let value = format!("services:\n  web:\n    image: a\n    x-rscale: {{max: {evil}}}");
    let task = format!(
        "services:\n  web: {{image: a}}\nx-rscale: {{load-test: {{tasks: {{{evil}: {{url: 'http://127.0.0.1:9/'}}}}}}}}"
    );
    let free = "services:\n  web: {image: a}";
    let died = |services: &str| {
        let dead = Container {
            error: EVIL.into(),
            ..Container::new("web", 4, "exited").exit_code(3)
        };
        let all = [running("web", 3), vec![dead]].concat();
        Fake::new(services)
            .containers(running("web", 3))
            .on("^start", Answer::fails(EVIL).once())
            .on("*up *", Answer::makes(all))
            .log("shop-web-4", &format!("{EVIL}\n{}\n", "x".repeat(1 << 20)))
    };
    for color in ["never", "always"] {
        for format in ["text", "json"] {
            for (fake, line) in [
                (Fake::new(&shop).containers(web()), "status -v"),
                (Fake::new(&shop).containers(web()), "check"),
                (Fake::new(&shop).containers(web()), "check web=5"),
                (Fake::new(&shop).containers(web()), "web=1 --dry-run"),
                (Fake::new(&shop).containers(web()), "web=1 -vv"),
                (Fake::new(&shop).containers(web()), "scale-all 2"),
                (
                    Fake::new(&shop)
                        .containers(web())
                        .on("^exec", Answer::fails(EVIL)),
                    "web=1",
                ),
                (Fake::new(&key), "status"),
                (Fake::new(&value), "status"),
                (died(free), "web=4 -v"),
                (Fake::new(free).on(" config", Answer::fails(EVIL)), "status"),
                (
                    Fake::new(free).on(" config", Answer::fails(&format!("no such image {EVIL}"))),
                    "status",
                ),
                (Fake::new(free).on("^ps", Answer::prints(EVIL)), "status"),
                (
                    Fake::new(free).on("^ps", Answer::fails(&"long ".repeat(1 << 18))),
                    "status",
                ),
                (
                    Fake::new(&task).containers(running("web", 1)),
                    "load-test --tasks 1",
                ),
                (Fake::new(&task), "web=1 wbe=2"),
            ] {
                let options = format!("{line} --color {color} --format {format}");
                let ran = fake.line(&options).output();
                is_tame(&options, &ran);
                assert!(!ran.stdout.is_empty() || !ran.stderr.is_empty());
            }
        }
    }
}
