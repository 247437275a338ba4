//! Values that may be secrets, and so are never part of a `Debug` output.

use std::fmt;
use std::ops::Deref;

/// A value that has to be asked for: `Debug` says only that there is one.
///
/// Not a guard against who reads the memory of rscale: against a log line, a panic's message, an error.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hidden<T>(pub T);

impl<T> Deref for Hidden<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Hidden<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl From<&str> for Hidden<String> {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<T, C: FromIterator<T>> FromIterator<T> for Hidden<C> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
