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
                .with_priority(0)
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
