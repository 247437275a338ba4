//! Addresses of brokers and servers as their users write them. A password is never shown.

use std::borrow::Cow;
use std::fmt;

use url::Url;

/// A URL that may hold a password. `Display` and `Debug` hide it; [`Address::url`] is for connecting only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(Url);

impl Address {
    /// Reads `redis://:secret@redis:6379/0`.
    ///
    /// # Errors
    /// No URL; what is said of it does not repeat it, because it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("it is no URL ({error})"))?;
        // `user:password@host` would be one of the scheme `user`, and shown whole.
        if url.cannot_be_a_base() {
            return Err("it is no URL (without `://`)".into());
        }
        Ok(Self(url))
    }

    /// `redis://redis:6379/0` from its parts.
    pub fn of_parts(scheme: &str, host: &str, port: u16, password: Option<&str>) -> Option<Self> {
        let mut url = Url::parse(&format!("{scheme}://{host}:{port}")).ok()?;
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            url.set_password(Some(password)).ok()?;
        }
        Some(Self(url))
    }

    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// Empty for `rpc://`.
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        // An IPv6 address stands in brackets only inside of a URL.
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port that is written, else the scheme's own; 0 where neither is known.
    pub fn port(&self) -> u16 {
        self.0
            .port_or_known_default()
            .unwrap_or(match self.scheme() {
                "redis" | "rediss" | "valkey" | "valkeys" => 6379,
                "amqp" | "pyamqp" => 5672,
                "amqps" => 5671,
                _ => 0,
            })
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.scheme(), "rediss" | "valkeys" | "amqps" | "https")
    }

    /// The user, percent-decoded.
    pub fn user(&self) -> Option<Cow<'_, str>> {
        let user = self.0.username();
        (!user.is_empty()).then(|| decoded(user))
    }

    /// The password, percent-decoded.
    pub fn password(&self) -> Option<Cow<'_, str>> {
        self.0.password().map(decoded)
    }

    /// What stands behind the host and one slash, percent-decoded: a database's number, a virtual host.
    pub fn path(&self) -> Cow<'_, str> {
        let path = self.0.path();
        decoded(path.strip_prefix('/').unwrap_or(path))
    }

    /// A parameter behind the question mark.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The URL with its password: for a connection, never for printing.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

/// A text with what URLs in it hide, for where it is not known to be an address: `amqp://user:***@host`.
pub fn masked(text: &str) -> Cow<'_, str> {
    if text.contains("://") {
        let words = text.split_inclusive(char::is_whitespace);
        words.map(masked_word).collect::<String>().into()
    } else {
        text.into()
    }
}

fn masked_word(word: &str) -> String {
    let Some(at) = word.find("://") else {
        return word.to_owned();
    };
    let end = word.trim_end().len();
    let (scheme, rest) = word[..end].split_at(at + 3);
    // A password may hold any sign, so that it ends at the last `@`.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => match user.split_once(':') {
            Some((user, _)) => (format!("{user}:***@"), rest),
            None => (format!("{user}@"), rest),
        },
        None => (String::new(), rest),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    format!("{scheme}{user}{rest}{query}{}", &word[end..])
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        if url.password().is_some() {
            // Fails only for URLs that cannot hold a password.
            let _ = url.set_password(Some("***"));
        }
        // What is written behind the question mark may be a secret as well.
        if url.query().is_some() {
            url.set_query(Some("***"));
        }
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, masked};

    #[test]
    fn takes_addresses_apart_as_their_users_mean_them() {
        for (text, host, port, path, password) in [
            (
                "amqp://guest:guest@rabbitmq:5672//",
                "rabbitmq",
                5672,
                "/",
                Some("guest"),
            ),
            ("amqp://rabbitmq", "rabbitmq", 5672, "", None),
            (
                "amqps://u:p%40ss@mq.example.com/shop",
                "mq.example.com",
                5671,
                "shop",
                Some("p@ss"),
            ),
            (
                "redis://:secret@redis/1",
                "redis",
                6379,
                "1",
                Some("secret"),
            ),
            ("rediss://redis:7000", "redis", 7000, "", None),
            ("redis://[::1]:7000/0", "::1", 7000, "0", None),
            ("rpc://", "", 0, "", None),
            (
                "https://shop.example.com/a/b?c=d",
                "shop.example.com",
                443,
                "a/b",
                None,
            ),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (
                    address.host(),
                    address.port(),
                    &*address.path(),
                    address.password().as_deref()
                ),
                (host, port, path, password),
                "{text}"
            );
        }
    }

    #[test]
    fn never_shows_a_password() {
        let address = Address::parse("redis://ann:s3cret@redis:6379/0?token=s3cret").unwrap();
        let shown = format!("{address} {address:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.starts_with("redis://ann:***@redis:6379/0"), "{shown}");
        for wrong in ["s3cret", "ann:s3cret@redis"] {
            assert!(!Address::parse(wrong).unwrap_err().contains("s3cret"));
        }
    }

    #[test]
    fn a_text_that_may_hold_an_address_shows_no_password_either() {
        for (text, shown) in [
            ("plain", "plain"),
            ("amqp://user:S3CRET@mq//", "amqp://user:***@mq//"),
            ("amqp://user:S3/C?R@E:T@mq//", "amqp://user:***@mq//"),
            ("redis://:S3CRET@redis", "redis://:***@redis"),
            ("http://web:80/a?key=S3CRET", "http://web:80/a?***"),
            (
                "a amqp://u:S3CRET@h and http://u:S3CRET@h/ b",
                "a amqp://u:***@h and http://u:***@h/ b",
            ),
            ("u:S3CRET@h\n://", "u:S3CRET@h\n://"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }
}
