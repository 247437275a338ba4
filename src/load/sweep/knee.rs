//! The knee: how many workers are worth it, in one sentence.

use std::collections::{BTreeMap, BTreeSet};

use super::figures::{change, is_whole, listed, per_worker};
use super::{Counts, typed, workers};
use crate::load::result::{LoadTest, Recommendation};

/// What enough of the best is.
const ENOUGH: f64 = 0.9;
/// A worker that brings less than this part of what the workers before it bring on average is not worth it.
const WORTH: f64 = 0.5;

/// The counts that are worth it: the smallest number of workers with at least 90 % of the best throughput
/// measured; then on to the next larger number for as long as every worker that it adds brings at least half
/// of what a worker brings so far. Where work scales linearly 90 % of the best is not yet the knee.
pub(super) fn recommend(measured: &[(Counts, LoadTest)]) -> Option<Recommendation> {
    let ladder = ladder(measured);
    let best = ladder
        .iter()
        .map(|rung| rung.throughput)
        .fold(0.0, f64::max);
    let mut at = ladder
        .iter()
        .position(|rung| rung.throughput >= ENOUGH * best)?;
    while ladder
        .get(at + 1)
        .is_some_and(|next| ladder[at].goes_on(next))
    {
        at += 1;
    }
    Some(Recommendation {
        counts: listed(ladder[at].counts),
        reason: reason(&ladder, at, best),
    })
}

/// The best counts with so many workers.
#[derive(Debug)]
struct Rung<'a> {
    workers: u32,
    counts: &'a Counts,
    throughput: f64,
}

impl Rung<'_> {
    /// Whether the workers that `next` adds are worth it.
    fn goes_on(&self, next: &Self) -> bool {
        let added = next.workers - self.workers;
        let each = per_worker(added, next.throughput - self.throughput);
        each >= WORTH * per_worker(self.workers, self.throughput)
    }
}

/// By rising number of workers; counts that were measured several times with their mean.
fn ladder(measured: &[(Counts, LoadTest)]) -> Vec<Rung<'_>> {
    let mut by_counts: BTreeMap<&Counts, Vec<f64>> = BTreeMap::new();
    for (counts, result) in measured.iter().filter(|(_, result)| is_whole(result)) {
        let throughputs = by_counts.entry(counts).or_default();
        throughputs.push(result.throughput_per_second);
    }
    let mut rungs: BTreeMap<u32, Rung<'_>> = BTreeMap::new();
    for (counts, throughputs) in by_counts {
        #[allow(clippy::cast_precision_loss)] // At most as many as points.
        let throughput = throughputs.iter().sum::<f64>() / throughputs.len() as f64;
        let rung = Rung {
            workers: workers(counts),
            counts,
            throughput,
        };
        let other = rungs.get(&rung.workers);
        if other.is_none_or(|other| throughput > other.throughput) {
            rungs.insert(rung.workers, rung);
        }
    }
    rungs.into_values().collect()
}

