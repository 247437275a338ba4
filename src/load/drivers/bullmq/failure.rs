//! The class of a failed job's error. Pure.

/// Longest class that is made of an error's words.
const LONGEST: usize = 80;

/// The class of an error, `TypeError`, by what BullMQ keeps of it: `failedReason`, which is the error's
/// message, and `stacktrace`, a JSON array with the stack of every attempt. Node's begin with the class and
/// the message, Python's end with them. Without a class, the first line of the reason.
pub fn class(reason: &str, stacktrace: Option<&str>) -> String {
    let stacks: Vec<String> = stacktrace
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let last = stacks.last().map(|stack| stack.trim());
    if let Some(stack) = last {
        let line = if stack.starts_with("Traceback ") {
            stack.lines().next_back()
        } else {
            stack.lines().next()
        };
        if let Some(class) = line.and_then(|line| of_line(line, reason)) {
            return class.to_owned();
        }
    }
    let line = reason.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or("without a reason");
    if let Some((class, _)) = line.split_once(": ")
        && is_class(class)
    {
        return class.to_owned();
    }
    line.chars().take(LONGEST).collect()
}

/// The class that a stack's line begins with.
fn of_line<'l>(line: &'l str, reason: &str) -> Option<&'l str> {
    let line = line.trim();
    let first = reason.lines().next().unwrap_or_default().trim();
    // What stands before the error's own message is its class, whatever it is called.
    let before = line
        .strip_suffix(first)
        .and_then(|rest| rest.strip_suffix(": "));
    if let Some(class) = before.filter(|class| !first.is_empty() && is_word(class)) {
        return Some(class);
    }
    let class = line.split_once(':').map_or(line, |(class, _)| class);
    is_class(class).then_some(class)
}

/// Whether it is called as errors are.
fn is_class(word: &str) -> bool {
    is_word(word) && (word.ends_with("Error") || word.ends_with("Exception"))
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= LONGEST
        && !word.starts_with(|first: char| first.is_ascii_digit())
        && word
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::class;

    #[test]
    fn the_class_is_what_the_stack_or_the_reason_begins_with() {
        // As bullmq 6.7 on Node 20 and its Python port keep them.
        let node = r#"["Error: failure 1 of 9\n    at Worker.nap","TypeError: failure 2 of 9\n    at Worker.nap [as processFn] (file:///app/worker.js:23:11)"]"#;
        let python = r#"["Traceback (most recent call last):\n  File \"w.py\", line 3, in nap\nValueError: bad 1\n"]"#;
        let own = r#"["PaymentRefused: no money\n    at pay (file:///app/worker.js:3:1)"]"#;
        let without_message = r#"["RangeError\n    at pay (file:///app/worker.js:3:1)"]"#;
        for (reason, stacktrace, expected) in [
            ("failure 2 of 9", Some(node), "TypeError"),
            ("bad 1", Some(python), "ValueError"),
            ("no money", Some(own), "PaymentRefused"),
            ("", Some(without_message), "RangeError"),
            ("TypeError: x is not a function", None, "TypeError"),
            (
                "job stalled more than allowable limit",
                None,
                "job stalled more than allowable limit",
            ),
            (
                "job stalled more than allowable limit",
                Some("[]"),
                "job stalled more than allowable limit",
            ),
            ("first line\nsecond: line", Some("no json"), "first line"),
            ("note: this is no class", None, "note: this is no class"),
            ("  \n", None, "without a reason"),
        ] {
            assert_eq!(
                class(reason, stacktrace),
                expected,
                "{reason} {stacktrace:?}"
            );
        }
        assert_eq!(class(&"ä".repeat(200), None).chars().count(), 80);
    }

    proptest! {
        #[test]
        fn any_error_has_a_short_class_of_one_line(reason: String, stack in proptest::option::of(any::<String>())) {
            let wrapped = stack.as_ref().map(|stack| serde_json::json!([stack]).to_string());
            for stacktrace in [stack.as_deref(), wrapped.as_deref()] {
                let class = class(&reason, stacktrace);
                prop_assert!(!class.is_empty() && class.chars().count() <= 80);
                prop_assert!(!class.contains('\n'));
            }
        }
    }
}
