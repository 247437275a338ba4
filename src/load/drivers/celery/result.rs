//! What a worker leaves in the result backend: `celery-task-meta-<id>` in Redis, a message over rpc://. Pure.

use std::borrow::Cow;

use serde::Deserialize;

use crate::load::book::Outcome;

/// What stands before a task's id in the name of its result.
pub const KEY: &str = "celery-task-meta-";

/// What a result says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Ended(Outcome),
    /// It failed and will be tried again.
    Retry,
    /// It waits or runs.
    Open,
}

#[derive(Debug, Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    task_id: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    result: Exception<'a>,
}

#[derive(Debug, Deserialize)]
struct Exception<'a> {
    #[serde(borrow)]
    exc_type: Cow<'a, str>,
}

/// Reads a result and the id of its task; `None` for anything that is none.
pub fn parse(body: &[u8]) -> Option<(String, State)> {
    let meta: Meta<'_> = serde_json::from_slice(body).ok()?;
    let failed = |class: &str| State::Ended(Outcome::Failed(class.into()));
    let state = match &*meta.status {
        "SUCCESS" => State::Ended(Outcome::Done),
        "FAILURE" => {
            let failure = serde_json::from_slice::<Failure<'_>>(body);
            failure.map_or_else(
                |_| failed("Exception"),
                |failure| failed(&failure.result.exc_type),
            )
        }
        "REVOKED" => failed("TaskRevokedError"),
        "RETRY" => State::Retry,
        _ => State::Open,
    };
    Some((meta.task_id.into_owned(), state))
}

/// The id of the task in the name of a result's key or channel, whatever stands before it.
pub fn id_of_key(key: &[u8]) -> Option<&str> {
    let key = std::str::from_utf8(key).ok()?;
    key.find(KEY).map(|at| &key[at + KEY.len()..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{State, id_of_key, parse};
    use crate::load::book::Outcome;

    #[test]
    fn reads_results_as_workers_leave_them() {
        let failed = |class: &str| Some(State::Ended(Outcome::Failed(class.into())));
        for (text, expected) in [
            (
                r#"{"status": "SUCCESS", "result": 9, "traceback": null, "children": [], "date_done": "2026-11-21T00:39:07.906649+00:00", "task_id": "a"}"#,
                Some(State::Ended(Outcome::Done)),
            ),
            (
                r#"{"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["bad 1"], "exc_module": "builtins"}, "traceback": "Traceback ...", "children": [], "task_id": "a"}"#,
                failed("ValueError"),
            ),
            (
                r#"{"status": "FAILURE", "result": {"exc_type": "NotRegistered", "exc_message": ["tasks.x"], "exc_module": "celery.exceptions"}, "task_id": "a"}"#,
                failed("NotRegistered"),
            ),
            (
                r#"{"status": "FAILURE", "result": "odd", "task_id": "a"}"#,
                failed("Exception"),
            ),
            (
                r#"{"status": "REVOKED", "result": {"exc_type": "TaskRevokedError"}, "task_id": "a"}"#,
                failed("TaskRevokedError"),
            ),
            (
                r#"{"status": "RETRY", "result": {"exc_type": "X"}, "task_id": "a"}"#,
                Some(State::Retry),
            ),
            (
                r#"{"status": "STARTED", "result": {"pid": 7}, "task_id": "a"}"#,
                Some(State::Open),
            ),
            (r#"{"task_id": "a"}"#, None),
            ("\u{80}", None),
        ] {
            let parsed = parse(text.as_bytes());
            assert_eq!(parsed.map(|(_, state)| state), expected, "{text}");
        }
    }

    #[test]
    fn the_id_stands_behind_the_prefix_of_results() {
        for (key, id) in [
            ("celery-task-meta-ab", Some("ab")),
            ("shop:celery-task-meta-ab", Some("ab")),
            ("celery-taskset-meta-ab", None),
        ] {
            assert_eq!(id_of_key(key.as_bytes()), id, "{key}");
        }
    }

    proptest! {
        #[test]
        fn any_result_is_read_without_a_panic(bytes in any::<Vec<u8>>(), json in r#"\{"status":"(SUCCESS|FAILURE)",["a-z_:{}0-9, ]{0,40}\}"#) {
            let _ = (parse(&bytes), id_of_key(&bytes), parse(json.as_bytes()));
        }
    }

    #[test]
    fn fuzzing_what_results_say() {
        let result = r#"{"status": "FAILURE", "result": {"exc_type": "KeyError", "exc_message": ["x"]}, "traceback": null, "task_id": "ab02"}"#;
        crate::fuzzing::survives(&[result, "celery-task-meta-ab02"], |text| {
            let _ = super::parse(text.as_bytes());
            let _ = super::id_of_key(text.as_bytes());
        });
    }
}
