//! Amounts of resources as Kubernetes writes them: `500m`, `64Mi`, `1.5G`, `2e3`.

use std::fmt;

/// An amount, in thousandths: of a processor, of a byte, of a pod.
///
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

impl Quantity {
    /// Reads an amount; fractions of a thousandth are rounded up, as the API server does.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.char_indices().find(|(place, c)| {
            !(c.is_ascii_digit() || *c == '.' || (*place == 0 && "+-".contains(*c)))
        });
        let (number, suffix) = text.split_at(digits.map_or(text.len(), |(place, _)| place));
        let (power_of_ten, factor): (i32, i128) = match suffix {
            "n" => (-9, 1),
            "u" => (-6, 1),
            "m" => (-3, 1),
            "" => (0, 1),
            "k" => (3, 1),
            "M" => (6, 1),
            "G" => (9, 1),
            "T" => (12, 1),
            "P" => (15, 1),
            "E" => (18, 1),
            "Ki" => (0, 1 << 10),
            "Mi" => (0, 1 << 20),
            "Gi" => (0, 1 << 30),
            "Ti" => (0, 1 << 40),
            "Pi" => (0, 1 << 50),
            "Ei" => (0, 1 << 60),
            // `2e3`, `2E-1`
            exponent => (exponent.strip_prefix(['e', 'E'])?.parse().ok()?, 1),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.trim_start_matches(['+', '-']).is_empty() && fraction.is_empty() {
            return None;
        }
        let places = i32::try_from(fraction.len()).ok()?;
        let value: i128 = format!("{whole}{fraction}").parse().ok()?;
        let value = value.checked_mul(factor)?;
        let exponent = i32::checked_sub(power_of_ten, places)?.checked_add(3)?;
        let scale = 10_i128.checked_pow(exponent.unsigned_abs())?;
        Some(Self(if exponent >= 0 {
            value.checked_mul(scale)?
        } else {
            value.div_euclid(scale) + i128::from(value.rem_euclid(scale) > 0)
        }))
    }

    pub const fn whole(count: i64) -> Self {
        Self(count as i128 * 1000)
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    #[must_use]
    pub fn times(self, count: i64) -> Self {
        Self(self.0.saturating_mul(i128::from(count)))
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Memory in the largest unit that leaves it whole; what is small may be a count of something.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 != 0 {
            return write!(f, "{}m", self.0);
        }
        let whole = self.0 / 1000;
        let units = [("Gi", 1_i128 << 30), ("Mi", 1 << 20)];
        let fits = |(_, size): &&(&str, i128)| whole != 0 && whole % size == 0;
        match units.iter().find(fits) {
            Some((unit, size)) => write!(f, "{}{unit}", whole / size),
            None => write!(f, "{whole}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn reads_every_suffix_and_writes_the_shortest() {
        for (text, thousandths, shown) in [
            ("0", 0, "0"),
            ("3", 3000, "3"),
            ("500m", 500, "500m"),
            ("1500m", 1500, "1500m"),
            ("2000m", 2000, "2"),
            ("0.1", 100, "100m"),
            ("1.5", 1500, "1500m"),
            (".5", 500, "500m"),
            ("100u", 1, "1m"),
            ("1n", 1, "1m"),
            ("64Mi", 67_108_864_000, "64Mi"),
            ("1Ki", 1_024_000, "1024"),
            ("1.5Gi", 1_610_612_736_000, "1536Mi"),
            ("1k", 1_000_000, "1000"),
            ("1M", 1_000_000_000, "1000000"),
            ("1.5G", 1_500_000_000_000, "1500000000"),
            ("2e3", 2_000_000, "2000"),
            ("2E-1", 200, "200m"),
            ("1E", 1_000_000_000_000_000_000_000, "1000000000000000000"),
            ("1Ei", 1_152_921_504_606_846_976_000, "1073741824Gi"),
            ("-1", -1000, "-1"),
        ] {
            let read = Quantity::parse(text);
            assert_eq!(read, Some(Quantity(thousandths)), "{text}");
            assert_eq!(read.map(|one| one.to_string()).unwrap_or_default(), shown);
        }
        for text in [
            "",
            "m",
            "1x",
            "1e",
            "1KiB",
            "one",
            "1.2.3",
            "-",
            "1 Mi",
            "9e99",
            "1e2147483647",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
