//! Durations: how they are typed and how they are printed, in one place.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

/// What every longer duration is taken for: a hundred years, so that no sum of a few of them overflows.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Reads a duration as Compose and people write it: `90s`, `1m30s`, `500ms`, `1.5s`. More than [`LONGEST`] is
/// taken for that.
///
/// # Errors
/// What is wrong, as a fragment; a bare number has no unit, and a negative duration is none.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wanted = "a duration such as 90s or 1m30s";
    let signed: SignedDuration = text
        .trim()
        .parse()
        .map_err(|_| format!("`{text}` is not {wanted}"))?;
    Duration::try_from(signed)
        .map(|duration| duration.min(LONGEST))
        .map_err(|_| format!("`{text}` is negative; wanted {wanted}"))
}

/// The time that is so much later; for more than [`LONGEST`] as much as that.
pub fn later(time: Instant, by: Duration) -> Instant {
    time + by.min(LONGEST)
}

/// Prints a duration for people: `850ms`, `1.4s`, `12s`, `1m30s`, `2h5m`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.is_zero() => "0s".into(),
        0 => format!("{}ms", duration.as_millis().max(1)),
        1..10 if duration.subsec_millis() >= 50 => format!("{:.1}s", duration.as_secs_f64()),
        1..60 => format!("{seconds}s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ if seconds % 3600 < 60 => format!("{}h", seconds / 3600),
        _ => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Prints a duration for other programs, without rounding to what people want to know: `90s`, `1500ms`.
pub fn exact(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{LONGEST, exact, later, parse, show};

    /// `Instant + Duration` used to panic in the middle of a scale.
    #[test]
    fn no_duration_is_too_long_for_a_clock() {
        let longest = parse("9223372036854775807s").unwrap();
        assert_eq!(longest, LONGEST);
        let now = Instant::now();
        assert!(now + longest + longest > now);
        assert_eq!(later(now, Duration::MAX), now + LONGEST);
        assert_eq!(
            later(now, Duration::from_secs(1)),
            now + Duration::from_secs(1)
        );
    }

    #[test]
    fn prints_durations_exactly() {
        for (milliseconds, text) in [(0, "0s"), (90_000, "90s"), (3_601_500, "3601500ms")] {
            assert_eq!(exact(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn reads_durations_and_refuses_the_rest() {
        for (text, milliseconds) in [
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1500),
            ("0s", 0),
            ("1h5m30s20ms", 3_930_020),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "5", "five", "-3s", "3x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_durations_shortly() {
        for (milliseconds, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1000, "1s"),
            (1430, "1.4s"),
            (12_900, "12s"),
            (120_000, "2m"),
            (90_000, "1m30s"),
            (7_500_000, "2h5m"),
        ] {
            assert_eq!(show(Duration::from_millis(milliseconds)), text);
        }
    }
}
