//! Writes YAML with comments, which serde_yaml cannot; text is quoted so that YAML 1.1 and 1.2 read the same.

use std::fmt::Write as _;

use serde_yaml::Value;

/// Columns that comments fill.
const WIDTH: usize = 110;

/// A value with what is said of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    Scalar(Value),
    List(Vec<Item>),
    Map(Vec<Entry>),
}

/// An item of a list, below its comments.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub comments: Vec<String>,
    pub value: Yaml,
}

/// A key and its value, below their comments.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub comments: Vec<String>,
    pub key: String,
    pub value: Yaml,
}

impl Yaml {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Scalar(Value::String(text.into()))
    }

    pub fn number(number: impl Into<serde_yaml::Number>) -> Self {
        Self::Scalar(Value::Number(number.into()))
    }

    pub fn texts<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        Self::List(
            texts
                .into_iter()
                .map(|text| Self::text(text).into())
                .collect(),
        )
    }

    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter();
        Self::Map(entries.map(|(key, value)| Entry::new(key, value)).collect())
    }
}

impl From<&Value> for Yaml {
    fn from(value: &Value) -> Self {
        match value {
            Value::Sequence(items) => {
                Self::List(items.iter().map(|item| Self::from(item).into()).collect())
            }
            Value::Mapping(entries) => {
                let entries = entries.iter().map(|(key, value)| Entry {
                    comments: Vec::new(),
                    key: key_text(key),
                    value: value.into(),
                });
                Self::Map(entries.collect())
            }
            Value::Tagged(tagged) => Self::from(&tagged.value),
            scalar => Self::Scalar(scalar.clone()),
        }
    }
}

impl From<Yaml> for Item {
    fn from(value: Yaml) -> Self {
        Self {
            comments: Vec::new(),
            value,
        }
    }
}

impl Item {
    pub fn commented(comment: impl Into<String>, value: Yaml) -> Self {
        Self {
            comments: vec![comment.into()],
            value,
        }
    }
}

impl Entry {
    pub fn new(key: impl Into<String>, value: impl Into<Yaml>) -> Self {
        Self {
            comments: Vec::new(),
            key: key.into(),
            value: value.into(),
        }
    }

    pub fn commented(
        comment: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<Yaml>,
    ) -> Self {
        let mut entry = Self::new(key, value);
        entry.comments.push(comment.into());
        entry
    }
}

/// A document: the comments at its head, then its entries.
pub fn document(head: &[String], entries: &[Entry]) -> String {
    let mut text = String::new();
    comments(&mut text, head, 0);
    if !head.is_empty() {
        text.push('\n');
    }
    map(&mut text, entries, 0);
    text
}

/// A list that stands alone, as text.
pub fn items(items: &[Item]) -> String {
    let mut text = String::new();
    list(&mut text, items, 0);
    text
}

fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// Comments, wrapped; a line that begins with a space is one that can be typed, and stays whole.
fn comments(text: &mut String, comments: &[String], indent: usize) {
    let margin = " ".repeat(indent);
    for comment in comments {
        if comment.is_empty() || comment.starts_with(' ') {
            text.push_str(format!("{margin}# {comment}").trim_end());
            text.push('\n');
            continue;
        }
        let mut line = format!("{margin}#");
        for word in comment.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH && line.len() > indent + 1 {
                text.push_str(&line);
                text.push('\n');
                line = format!("{margin}#");
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
    }
}

fn map(text: &mut String, entries: &[Entry], indent: usize) {
    for entry in entries {
        comments(text, &entry.comments, indent);
        text.push_str(&" ".repeat(indent));
        text.push_str(&flow_text(&entry.key));
        text.push(':');
        value(text, &entry.value, indent);
    }
}

/// What stands behind `key:`.
fn value(text: &mut String, value: &Yaml, indent: usize) {
    match value {
        Yaml::Scalar(one) => {
            text.push(' ');
            text.push_str(&scalar(one, indent + 2));
            text.push('\n');
        }
        Yaml::List(items) if items.is_empty() => text.push_str(" []\n"),
        Yaml::Map(entries) if entries.is_empty() => text.push_str(" {}\n"),
        Yaml::List(items) => {
            text.push('\n');
            list(text, items, indent + 2);
        }
        Yaml::Map(entries) => {
            text.push('\n');
            map(text, entries, indent + 2);
        }
    }
}

fn list(text: &mut String, items: &[Item], indent: usize) {
    for item in items {
        comments(text, &item.comments, indent);
        text.push_str(&" ".repeat(indent));
        text.push('-');
        match &item.value {
            Yaml::Map(entries) if !entries.is_empty() => inline(text, indent, |inner| {
                map(inner, entries, indent + 2);
            }),
            Yaml::List(items) if !items.is_empty() => inline(text, indent, |inner| {
                list(inner, items, indent + 2);
            }),
            other => value(text, other, indent),
        }
    }
}

/// What begins on the line of its dash.
fn inline(text: &mut String, indent: usize, write: impl FnOnce(&mut String)) {
    let mut inner = String::new();
    write(&mut inner);
    text.push(' ');
    text.push_str(inner.get(indent + 2..).unwrap_or_default());
}

/// A scalar; text of several lines as a block at `indent`.
fn scalar(value: &Value, indent: usize) -> String {
    match value {
        Value::String(text) if is_block(text) => block(text, indent),
        Value::String(text) => flow_text(text),
        Value::Null => "null".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        // Lists and mappings are no scalars.
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => String::new(),
    }
}

/// Whether text reads well, and the same, as a block.
fn is_block(text: &str) -> bool {
    let clean = |line: &str| {
        !line.ends_with([' ', '\t'])
            && !line.starts_with('\t')
            && !line.chars().any(|c| c.is_control() || is_break(c))
    };
    text.contains('\n')
        && text.lines().all(clean)
        && !text.contains('\r')
        && !text.starts_with(['\n', ' '])
        && !text.trim_end_matches('\n').is_empty()
}

/// Further line ends of YAML 1.1, and the mark at the start of a file.
fn is_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{feff}')
}

