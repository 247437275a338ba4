//! Words of closed sets: text has the words that JSON has, and both come from serde's names.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

/// Displays enums of plain variants as serde names them.
macro_rules! displayed {
    ($($name:ty),+ $(,)?) => {
        $(impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                serde::Serialize::serialize(self, f)
            }
        })+
    };
}

pub(crate) use displayed;

/// Reads a word as such an enum; `None` when it is none of the set.
pub(crate) fn read_word<'w, T: Deserialize<'w>>(word: &'w str) -> Option<T> {
    let reader: StrDeserializer<'w, Error> = word.into_deserializer();
    T::deserialize(reader).ok()
}
