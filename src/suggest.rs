//! "Did you mean": the nearest right name to a misspelt one.

/// The candidate nearest to `typed`, if any is near enough to be what was meant.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (likeness(&typed, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// From 0 to above 1; letters alone miss swapped ones in short names and parts of long ones.
fn likeness(typed: &str, candidate: &str) -> f64 {
    let edits = strsim::damerau_levenshtein(typed, candidate);
    let slip = edits <= (typed.chars().count() / 3).max(1) && typed.chars().count() > 1;
    let part = typed.len() >= 3 && candidate.contains(typed);
    let letters = strsim::jaro_winkler(typed, candidate);
    let letters = if slip { letters.max(0.9) } else { letters };
    if part { letters + 0.2 } else { letters }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_the_nearest_name_or_none() {
        let services = ["web-django", "celery_worker", "celery_beat", "redis", "db"];
        for (typed, meant) in [
            ("web", Some("web-django")),
            ("django", Some("web-django")),
            ("celery-worker", Some("celery_worker")),
            ("REDIS", Some("redis")),
            ("reddis", Some("redis")),
            ("bd", Some("db")),
            ("reids", Some("redis")),
            ("dbs", Some("db")),
            ("frontend", None),
        ] {
            assert_eq!(nearest(typed, services), meant, "{typed}");
        }
    }
}
