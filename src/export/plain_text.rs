//! Values that look like passwords and stand in a file as plain text.

use std::collections::BTreeMap;

use super::Warning;
use super::part::{Part, quoted_list};

/// Parts of a variable's name, between underscores, that say what its value is.
const TELLING: [&str; 9] = [
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "KEY",
    "CREDENTIALS",
    "APIKEY",
];

/// The variables of a service whose values look like secrets.
pub fn secrets<'a>(part: &'a Part<'_>) -> Vec<&'a str> {
    let environment = part.service.environment.iter();
    environment
        .filter(|(name, value)| !value.is_empty() && (tells(name) || has_password(value)))
        .map(|(name, _)| name.as_str())
        .collect()
}

/// One warning for all of them.
pub fn warning(parts: &[Part<'_>]) -> Option<Warning> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for part in parts {
        for name in secrets(part) {
            users.entry(name).or_default().push(part.name);
        }
    }
    let names: Vec<String> = users
        .iter()
        .map(|(name, services)| format!("`{name}` of {}", quoted_list(services)))
        .collect();
    (!names.is_empty()).then(|| {
        Warning::general(
            format!("in the file in plain text: {}", names.join("; ")),
            "keep the file to yourself, or make secrets of them: docker secret create NAME -",
        )
    })
}

/// `POSTGRES_PASSWORD` and `dbPassword`; not `KEYBOARD`, and not `POSTGRES_PASSWORD_FILE`, which is a path.
fn tells(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    if name.ends_with("_FILE") || name.ends_with("_PATH") {
        return false;
    }
    name.split(['_', '-', '.']).any(|word| {
        TELLING.contains(&word)
            || ["PASSWORD", "SECRET", "TOKEN"]
                .iter()
                .any(|telling| word.contains(telling))
    })
}

/// `postgres://user:password@host/`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.and_then(|user| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{has_password, tells};

    #[test]
    fn names_and_values_that_look_like_secrets() {
        for name in [
            "POSTGRES_PASSWORD",
            "SECRET_KEY",
            "api_token",
            "AWS_ACCESS_KEY_ID",
            "dbPassword",
            "PASS",
        ] {
            assert!(tells(name), "{name}");
        }
        for name in [
            "KEYBOARD",
            "POSTGRES_PASSWORD_FILE",
            "TLS_KEY_PATH",
            "PASSENGERS",
            "MONKEY",
        ] {
            assert!(!tells(name), "{name}");
        }
        assert!(has_password("postgres://shop:pw@db/shop"));
        assert!(has_password("redis://:pw@redis:6379/0"));
        assert!(!has_password("redis://redis:6379/0"));
        assert!(!has_password("http://user@host/a:b@c"));
        assert!(!has_password("a:b@c"));
    }
}
