//! What Compose warns of while it reads a file: a variable that is not set, a name that is not taken.

/// The warnings in what `config` said on stderr, each once. One is left out: that the file still has a `version`, which
/// by its own words changes nothing.
pub fn warnings(stderr: &str) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for text in stderr.lines().filter_map(warning) {
        let warning = format!("Compose warns: {text}");
        let is_new = !warnings.contains(&warning);
        if is_new && !text.contains("`version` is obsolete") {
            warnings.push(warning);
        }
    }
    warnings
}

/// `time="..." level=warning msg="..."` (logrus without a terminal), `WARN[0000] ...` (with one); of v1 the text,
/// with `WARNING: ` before it or alone.
fn warning(line: &str) -> Option<String> {
    if let Some((_, logged)) = line.split_once("level=warning msg=") {
        // As Go quotes it (`%q`); a word alone has no quotes.
        let text = match logged.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"').unwrap_or(quoted),
            None => logged,
        };
        return Some(text.replace("\\\"", "\""));
    }
    let text = if let Some(rest) = line.strip_prefix("WARN[") {
        rest.split_once(']')?.1
    } else if line.starts_with("The ") && line.contains(" variable is not set.") {
        line
    } else {
        line.strip_prefix("WARNING: ")?
    };
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::warnings;

    #[test]
    fn every_generation_is_understood_and_nothing_is_said_twice() {
        let unset = "The \"DB_HOST\" variable is not set. Defaulting to a blank string.";
        let quoted = unset.replace('"', "\\\"");
        let stderr = format!(
            "time=\"2026-01-02T03:04:05Z\" level=warning msg=\"{quoted}\"\n\
             time=\"2026-01-02T03:04:05Z\" level=warning msg=\"{quoted}\"\n\
             time=\"2026-01-02T03:04:05Z\" level=warning msg=\"/srv/compose.yaml: the attribute `version` is obsolete, it will be ignored\"\n\
             time=\"2026-01-02T03:04:05Z\" level=debug msg=x\n\
             WARN[0000] with a terminal\n\
             WARNING: of v1\n\
             The A variable is not set. Defaulting to a blank string.\n\
             anything else\n"
        );
        assert_eq!(
            warnings(&stderr),
            [
                format!("Compose warns: {unset}"),
                "Compose warns: with a terminal".into(),
                "Compose warns: of v1".into(),
                "Compose warns: The A variable is not set. Defaulting to a blank string.".into(),
            ]
        );
    }
}
