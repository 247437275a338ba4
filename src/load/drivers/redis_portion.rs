//! Removing a run's own messages from a list that may be of any length, among messages of others.
//!
//! A removal by value (`LREM`) goes through the list up to its message, so that one for each message takes time with the
//! square of the length. Here the server goes through a portion, marks what is own, and removes all marked ones at once,
//! in one script: nobody sees a mark. Between two portions it serves the others.

use redis::Cmd;

use crate::load::id::RunId;

/// Messages of a portion.
const PORTION: u64 = 5000;

/// `KEYS[1]` the list; `ARGV`: the end of a run's ids, `1` to go from the right end, messages to pass over, messages to look
/// at. Gives how many were looked at, then the ids of those removed.
const SCRIPT: &str = r"
local list, tail, right = KEYS[1], ARGV[1], ARGV[2] == '1'
local length, first, last = redis.call('LLEN', list), tonumber(ARGV[3]), 0
if right then
  last = length - 1 - first
  first = math.max(last - tonumber(ARGV[4]) + 1, 0)
else
  last = math.min(first + tonumber(ARGV[4]), length) - 1
end
if last < first then return {'0'} end
local told, mark = {tostring(last - first + 1)}, 'purged' .. tail
for at, message in ipairs(redis.call('LRANGE', list, first, last)) do
  local from, to = string.find(message, tail, 1, true)
  if from and from > 8 then
    table.insert(told, string.sub(message, from - 8, to))
    redis.call('LSET', list, first + at - 1, mark)
  end
end
local own = #told - 1
if own > 0 then redis.call('LREM', list, right and -own or own, mark) end
return told
";

/// The end of a list from which it is gone through: the one where its own messages are nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Left,
    Right,
}

/// Where a walk through a list is.
#[derive(Debug)]
pub struct Walk<'a> {
    list: &'a str,
    end: End,
    run: RunId,
    /// Messages of others, between the end and where the next portion begins.
    passed: u64,
}

impl<'a> Walk<'a> {
    pub fn new(list: &'a str, end: End, run: RunId) -> Self {
        Self {
            list,
            end,
            run,
            passed: 0,
        }
    }

    /// Removes the run's messages from the next portion.
    pub fn step(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command
            .arg(SCRIPT)
            .arg(1)
            .arg(self.list)
            .arg(self.run.tail())
            .arg(u8::from(self.end == End::Right))
            .arg(self.passed)
            .arg(PORTION);
        command
    }

    /// Takes in what a step said; gives the tasks whose messages went, and `None` behind the last portion.
    pub fn told(&mut self, said: &[Vec<u8>]) -> Option<Vec<u32>> {
        let text = |bytes: &Vec<u8>| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let (looked_at, removed) = said.split_first()?;
        let looked_at: u64 = text(looked_at)?.parse().ok().filter(|count| *count > 0)?;
        self.passed += looked_at.saturating_sub(removed.len() as u64);
        let ids = removed.iter().filter_map(text);
        Some(ids.filter_map(|id| self.run.number(&id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Walk};
    use crate::load::id::RunId;

    #[test]
    fn a_walk_passes_over_what_stays() {
        let run = RunId::from_bytes([7; 12]);
        let mut walk = Walk::new("tasks", End::Right, run);
        let said = |looked_at: &str, tasks: &[u32]| -> Vec<Vec<u8>> {
            let ids = tasks.iter().map(|task| run.task(*task));
            [looked_at.to_owned()]
                .into_iter()
                .chain(ids)
                .map(String::into_bytes)
                .collect()
        };
        assert_eq!(
            walk.told(&said("5000", &[3, 70_000])),
            Some(vec![3, 70_000])
        );
        assert_eq!(walk.passed, 4998);
        assert_eq!(walk.told(&said("100", &[])), Some(vec![]));
        assert_eq!(walk.passed, 5098);
        for end in [
            said("0", &[]),
            Vec::new(),
            vec![vec![0xff]],
            said("-1", &[]),
        ] {
            assert_eq!(walk.told(&end), None);
        }
    }
}
