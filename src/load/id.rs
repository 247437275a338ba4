//! Ids of tasks: random UUIDs of one run that carry the task's number, so that a result is filed without a
//! table, and the messages of this run are told from all others.

use std::fmt::Write as _;

use crate::error::{Error, Result};

/// What the ids of one run have in common: 96 bits, of which 6 are a UUID's version and variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId([u8; 12]);

impl RunId {
    /// A new one.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 12];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::failed("no random numbers can be had").because(anyhow::anyhow!("{error}"))
        })?;
        Ok(Self::from_bytes(bytes))
    }

    /// A run id of these bytes, with a UUID's version 4 and variant 1 set (RFC 9562, 5.4).
    pub const fn from_bytes(mut bytes: [u8; 12]) -> Self {
        bytes[2] = bytes[2] & 0x0f | 0x40;
        bytes[4] = bytes[4] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The UUID of a task: its number in the first 32 bits.
    pub fn task(self, number: u32) -> String {
        let mut text = String::with_capacity(36);
        let _ = write!(text, "{number:08x}-");
        self.write_tail(&mut text);
        text
    }

    /// What every id of this run ends with, from the first dash on; for a search through raw messages.
    pub fn tail(self) -> String {
        let mut text = String::with_capacity(28);
        text.push('-');
        self.write_tail(&mut text);
        text
    }

    fn write_tail(self, text: &mut String) {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 2 | 4 | 6) {
                text.push('-');
            }
            let _ = write!(text, "{byte:02x}");
        }
    }

    /// The number of a task of this run; `None` for any other id.
    pub fn number(self, id: &str) -> Option<u32> {
        let (number, tail) = (id.get(..8)?, id.get(8..)?);
        (id.len() == 36 && tail == self.tail()).then_some(())?;
        u32::from_str_radix(number, 16).ok()
    }

    /// The number of the first task of this run whose id stands anywhere in a message.
    pub fn find(self, message: &[u8]) -> Option<u32> {
        let tail = self.tail();
        let tail = tail.as_bytes();
        let mut ends = message.windows(tail.len()).enumerate();
        ends.find_map(|(at, window)| {
            (window[0] == tail[0] && window == tail).then_some(())?;
            let digits = message.get(at.checked_sub(8)?..at)?;
            u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RunId;

    proptest! {
        #[test]
        fn an_id_is_found_wherever_it_stands(before: Vec<u8>, number: u32, after: Vec<u8>) {
            let run = RunId::from_bytes([7; 12]);
            let message = [&before, run.task(number).as_bytes(), &after].concat();
            prop_assert_eq!(run.find(&message), Some(number));
            prop_assert_eq!(RunId::from_bytes([8; 12]).find(&message), None);
            prop_assert_eq!(run.find(&before), None);
            prop_assert_eq!(run.find(run.tail().as_bytes()), None);
        }
    }

    #[test]
    fn a_task_is_found_by_its_id_and_strangers_are_not() {
        let run = RunId::from_bytes([0xff; 12]);
        assert_eq!(run.task(7), "00000007-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(run.number(&run.task(70_000)), Some(70_000));
        let other = RunId::from_bytes([1; 12]);
        for stranger in [
            other.task(7).as_str(),
            "",
            "7",
            "celery-task-meta-",
            "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü",
        ] {
            assert_eq!(run.number(stranger), None, "{stranger}");
        }
    }
}
