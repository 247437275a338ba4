//! Dependencies run one way between the folders of `src/`: what a line brings in from `crate::` stands further down.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders and files of `src/`, each with what it may use below it. docs/architecture.md shows the same.
const FLOORS: &[&str] = &[
    "commands",
    "ui",
    "cli",
    "report",
    "export",
    "pipeline",
    "apply",
    "preflight",
    "memory",
    "gather",
    "load",
    "engine",
    "lock",
    "plan",
    "exec",
    "project",
    "error",
    "hidden",
    "suggest",
    "duration",
    "plain",
    "phrase",
    "words",
];

/// Not of the house: its door, and its table of contents.
const OUTSIDE: &[&str] = &["main", "lib"];

/// A place in the house: `plan` of `src/plan/draft.rs`, `ui` of `src/ui.rs`.
fn floor_of(file: &Path) -> String {
    let first = file.components().next().unwrap();
    let name = Path::new(first.as_os_str()).file_stem().unwrap();
    name.to_str().unwrap().to_owned()
}

/// Files for tests alone.
fn is_test(file: &Path) -> bool {
    let mut parts = file
        .components()
        .map(|part| part.as_os_str().to_str().unwrap());
    parts.any(|part| {
        [
            "tests",
            "tests.rs",
            "testing.rs",
            "fuzzing.rs",
            "recording.rs",
        ]
        .contains(&part)
    })
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What a text brings in from the crate: `plan` and `error` of `use crate::{plan::Step, error::Error}`.
fn uses(text: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => drop(found.insert(name(rest))),
            Some(group) => {
                let mut depth = 0;
                let mut begins = true;
                for (place, c) in group.char_indices() {
                    if begins && !c.is_whitespace() {
                        found.insert(name(&group[place..]));
                        begins = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        _ => {}
                    }
                }
            }
        }
    }
    found.remove("");
    found
}

/// Without what follows `#[cfg(test)]` as a module of its own.
fn without_tests(text: &str) -> &str {
    let begins = |line: &str| line.starts_with("#[cfg(") && line.contains("test");
    let mut at = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        if begins(line) && next.starts_with("mod ") && next.trim_end().ends_with('{') {
            break;
        }
        at += line.len();
    }
    &text[..at]
}

#[test]
fn dependencies_run_one_way_between_folders() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    let (mut back, mut homeless, mut arrows) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let floor = |name: &str| FLOORS.iter().position(|floor| *floor == name);
    for path in all {
        let file = path.strip_prefix(&source).unwrap();
        let from = floor_of(file);
        if is_test(file) || OUTSIDE.contains(&from.as_str()) {
            continue;
        }
        let Some(at) = floor(&from) else {
            homeless.insert(from);
            continue;
        };
        for to in uses(without_tests(&fs::read_to_string(&path).unwrap())) {
            // Macros and derived names are of no floor.
            let Some(below) = floor(&to).filter(|_| to != from) else {
                continue;
            };
            arrows.insert((from.clone(), to.clone()));
            if below < at {
                back.push(format!("{} uses `{to}`", file.display()));
            }
        }
    }
    assert!(homeless.is_empty(), "on no floor: {homeless:?}");
    assert!(back.is_empty(), "{}", back.join("\n"));
    // That it sees arrows at all.
    assert!(arrows.len() > 60, "{}", arrows.len());
}

#[test]
fn the_document_shows_the_same_floors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(folder.join("docs/architecture.md")).unwrap();
    assert!(
        text.contains(&FLOORS.join(" > ")),
        "docs/architecture.md wants: {}",
        FLOORS.join(" > ")
    );
}

#[test]
fn it_reads_what_is_brought_in() {
    let text = "use crate::error::Error;\nuse crate::{plan::{Plan, Step}, ui};\nlet x = crate::lock::folder();";
    let found: Vec<String> = uses(text).into_iter().collect();
    assert_eq!(found, ["error", "lock", "plan", "ui"]);
    let tested = "use crate::a;\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\n";
    assert_eq!(uses(without_tests(tested)).len(), 1);
}
