//! What a command says of a task: a line of JSON on its stdout. Pure.

use serde_json::{Map, Value};

/// Seconds that nothing takes.
const LONGEST: f64 = 1e7;
/// Characters of a name that are kept.
const LONGEST_NAME: usize = 80;

/// The result of one task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskLine {
    /// Tells results of the same task apart from those of others; the first one counts.
    pub id: Option<String>,
    pub ok: bool,
    /// The class of its error.
    pub error: Option<String>,
    /// How long a worker worked on it.
    pub seconds: Option<f64>,
    /// How long it waited for a worker.
    pub wait_seconds: Option<f64>,
    /// What the worker calls itself.
    pub replica: Option<String>,
}

impl TaskLine {
    /// Reads `{"ok": true, "seconds": 0.1}`; `None` for any other line. Fields of a wrong type count as left
    /// out: what the task came to is worth more than how.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        // Most lines of a log are turned away without a look at the rest.
        if !line.starts_with('{') {
            return None;
        }
        let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
        let seconds = |name: &str| {
            let seconds = fields.get(name)?.as_f64()?;
            (0.0..LONGEST).contains(&seconds).then_some(seconds)
        };
        Some(Self {
            ok: fields.get("ok")?.as_bool()?,
            id: fields.get("id").and_then(text),
            error: fields.get("error").and_then(text).map(|error| name(&error)),
            seconds: seconds("seconds"),
            wait_seconds: seconds("wait_seconds"),
            replica: fields
                .get("replica")
                .and_then(text)
                .map(|worker| name(&worker)),
        })
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Something that can be printed on a line.
fn name(text: &str) -> String {
    let printable = text.chars().filter(|letter| !letter.is_control());
    printable.take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::TaskLine;

    fn done() -> TaskLine {
        TaskLine {
            ok: true,
            ..TaskLine::default()
        }
    }

    #[test]
    fn reads_what_a_command_says_of_a_task() {
        let failed = TaskLine {
            id: Some("7".into()),
            ok: false,
            error: Some("ValueError".into()),
            seconds: Some(0.1),
            wait_seconds: Some(2.0),
            replica: Some("celery@3f5c0a1b2c3d".into()),
        };
        for (line, expected) in [
            (r#"{"ok": true}"#, done()),
            (
                r#" {"id": 7, "ok": false, "error": "ValueError", "seconds": 0.1, "wait_seconds": 2, "replica": "celery@3f5c0a1b2c3d", "more": []} "#,
                failed,
            ),
            (
                r#"{"ok": true, "id": null, "error": {}, "seconds": -1, "wait_seconds": 1e300, "replica": ""}"#,
                done(),
            ),
            (
                r#"{"ok": false, "error": "a\nb"}"#,
                TaskLine {
                    ok: false,
                    error: Some("ab".into()),
                    ..TaskLine::default()
                },
            ),
        ] {
            assert_eq!(TaskLine::parse(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn any_other_line_is_none() {
        for line in [
            "",
            "sent 20 tasks",
            "{",
            "{}",
            r#"{"ok": 1}"#,
            r#"{"seconds": 1}"#,
            "[true]",
            "true",
            r#"{"ok": true} and more"#,
        ] {
            assert_eq!(TaskLine::parse(line), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_or_not(line in ".*", number: f64, text in ".*") {
            let _ = TaskLine::parse(&line);
            let line = serde_json::json!({"ok": false, "id": text, "seconds": number, "wait_seconds": number, "error": text, "replica": text});
            let read = TaskLine::parse(&line.to_string()).unwrap();
            assert!(read.seconds.is_none_or(|seconds| (0.0..1e7).contains(&seconds)));
            assert!(read.error.is_none_or(|error| error.chars().count() <= 80));
        }
    }

    #[test]
    fn fuzzing_what_commands_say() {
        let line = r#"{"ok": true, "id": 7, "seconds": 0.25, "wait_seconds": 1.5, "replica": "worker-1", "error": "KeyError"}"#;
        crate::fuzzing::survives(&[line], |text| {
            let read = super::TaskLine::parse(text);
            let seconds = read.and_then(|read| read.seconds);
            assert!(seconds.is_none_or(|seconds| seconds >= 0.0 && seconds.is_finite()));
        });
    }
}
