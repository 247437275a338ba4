//! "Did you mean": the nearest right name to a misspelt one.

/// The candidate nearest to `typed`, if any is near enough to be what was meant.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let mut score = strsim::jaro_winkler(&typed, &lower);
            // `web` for `web-django` and `django` for `web-django` are likelier than the letters say.
            if typed.len() >= 3 && (lower.contains(&typed) || typed.contains(&lower)) {
                score += 0.2;
            }
            (score, candidate)
        })
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
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
            ("frontend", None),
        ] {
            assert_eq!(nearest(typed, services), meant, "{typed}");
        }
    }
}
