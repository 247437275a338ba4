//! A task as Celery's own clients send it: message protocol 2, always with everything in it, because a worker
//! that gets an incomplete message may end. Pure.
//!
//! All messages of a task type are equal but for the id. So everything else is written once, and a message
//! costs one concatenation.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};
use serde_json::{Map, Value};

/// Celery cuts what it shows of arguments to this length.
const REPR_LIMIT: usize = 1024;

/// What is sent of one type.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    pub name: &'a str,
    pub args: &'a [Value],
    pub kwargs: &'a Map<String, Value>,
    pub queue: &'a str,
    /// Where an rpc:// result goes; a name that nothing is known of where results go elsewhere.
    pub reply_to: &'a str,
    pub origin: &'a str,
}

impl Task<'_> {
    /// `[args, kwargs, embed]`
    fn body(&self) -> String {
        let embed = r#"{"callbacks": null, "errbacks": null, "chain": null, "chord": null}"#;
        let (args, kwargs) = (json(&self.args), json(self.kwargs));
        format!("[{args}, {kwargs}, {embed}]")
    }

    fn argsrepr(&self) -> String {
        // Celery shows an empty list as the tuple that it makes of it.
        if self.args.is_empty() {
            return "()".into();
        }
        limited(repr(&Value::Array(self.args.to_vec())))
    }

    fn kwargsrepr(&self) -> String {
        limited(repr(&Value::Object(self.kwargs.clone())))
    }
}

/// The envelope over Redis, open at the places where the id stands.
#[derive(Debug, Clone)]
pub struct RedisMessage([String; 5]);

impl RedisMessage {
    pub fn new(task: Task<'_>) -> Self {
        let body = STANDARD.encode(task.body());
        let (name, queue) = (json(task.name), json(task.queue));
        let (args, kwargs) = (json(&task.argsrepr()), json(&task.kwargsrepr()));
        let (origin, reply_to) = (json(task.origin), json(task.reply_to));
        Self([
            format!(
                r#"{{"body": "{body}", "content-encoding": "utf-8", "content-type": "application/json", "headers": {{"lang": "py", "task": {name}, "id": ""#
            ),
            r#"", "shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": ""#.into(),
            format!(
                r#"", "parent_id": null, "argsrepr": {args}, "kwargsrepr": {kwargs}, "origin": {origin}, "ignore_result": false, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {{}}}}, "properties": {{"correlation_id": ""#
            ),
            format!(
                r#"", "reply_to": {reply_to}, "delivery_mode": 2, "delivery_info": {{"exchange": "", "routing_key": {queue}}}, "priority": 0, "body_encoding": "base64", "delivery_tag": ""#
            ),
            r#""}}"#.into(),
        ])
    }

    /// The message of one task. Its delivery tag, which has to be unique, is the task's id too.
    pub fn with_id(&self, id: &str) -> Vec<u8> {
        self.0.join(id).into_bytes()
    }
}

/// Properties and body over AMQP.
#[derive(Debug, Clone)]
pub struct AmqpMessage {
    headers: FieldTable,
    properties: BasicProperties,
    pub body: Vec<u8>,
}

impl AmqpMessage {
    pub fn new(task: Task<'_>) -> Self {
        let mut headers = FieldTable::default();
        let mut set = |name: &str, value| {
            headers.insert(name.into(), value);
        };
        set("lang", text("py"));
        set("task", text(task.name));
        for absent in [
            "shadow",
            "eta",
            "expires",
            "group",
            "group_index",
            "parent_id",
            "stamped_headers",
        ] {
            set(absent, AMQPValue::Void);
        }
        set("retries", AMQPValue::LongInt(0));
        let limits = vec![AMQPValue::Void, AMQPValue::Void];
        set("timelimit", AMQPValue::FieldArray(FieldArray::from(limits)));
        set("argsrepr", text(&task.argsrepr()));
        set("kwargsrepr", text(&task.kwargsrepr()));
        set("origin", text(task.origin));
        set("ignore_result", AMQPValue::Boolean(false));
        set("replaced_task_nesting", AMQPValue::LongInt(0));
        set("stamps", AMQPValue::FieldTable(FieldTable::default()));
        Self {
            headers,
            properties: BasicProperties::default()
                .with_content_type("application/json".into())
                .with_content_encoding("utf-8".into())
                .with_delivery_mode(2)
                .with_reply_to(short(task.reply_to)),
            body: task.body().into_bytes(),
        }
    }

    /// The properties of one task's message; the body is the same for all.
    pub fn with_id(&self, id: &str) -> BasicProperties {
        let mut headers = self.headers.clone();
        headers.insert("id".into(), text(id));
        headers.insert("root_id".into(), text(id));
        let properties = self.properties.clone();
        properties
            .with_correlation_id(short(id))
            .with_headers(headers)
    }
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// A short string of AMQP; one of more than 255 bytes, which no broker would take, becomes empty.
pub fn short(text: &str) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("text, numbers, lists and objects become JSON")
}

fn limited(mut text: String) -> String {
    if text.chars().count() > REPR_LIMIT {
        text = text.chars().take(REPR_LIMIT - 3).collect();
        text.push_str("...");
    }
    text
}

