//! Axes with round ticks, and figures as a page shows them.

/// From 0 to `max`, with ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub max: f64,
    pub ticks: Vec<Tick>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// In percent of the axis.
    pub at: f64,
    pub label: String,
}

impl Axis {
    /// Of amounts, up to the first tick that nothing exceeds; whole numbers only with `whole`.
    pub fn of_amounts(largest: f64, most: f64, whole: bool) -> Self {
        let step = step(largest, most, whole);
        let max = (largest / step).ceil().max(1.0) * step;
        Self::with(max, step, |value| amount(value, step))
    }

    /// Of a time in seconds, exactly as long as it is.
    pub fn of_seconds(longest: f64, most: f64) -> Self {
        let longest = if longest > 0.0 { longest } else { 1.0 };
        let (unit, name) = match longest {
            ..1.0 => (0.001, "ms"),
            ..180.0 => (1.0, "s"),
            ..10_800.0 => (60.0, "min"),
            _ => (3600.0, "h"),
        };
        let step = step(longest / unit, most, false);
        Self::with(longest, step * unit, |value| {
            let value = value / unit;
            format!("{} {name}", amount(value, step))
        })
    }

    /// Of whole numbers, one beyond the largest at most.
    pub fn of_workers(largest: u32, most: f64) -> Self {
        let largest = f64::from(largest);
        let step = step(largest, most, true);
        Self::with(largest * 1.06, step, |value| amount(value, step))
    }

    fn with(max: f64, step: f64, label: impl Fn(f64) -> String) -> Self {
        let mut ticks = Vec::new();
        let mut number = 0.0;
        // A little beyond, for rounding; never more than a page can hold.
        while number * step <= max * 1.000_001 && ticks.len() < 100 {
            let value = number * step;
            ticks.push(Tick {
                at: 100.0 * value / max,
                label: label(value),
            });
            number += 1.0;
        }
        Self { max, ticks }
    }

    /// Where a value is, in percent of the axis; never outside of it.
    pub fn at(&self, value: f64) -> f64 {
        (100.0 * value / self.max).clamp(0.0, 100.0)
    }
}

/// 1, 2 or 5 times a power of ten, so that there are at most `most` of them up to `largest`.
fn step(largest: f64, most: f64, whole: bool) -> f64 {
    if !(largest > 0.0 && largest.is_finite()) {
        return 1.0;
    }
    let least = (largest / most).max(1e-9);
    let power = 10_f64.powf(least.log10().floor());
    let found = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least * 0.999_999);
    let found = found.unwrap_or(10.0 * power);
    if whole { found.max(1.0) } else { found }
}

/// As short as an axis needs it: `0.05`, `1.5`, `20`, `15k`, `2M`.
fn amount(value: f64, step: f64) -> String {
    let (value, step, suffix) = match value.abs() {
        ..10_000.0 => (value, step, ""),
        ..1e6 => (value / 1e3, step / 1e3, "k"),
        _ => (value / 1e6, step / 1e6, "M"),
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 9.
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{suffix}")
}

/// With a comma between thousands: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits: `0.734`, `18.1`, `12,345`.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    match value.abs() {
        ..0.0005 => "0".to_owned(),
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..1000.0 => format!("{value:.1}"),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Rounded; magnitudes only.
        _ => count(value.abs().round() as u64),
    }
}

/// A time in the unit that suits the largest one beside it: `734 ms`, `1.20 s`, `95 s`.
pub fn seconds(value: f64, largest: f64) -> String {
    if largest <= 0.0 {
        "0 s".to_owned()
    } else if largest < 1.0 {
        let value = value * 1e3;
        match largest {
            ..0.01 => format!("{value:.2} ms"),
            ..0.1 => format!("{value:.1} ms"),
            _ => format!("{value:.0} ms"),
        }
    } else {
        match largest {
            ..10.0 => format!("{value:.2} s"),
            ..100.0 => format!("{value:.1} s"),
            _ => format!("{value:.0} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Axis, count, figure, seconds};

    fn labels(axis: &Axis) -> String {
        let labels: Vec<&str> = axis.ticks.iter().map(|tick| tick.label.as_str()).collect();
        labels.join(" ")
    }

    #[test]
    fn ticks_are_round() {
        for (largest, whole, expected) in [
            (18.3, false, "0 5 10 15 20"),
            (20.0, false, "0 5 10 15 20"),
            (0.7, false, "0 0.2 0.4 0.6 0.8"),
            (3.0, true, "0 1 2 3"),
            (1.0, true, "0 1"),
            (0.0, true, "0 1"),
            (12_400.0, false, "0 5000 10k 15k"),
            (4e6, false, "0 1M 2M 3M 4M"),
            (f64::NAN, false, "0 1"),
        ] {
            assert_eq!(
                labels(&Axis::of_amounts(largest, 4.0, whole)),
                expected,
                "{largest}"
            );
        }
        for (longest, expected) in [
            (0.35, "0 ms 100 ms 200 ms 300 ms"),
            (2.2, "0 s 1 s 2 s"),
            (2.0, "0 s 0.5 s 1 s 1.5 s 2 s"),
            (95.0, "0 s 50 s"),
            (600.0, "0 min 5 min 10 min"),
            (20_000.0, "0 h 2 h 4 h"),
        ] {
            assert_eq!(
                labels(&Axis::of_seconds(longest, 4.0)),
                expected,
                "{longest}"
            );
        }
        assert_eq!(labels(&Axis::of_workers(12, 6.0)), "0 2 4 6 8 10 12");
        let axis = Axis::of_amounts(18.3, 4.0, false);
        assert_eq!(
            (axis.at(10.0), axis.at(40.0), axis.at(-1.0)),
            (50.0, 100.0, 0.0)
        );
    }

    #[test]
    fn figures_have_the_digits_that_matter() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0.0, 0.7341, 1.5, 18.094, 12_345.6].map(figure),
            ["0", "0.734", "1.50", "18.1", "12,346"]
        );
        assert_eq!(seconds(0.1, 0.734), "100 ms");
        assert_eq!(seconds(0.001_23, 0.005), "1.23 ms");
        assert_eq!(seconds(0.734, 1.2), "0.73 s");
        assert_eq!(seconds(95.4, 120.0), "95 s");
    }

    proptest! {
        #[test]
        fn no_figure_breaks_an_axis(value in any::<f64>(), whole in any::<bool>()) {
            for axis in [
                Axis::of_amounts(value, 4.0, whole),
                Axis::of_seconds(value, 4.0),
            ] {
                assert!(axis.ticks.len() <= 100);
                assert!(axis.ticks.iter().all(|tick| (0.0..=100.1).contains(&tick.at)), "{axis:?}");
            }
            let _ = (figure(value), seconds(value, value));
        }
    }
}
