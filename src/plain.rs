//! Text from outside, made fit for a terminal: what replicas log, Compose and the engine say, files and labels hold.
//!
//! Printed as it comes it could clear the screen, set the clipboard, or look like an error of rscale's.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstream::adapter::strip_str;

/// Characters of one foreign line that are printed.
const LINE_LIMIT: usize = 2000;
/// What stands for a character that is not printed.
const UNPRINTABLE: char = '\u{fffd}';

/// A text in one line: escape sequences and other control characters of ASCII are left out, line ends and tabs are
/// spaces, and what else does something instead of showing itself is `�`. What is too long ends with `…`.
pub fn line(text: &str) -> Cow<'_, str> {
    let cut = text.char_indices().nth(LINE_LIMIT);
    let beginning = cut.map_or(text, |(end, _)| &text[..end]);
    if cut.is_none() && beginning.chars().all(|c| !is_odd(c)) {
        return text.into();
    }
    let mut line: String = strip_str(beginning)
        .flat_map(str::chars)
        .map(|c| match c {
            '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            odd if is_odd(odd) => UNPRINTABLE,
            c => c,
        })
        .collect();
    if cut.is_some() {
        line.push('…');
    }
    line.into()
}

/// A text of rscale's own, as the last thing before it is printed: nothing but line ends and, where it is painted, its
/// own colours get through. Where [`line`] was forgotten, a `�` shows it.
pub fn lines(text: &str, painted: bool) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\n' || !is_odd(c)) {
        return text.into();
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = own_colour(rest).filter(|_| painted) {
            kept.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        kept.push(if c != '\n' && is_odd(c) {
            UNPRINTABLE
        } else {
            c
        });
        rest = &rest[c.len_utf8()..];
    }
    kept.into()
}

/// A JSON document, which has all of its odd characters in strings: those that JSON lets stand there are escaped, so that
/// it says the same.
pub fn json(document: &str) -> Cow<'_, str> {
    if document.chars().all(|c| c == '\n' || !is_odd(c)) {
        return document.into();
    }
    let escaped = |text: &mut String, c: char| {
        if c != '\n' && is_odd(c) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    };
    let mut text = String::with_capacity(document.len());
    document.chars().for_each(|c| escaped(&mut text, c));
    text.into()
}

/// Whether a character does something else than to show itself: control characters (C0, DEL, C1), line and paragraph
/// separators, and those that turn the direction of writing (UAX 9, 2.1 to 2.6).
pub fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The length of a sequence at the beginning that rscale paints with: a colour, bold, or the end of both.
fn own_colour(text: &str) -> Option<usize> {
    let number = text.strip_prefix("\u{1b}[")?.split_once('m')?.0;
    let own = matches!(number, "0" | "1" | "31" | "32" | "33" | "36" | "90");
    own.then_some(number.len() + 3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LINE_LIMIT, is_odd, json, line, lines};

    #[test]
    fn a_foreign_line_shows_what_it_says_and_does_nothing() {
        for (text, shown) in [
            ("plain — text, ünïcode 日本", "plain — text, ünïcode 日本"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;pwned\u{7}\u{1b}[2J fake", " fake"),
            ("\u{1b}]52;c;cm0gLXJm\u{1b}\\after", "after"),
            ("a\nerror: b\r\thint: c", "a error: b  hint: c"),
            ("\u{9b}31m\u{7f}\u{8}\u{0}", "\u{fffd}31m"),
            ("user\u{202e}txt.exe\u{2066}", "user\u{fffd}txt.exe\u{fffd}"),
            ("a\u{2028}b\u{85}c", "a b c"),
        ] {
            assert_eq!(line(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = "ä".repeat(3 * LINE_LIMIT);
        let shown = line(&long);
        assert_eq!(shown.chars().count(), LINE_LIMIT + 1);
        assert!(shown.ends_with("ä…"));
    }

    #[test]
    fn own_colours_get_through_where_there_are_any() {
        let text = "\u{1b}[1m\u{1b}[31merror: \u{1b}[0ma\n\u{1b}[2J\u{1b}[5mb\r";
        let odd = "\u{fffd}[2J\u{fffd}[5mb\u{fffd}";
        assert_eq!(
            lines(text, true),
            format!("\u{1b}[1m\u{1b}[31merror: \u{1b}[0ma\n{odd}")
        );
        assert_eq!(
            lines(text, false),
            format!("\u{fffd}[1m\u{fffd}[31merror: \u{fffd}[0ma\n{odd}")
        );
    }

    #[test]
    fn json_says_the_same_with_its_odd_characters_escaped() {
        let value = serde_json::json!({"name": "\u{1b}[2J \u{9b} \u{7f} \u{202e} ä \n"});
        let document = serde_json::to_string_pretty(&value).unwrap();
        let printed = json(&document);
        assert!(
            printed.chars().all(|c| c == '\n' || !is_odd(c)),
            "{printed}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&printed).unwrap(),
            value
        );
    }

    proptest! {
        #[test]
        fn nothing_odd_is_ever_left(text in any::<String>(), start in "[\u{1b}\u{9b}\u{202e}\\]\\[0-9;m\n]*") {
            let text = format!("{start}{text}");
            prop_assert!(!line(&text).chars().any(is_odd));
            prop_assert!(!lines(&text, false).chars().any(|c| c != '\n' && is_odd(c)));
        }
    }
}
