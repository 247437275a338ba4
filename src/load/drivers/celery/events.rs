//! What workers report while they work (Celery's events). Pure.
//!
//! A worker gathers events for a moment: the body is a JSON list under the routing key `task.multi`, or one
//! event. Only `task-received` carries the task's name, so that a task is known by its id alone.

use std::borrow::Cow;

use serde::Deserialize;

use super::envelope;

/// One event of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The task's id.
    pub task: String,
    pub worker: String,
    /// Seconds since 1970, by the worker's clock.
    pub timestamp: f64,
    pub what: What,
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Started,
    /// With the seconds that it ran.
    Succeeded(Option<f64>),
    /// With the class of the exception.
    Failed(String),
    Retried,
    Revoked,
}

/// The fields that are read; whatever else there is, results too, is passed over.
#[derive(Debug, Deserialize)]
struct Raw<'a> {
    #[serde(borrow, rename = "type")]
    what: Cow<'a, str>,
    #[serde(borrow, default)]
    uuid: Cow<'a, str>,
    #[serde(borrow, default)]
    hostname: Cow<'a, str>,
    #[serde(default)]
    timestamp: f64,
    #[serde(default)]
    runtime: Option<f64>,
    #[serde(borrow, default)]
    exception: Option<Cow<'a, str>>,
}

/// Reads a message as it comes over Redis; what is no event of a task is left out.
pub fn parse_wrapped(message: &[u8]) -> Vec<Event> {
    envelope::unwrap(message).map_or_else(Vec::new, |message| parse(&message.body))
}

/// Reads a body: a list of events or one.
pub fn parse(body: &[u8]) -> Vec<Event> {
    if let Ok(events) = serde_json::from_slice::<Vec<Raw<'_>>>(body) {
        return events.into_iter().filter_map(event).collect();
    }
    let single = serde_json::from_slice::<Raw<'_>>(body);
    single.ok().and_then(event).into_iter().collect()
}

fn event(raw: Raw<'_>) -> Option<Event> {
    let what = match &*raw.what {
        "task-started" => What::Started,
        "task-succeeded" => What::Succeeded(raw.runtime),
        "task-failed" => What::Failed(class(raw.exception.as_deref().unwrap_or_default())),
        "task-retried" => What::Retried,
        "task-revoked" => What::Revoked,
        _ => return None,
    };
    Some(Event {
        task: raw.uuid.into_owned(),
        worker: raw.hostname.into_owned(),
        timestamp: raw.timestamp,
        what,
    })
}

/// `ValueError` of `ValueError('bad 1')`, and of `shop.errors.ValueError('bad 1')`.
fn class(exception: &str) -> String {
    let name = exception.split('(').next().unwrap_or_default();
    let name = name.rsplit('.').next().unwrap_or_default();
    let is_name = !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_');
    if is_name {
        name.to_owned()
    } else {
        "Exception".into()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use proptest::prelude::*;

    use super::{Event, What, class, parse, parse_wrapped};

    const MULTI: &str = r#"[
        {"hostname":"wa@vm","utcoffset":0.0,"pid":23494,"clock":33,"uuid":"ab02","name":"tasks.task_a","args":"(42,)","kwargs":"{}","root_id":"ab02","parent_id":null,"retries":0,"eta":null,"expires":null,"timestamp":1795221578.88,"type":"task-received"},
        {"hostname":"wa@vm","pid":23494,"clock":34,"uuid":"ab02","timestamp":1795221578.883,"type":"task-started","utcoffset":0.0},
        {"hostname":"wa@vm","pid":23494,"clock":35,"uuid":"ab02","result":"'\u00e4\"'","runtime":0.10553969,"timestamp":1795221578.991,"type":"task-succeeded","utcoffset":0.0}]"#;

    #[test]
    fn reads_what_workers_report_in_one_message() {
        let events = parse(MULTI.as_bytes());
        let expected = |timestamp, what| Event {
            task: "ab02".into(),
            worker: "wa@vm".into(),
            timestamp,
            what,
        };
        let started = expected(1_795_221_578.883, What::Started);
        let succeeded = expected(1_795_221_578.991, What::Succeeded(Some(0.105_539_69)));
        assert_eq!(events, [started, succeeded]);
        let body = base64::engine::general_purpose::STANDARD.encode(MULTI);
        let wrapped = format!(r#"{{"body":"{body}","properties":{{"body_encoding":"base64"}}}}"#);
        assert_eq!(parse_wrapped(wrapped.as_bytes()), events);
    }

    #[test]
    fn reads_single_events_and_passes_over_others() {
        for (text, expected) in [
            (
                r#"{"type":"task-failed","uuid":"1","hostname":"w","timestamp":1,"exception":"ValueError('bad (1)')","traceback":"..."}"#,
                Some(What::Failed("ValueError".into())),
            ),
            (
                r#"{"type":"task-retried","uuid":"1","exception":"X()"}"#,
                Some(What::Retried),
            ),
            (
                r#"{"type":"task-revoked","uuid":"1","terminated":true,"signum":15}"#,
                Some(What::Revoked),
            ),
            (
                r#"{"type":"task-succeeded","uuid":"1"}"#,
                Some(What::Succeeded(None)),
            ),
            (r#"{"type":"worker-offline","hostname":"w"}"#, None),
            (r#"{"uuid":"1"}"#, None),
            (r#"{"type":7}"#, None),
            ("[[", None),
        ] {
            let what = parse(text.as_bytes())
                .into_iter()
                .next()
                .map(|event| event.what);
            assert_eq!(what, expected, "{text}");
        }
    }

    #[test]
    fn the_class_of_an_exception_is_its_name() {
        for (exception, name) in [
            ("ValueError('bad 1')", "ValueError"),
            ("requests.exceptions.Timeout('x.y()')", "Timeout"),
            ("KeyboardInterrupt", "KeyboardInterrupt"),
            ("<MyError: 7>", "Exception"),
            ("", "Exception"),
        ] {
            assert_eq!(class(exception), name, "{exception}");
        }
    }

    proptest! {
        #[test]
        fn any_message_is_read_without_a_panic(bytes in any::<Vec<u8>>(), json in r#"\[\{"type":"task-(failed|succeeded)",["a-z:0-9, ]{0,40}\}\]"#) {
            let _ = (parse(&bytes), parse_wrapped(&bytes), parse(json.as_bytes()));
        }
    }

    #[test]
    fn fuzzing_what_workers_report() {
        let event = r#"[{"hostname":"wa@vm","pid":1,"clock":35,"uuid":"ab02","result":"42","runtime":0.1,"timestamp":1795221578.991,"type":"task-succeeded","utcoffset":0.0}]"#;
        crate::fuzzing::survives(&[event], |text| {
            let _ = super::parse(text.as_bytes());
            let _ = super::parse_wrapped(text.as_bytes());
        });
    }
}
