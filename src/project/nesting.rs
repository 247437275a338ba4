//! Reading YAML that another program printed, unless it is nested absurdly deep.
//!
//! The reader looks at every open bracket for each word (libyaml's simple keys), so that its time grows with the
//! square of the depth: 100,000 brackets took minutes, in which no signal is heard.

use serde::de::DeserializeOwned;

/// Brackets that may be open at once. Nobody writes ten; serde's own limit is 128, though not for what it skips.
const DEEPEST: usize = 1000;

/// Reads a document.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read<T: DeserializeOwned>(yaml: &str) -> Result<T, String> {
    check(yaml)?;
    serde_yaml::from_str(yaml).map_err(|error| error.to_string())
}

/// Refuses text that is nested too deep to be read in time.
///
/// # Errors
/// Where it is.
pub fn check(yaml: &str) -> Result<(), String> {
    let mut brackets = Brackets::default();
    // Where the text of a `|` or `>` ends: at a line that is indented no deeper.
    let mut literal = None;
    for (number, line) in yaml.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || literal.is_some_and(|outer| indent > outer) {
            continue;
        }
        literal = None;
        if brackets.open == 0 {
            literal = literal_in(line);
        }
        brackets.pass(line);
        if brackets.deepest > DEEPEST {
            let line = number + 1;
            return Err(format!("line {line}: nested deeper than {DEEPEST} levels"));
        }
    }
    Ok(())
}

/// The indentation that lines of literal text exceed, where a line ends with `|` or `>`.
fn literal_in(line: &str) -> Option<usize> {
    let last = line.split_whitespace().next_back()?;
    let sign = last.trim_end_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
    if !matches!(sign, "|" | ">") {
        return None;
    }
    // In `- key: |` it is the key's, in `- |` the dash's.
    let mut rest = line.trim_start();
    let mut outer = line.len() - rest.len();
    while let Some(item) = rest.strip_prefix("- ") {
        let item = item.trim_start();
        if item == last {
            break;
        }
        outer += rest.len() - item.len();
        rest = item;
    }
    Some(outer)
}

#[derive(Default)]
struct Brackets {
    open: usize,
    deepest: usize,
    /// The quote that text inside of brackets is in.
    quote: Option<char>,
}

impl Brackets {
    fn pass(&mut self, line: &str) {
        // What stands before, spaces left out: a bracket or a quote in the middle of a word is part of it.
        let mut before = None;
        let mut spaced = true;
        // Whether a tag or an anchor is passed, which stands before a value and is none.
        let mut property = false;
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            match (self.quote, letter) {
                (Some('"'), '\\') => {
                    letters.next();
                }
                // `''` in quotes closes and opens again.
                (Some(quote), _) if letter == quote => self.quote = None,
                (None, '#') if spaced => return,
                (None, '"' | '\'') if self.begins(before, spaced) => self.quote = Some(letter),
                (None, '[' | '{') if self.open > 0 || self.begins(before, spaced) => {
                    self.open += 1;
                    self.deepest = self.deepest.max(self.open);
                }
                (None, '&' | '!') if self.begins(before, spaced) => property = true,
                (None, ']' | '}') => self.open = self.open.saturating_sub(1),
                _ => {}
            }
            spaced = letter.is_whitespace();
            property &= !spaced;
            if !spaced && !property {
                before = Some(letter);
            }
        }
        if self.open == 0 {
            // Text in quotes that goes on in the next line is no more than text.
            self.quote = None;
        }
    }

    /// Whether a value may begin behind this.
    fn begins(&self, before: Option<char>, spaced: bool) -> bool {
        match before {
            None => true,
            Some(':' | '-' | '?') if self.open == 0 => spaced,
            Some(':' | '[' | '{' | ',' | '?') => self.open > 0,
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_yaml::Value;

    use super::{DEEPEST, check, read};

    #[test]
    fn refuses_what_is_nested_absurdly_deep_at_once() {
        let deep = |open: &str, close: &str, count: usize| {
            format!(
                "services: {{}}\nx-a: {}1{}\n",
                open.repeat(count),
                close.repeat(count)
            )
        };
        let many = 100_000;
        for text in [
            deep("[", "]", many),
            deep("{a: ", "}", many),
            deep("[{\"a\": ", "}]", many),
            deep("[\n", "]", many),
            deep("&a !!seq [", "]", 1).replace('1', &deep("[", "]", many)),
            deep("- [", "]", 1).replace('1', &deep("[", "]", many)),
        ] {
            let why = read::<Value>(&text).unwrap_err();
            assert!(why.contains("nested deeper than 1000 levels"), "{why}");
        }
        for count in [10, DEEPEST] {
            assert_eq!(check(&deep("[", "]", count)), Ok(()));
        }
        assert!(check(&deep("[", "]", DEEPEST + 1)).is_err());
    }

    #[test]
    fn text_with_brackets_is_not_nested() {
        let many = "[{".repeat(DEEPEST);
        for text in [
            format!("a: \"{many}\"\nb: '{many}'\n"),
            format!("a: [\"{many}\", '{many}', \"\\\"{many}\"]\n"),
            format!("a: {{b: '{many}'}}\n"),
            format!("a: x{many}\n"),
            format!("a: |\n  {many}\n\n  {many}\nb: 1\n"),
            format!("a:\n  - |-\n    {many}\n  - b: >2\n      {many}\n    c: 1\n"),
            format!("a: 1 # {many}\n"),
            "a: 'it''s [ '\n".repeat(DEEPEST + 1),
            "a: sh -c [ -f x\nb: [1, {c: 2}]\n".repeat(DEEPEST + 1),
        ] {
            assert_eq!(check(&text), Ok(()), "{}", text.get(..80).unwrap_or(&text));
        }
    }
}