/// One sentence: `worker-a=4 gives 92 % of the peak; a fifth worker adds 3 %`.
fn reason(ladder: &[Rung<'_>], at: usize, best: f64) -> String {
    let rung = &ladder[at];
    let counts = typed(rung.counts);
    if ladder.len() == 1 {
        return format!("{counts} is all that was measured: measure other counts too");
    }
    let gives = if rung.throughput >= best {
        format!("{counts} gives the highest throughput")
    } else {
        // Not rounded up to all of it.
        let percent = (100.0 * rung.throughput / best).floor();
        format!("{counts} gives {percent} % of the peak")
    };
    let Some(next) = ladder.get(at + 1) else {
        let before = change(ladder[at - 1].throughput, rung.throughput);
        return if before >= 0.5 {
            format!("{gives}, and it was still growing: measure more")
        } else {
            format!("{gives}, and is the highest count measured: measure more")
        };
    };
    let services: BTreeSet<&String> = ladder.iter().flat_map(|rung| rung.counts.keys()).collect();
    let who = if services.len() == 1 && next.workers == rung.workers + 1 {
        format!("{} worker", ordinal(next.workers))
    } else {
        typed(next.counts)
    };
    let percent = change(rung.throughput, next.throughput).round();
    let what = if percent >= 1.0 {
        format!("adds {percent} %")
    } else if percent <= -1.0 {
        format!("takes {} % away", -percent)
    } else {
        "adds nothing".to_owned()
    };
    format!("{gives}; {who} {what}")
}

/// With its article: `a fifth`, `an 11th`.
fn ordinal(number: u32) -> String {
    const WORDS: [&str; 10] = [
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
        "tenth",
    ];
    let text = if let Some(word) = WORDS.get((number as usize).wrapping_sub(1)) {
        (*word).to_owned()
    } else {
        let ending = match (number % 100, number % 10) {
            (11..=13, _) => "th",
            (_, 1) => "st",
            (_, 2) => "nd",
            (_, 3) => "rd",
            _ => "th",
        };
        format!("{number}{ending}")
    };
    let vowel = number == 11 || number == 18 || text.starts_with(['8', 'e']);
    format!("{} {text}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
pub(super) mod testing {
    use super::super::{Counts, document};
    use crate::load::result::{LoadTest, Sweep};

    pub fn counts(text: &str) -> Counts {
        text.split(' ')
            .map(|word| {
                let (service, count) = word.split_once('=').unwrap();
                (service.to_owned(), count.parse().unwrap())
            })
            .collect()
    }

    pub fn swept(points: &[(&str, f64)]) -> Sweep {
        let measured = points.iter().map(|(text, throughput)| {
            let result = LoadTest {
                throughput_per_second: *throughput,
                ..LoadTest::default()
            };
            (counts(text), result)
        });
        document("shop", measured.collect())
    }

    pub fn of_one(throughputs: &[f64]) -> Sweep {
        let names: Vec<String> = (1..=throughputs.len())
            .map(|n| format!("worker-a={n}"))
            .collect();
        let points: Vec<(&str, f64)> = names
            .iter()
            .map(String::as_str)
            .zip(throughputs.iter().copied())
            .collect();
        swept(&points)
    }

    #[track_caller]
    pub fn recommends(sweep: &Sweep, expected: &str) {
        assert_eq!(sweep.recommended.as_ref().unwrap().reason, expected);
    }
}

#[cfg(test)]
mod tests {
    use super::ordinal;
    use super::testing::{of_one, recommends, swept};

    #[test]
    fn the_knee_is_said_in_one_sentence() {
        for (throughputs, expected) in [
            (
                vec![25.0, 48.0, 70.0, 92.0, 94.8, 97.2, 100.0],
                "worker-a=4 gives 92 % of the peak; a fifth worker adds 3 %",
            ),
            // Linear: 90 % of the peak is not yet the knee.
            (
                (1..=12).map(|n| 5.0 * f64::from(n)).collect(),
                "worker-a=12 gives the highest throughput, and it was still growing: measure more",
            ),
            (
                vec![10.0, 10.1, 9.9],
                "worker-a=1 gives 99 % of the peak; a second worker adds 1 %",
            ),
            (
                vec![10.0, 10.0],
                "worker-a=1 gives the highest throughput; a second worker adds nothing",
            ),
            // Retrograde.
            (
                vec![10.0, 18.0, 22.0, 18.7],
                "worker-a=3 gives the highest throughput; a fourth worker takes 15 % away",
            ),
            (
                vec![10.0, 12.0],
                "worker-a=2 gives the highest throughput, and it was still growing: measure more",
            ),
            (
                vec![10.0],
                "worker-a=1 is all that was measured: measure other counts too",
            ),
            // A dip before the end.
            (
                vec![10.0, 9.0, 30.0],
                "worker-a=3 gives the highest throughput, and it was still growing: measure more",
            ),
        ] {
            recommends(&of_one(&throughputs), expected);
        }
        recommends(
            &swept(&[("a=1", 10.0), ("a=2", 18.0), ("a=4", 30.0), ("a=8", 33.0)]),
            "a=4 gives 90 % of the peak; a=8 adds 10 %",
        );
    }

    #[test]
    fn several_services_and_repeated_counts_are_weighed() {
        recommends(
            &swept(&[
                ("a=1 b=1", 4.0),
                ("a=3 b=1", 6.0),
                ("a=2 b=2", 9.0),
                ("a=3 b=3", 9.5),
            ]),
            "a=2 b=2 gives 94 % of the peak; a=3 b=3 adds 6 %",
        );
        // 9 and 11 are 10 together.
        let sweep = swept(&[("a=1", 9.0), ("a=2", 10.0), ("a=1", 11.0), ("a=3", 10.0)]);
        recommends(
            &sweep,
            "a=1 gives the highest throughput; a second worker adds nothing",
        );
        assert!(sweep.fit.is_some());
    }

    #[test]
    fn ordinals_are_words_up_to_ten() {
        for (number, text) in [
            (2, "a second"),
            (8, "an eighth"),
            (10, "a tenth"),
            (11, "an 11th"),
            (12, "a 12th"),
            (18, "an 18th"),
            (21, "a 21st"),
            (22, "a 22nd"),
            (33, "a 33rd"),
            (80, "an 80th"),
            (100, "a 100th"),
            (111, "a 111th"),
        ] {
            assert_eq!(ordinal(number), text);
        }
    }
}