/// A value as Python's `repr` shows it. Workers use it in logs and events only.
fn repr(value: &Value) -> String {
    let list = |values: Vec<String>| values.join(", ");
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => format!("[{}]", list(values.iter().map(repr).collect())),
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| format!("{}: {}", quoted(name), repr(value));
            format!("{{{}}}", list(fields.iter().map(field).collect()))
        }
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for letter in text.chars() {
        match letter {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\\' => shown.push_str("\\\\"),
            letter if letter == quote => {
                shown.push('\\');
                shown.push(letter);
            }
            letter if letter.is_control() => {
                let _ = write!(shown, "\\x{:02x}", u32::from(letter));
            }
            letter => shown.push(letter),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use lapin::BasicProperties;
    use lapin::protocol::basic::parse_properties;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::{AmqpMessage, RedisMessage, Task, repr};

    // What Celery 5.7.0 with kombu 5.7.0 and py-amqp 5.4.2 sent for
    // `apply_async(args=[7, ...], kwargs={"k": "v", "n": 2}, queue="cap")`.
    const ENVELOPE: &str = include_str!("../../../../tests/samples/celery-5.7/redis-envelope.json");
    const WITHOUT_ARGUMENTS: &str =
        include_str!("../../../../tests/samples/celery-5.7/redis-envelope-without-arguments.json");
    const HEADER: &str = include_str!("../../../../tests/samples/celery-5.7/amqp-header.hex");
    const BODY: &str = include_str!("../../../../tests/samples/celery-5.7/amqp-body.json");

    fn args() -> Vec<Value> {
        vec![
            json!(7),
            json!("ä\"'x"),
            Value::Null,
            json!(true),
            json!(1.5),
            json!({"a": [1, "b"]}),
        ]
    }

    fn kwargs() -> Map<String, Value> {
        Map::from_iter([("k".to_owned(), json!("v")), ("n".to_owned(), json!(2))])
    }

    fn task<'a>(
        args: &'a [Value],
        kwargs: &'a Map<String, Value>,
        reply_to: &'a str,
        origin: &'a str,
    ) -> Task<'a> {
        Task {
            name: "tasks.task_a",
            args,
            kwargs,
            queue: "cap",
            reply_to,
            origin,
        }
    }

    #[test]
    fn an_envelope_over_redis_is_the_one_that_celery_sends() {
        for (captured, args, kwargs) in [
            (ENVELOPE, args(), kwargs()),
            (WITHOUT_ARGUMENTS, Vec::new(), Map::new()),
        ] {
            let captured: Value = serde_json::from_str(captured).unwrap();
            let of = |value: &Value| value.as_str().unwrap().to_owned();
            let id = of(&captured["headers"]["id"]);
            let reply_to = of(&captured["properties"]["reply_to"]);
            let origin = of(&captured["headers"]["origin"]);
            let message = RedisMessage::new(task(&args, &kwargs, &reply_to, &origin));
            let mut sent: Value = serde_json::from_slice(&message.with_id(&id)).unwrap();
            // Unique in both; here it is the task's id.
            assert_eq!(sent["properties"]["delivery_tag"], id.as_str());
            sent["properties"]["delivery_tag"] = captured["properties"]["delivery_tag"].clone();
            let body = |message: &Value| -> Value {
                let body = STANDARD.decode(of(&message["body"])).unwrap();
                serde_json::from_slice(&body).unwrap()
            };
            assert_eq!(body(&sent), body(&captured));
            sent["body"] = captured["body"].clone();
            assert_eq!(sent, captured);
        }
    }

    #[test]
    fn properties_and_body_over_amqp_are_those_that_celery_sends() {
        let bytes = |place: usize| u8::from_str_radix(&HEADER[place..place + 2], 16).unwrap();
        let frame: Vec<u8> = (0..HEADER.trim().len()).step_by(2).map(bytes).collect();
        // Class, weight and the body's size stand before the properties.
        let captured: BasicProperties = parse_properties(&frame[12..]).ok().unwrap().1;
        let of = |text: &Option<lapin::types::ShortString>| text.as_ref().unwrap().to_string();
        let headers = captured.headers().as_ref().unwrap();
        let Some(lapin::types::AMQPValue::LongString(origin)) = headers.inner().get("origin")
        else {
            panic!("{headers:?}");
        };
        let (reply_to, id) = (of(captured.reply_to()), of(captured.correlation_id()));
        let origin = origin.to_string();
        let (args, kwargs) = (args(), kwargs());
        let message = AmqpMessage::new(task(&args, &kwargs, &reply_to, &origin));
        assert_eq!(message.with_id(&id), captured);
        let body = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
        assert_eq!(body(&message.body), body(BODY.as_bytes()));
    }

    #[test]
    fn arguments_are_shown_as_python_shows_them() {
        for (value, shown) in [
            (json!([]), "[]"),
            (json!({}), "{}"),
            (
                json!([null, true, false, 0.5, -1]),
                "[None, True, False, 0.5, -1]",
            ),
            (json!("it's"), r#""it's""#),
            (json!("'\"\n\t\\\u{1}"), r#"'\'"\n\t\\\x01'"#),
            (json!({"k": ["v"]}), "{'k': ['v']}"),
        ] {
            assert_eq!(repr(&value), shown, "{value}");
        }
        let long = vec![json!("x".repeat(5000))];
        let none = Map::new();
        let shown = task(&long, &none, "", "").argsrepr();
        assert!(shown.ends_with("...") && shown.len() == 1024, "{shown}");
    }

    proptest! {
        #[test]
        fn an_envelope_is_json_whatever_is_sent(name in ".{0,20}", text in ".{0,20}", queue in ".{0,20}") {
            let args = [json!(text)];
            let kwargs = Map::from_iter([(text.clone(), json!(text))]);
            let of = Task { name: &name, args: &args, kwargs: &kwargs, queue: &queue, reply_to: &text, origin: &name };
            let sent: Value = serde_json::from_slice(&RedisMessage::new(of).with_id("i")).unwrap();
            prop_assert_eq!(&sent["headers"]["task"], &json!(name));
            prop_assert_eq!(&sent["properties"]["delivery_info"]["routing_key"], &json!(queue));
        }
    }
}