fn block(text: &str, indent: usize) -> String {
    let (body, style) = match text.strip_suffix('\n') {
        None => (text, "|-"),
        Some(body) if body.ends_with('\n') => (body, "|+"),
        Some(body) => (body, "|"),
    };
    let mut block = style.to_owned();
    for line in body.split('\n') {
        block.push('\n');
        if !line.is_empty() {
            block.push_str(&" ".repeat(indent));
            block.push_str(line);
        }
    }
    block
}

/// Text on one line: plain where every reader of YAML takes it for text, else in double quotes.
fn flow_text(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    // JSON's escapes are YAML's, too.
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() || is_break(c) => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Words that YAML 1.1 reads as something else than text.
const WORDS: [&str; 11] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
];

fn is_plain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || " _-./:@%+,=$()'".contains(c);
    // `--all` and `-c` are no items of a list: behind a dash that makes one stands a space.
    let word = text.trim_start_matches("--").trim_start_matches('-');
    let begins = match text.len() - word.len() {
        0 => text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '$'),
        _ => word.starts_with(|c: char| c.is_ascii_alphabetic()),
    };
    if is_duration(text) {
        return true;
    }
    begins
        && text.chars().all(inner)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// `90s`, which no reader takes for a number.
fn is_duration(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len() && matches!(unit, "ms" | "s" | "m" | "h")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_yaml::Value;

    use super::{Entry, Item, Yaml, document, flow_text};

    #[test]
    fn text_that_could_be_something_else_is_quoted() {
        for (text, written) in [
            ("web", "web"),
            ("/srv/data", "/srv/data"),
            ("postgres://db:5432/shop", "postgres://db:5432/shop"),
            ("$${HOME}", "\"$${HOME}\""),
            ("$$HOME", "$$HOME"),
            ("yes", "\"yes\""),
            ("On", "\"On\""),
            ("n", "\"n\""),
            ("null", "\"null\""),
            ("", "\"\""),
            ("1.10", "\"1.10\""),
            ("0x1f", "\"0x1f\""),
            ("12:30:45", "\"12:30:45\""),
            ("-c", "-c"),
            ("--log=info", "--log=info"),
            ("- c", "\"- c\""),
            ("-1", "\"-1\""),
            ("-.inf", "\"-.inf\""),
            ("---", "\"---\""),
            ("90s", "90s"),
            ("1e3", "\"1e3\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("say \"hi\"\\", r#""say \"hi\"\\""#),
            ("a\tb", r#""a\tb""#),
        ] {
            assert_eq!(flow_text(text), written);
        }
    }

    #[test]
    fn comments_stand_above_what_they_are_about_and_are_wrapped() {
        let long = "word ".repeat(30);
        let entries = [Entry::commented(
            long,
            "services",
            Yaml::map([(
                "web",
                Yaml::List(vec![
                    Item::commented(
                        "first",
                        Yaml::map([("a", Yaml::number(1)), ("b", Yaml::text("x\ny"))]),
                    ),
                    Item::commented(" docker info", Yaml::texts(["on", "two"])),
                    Yaml::Map(Vec::new()).into(),
                ]),
            )]),
        )];
        let text = document(&["head".to_owned(), String::new()], &entries);
        insta::assert_snapshot!(text, @r##"
        # head
        #

        # word word word word word word word word word word word word word word word word word word word word word
        # word word word word word word word word word
        services:
          web:
            # first
            - a: 1
              b: |-
                x
                y
            #  docker info
            - - "on"
              - two
            - {}
        "##);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[ -~\n\t]{0,12}",
            Just("a\n\nb\n\n".to_owned()),
            Just("  a\nb".to_owned()),
            Just("a\n b \n".to_owned()),
        ];
        let leaf = prop_oneof![
            text.clone().prop_map(Value::String),
            any::<bool>().prop_map(Value::Bool),
            any::<i32>().prop_map(|number| Value::Number(number.into())),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Sequence),
                prop::collection::btree_map(text.clone(), inner, 0..4).prop_map(|map| {
                    let pairs = map.into_iter();
                    Value::Mapping(
                        pairs
                            .map(|(key, value)| (Value::String(key), value))
                            .collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_value()) {
            let entries = [Entry::commented("it", "it", &value)];
            let text = document(&[], &entries);
            let read: Value = serde_yaml::from_str(&text).unwrap();
            prop_assert_eq!(&read["it"], &value, "{}", text);
        }
    }
}
