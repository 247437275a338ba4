//! Which replica answered, by a response header.

use std::cell::RefCell;
use std::collections::HashMap;

use hyper::header::HeaderValue;

use crate::load::book::{Book, ReplicaIndex};
use crate::load::site::Names;

/// Different values that are told apart. More of them are no names of replicas but of requests.
const MOST: usize = 1000;
/// Characters of a value that are kept.
const LONGEST: usize = 80;

/// The replicas seen so far.
#[derive(Debug)]
pub struct Replicas<'a> {
    names: &'a Names,
    book: &'a Book,
    seen: RefCell<HashMap<Vec<u8>, ReplicaIndex>>,
}

impl<'a> Replicas<'a> {
    pub fn new(names: &'a Names, book: &'a Book) -> Self {
        Self {
            names,
            book,
            seen: RefCell::default(),
        }
    }

    /// The replica that a header's value names; `None` where it names too many.
    pub fn find(&self, value: &HeaderValue) -> Option<ReplicaIndex> {
        let mut seen = self.seen.borrow_mut();
        if let Some(index) = seen.get(value.as_bytes()) {
            return Some(*index);
        }
        let text = name(value.as_bytes());
        if seen.len() >= MOST || text.is_empty() {
            return None;
        }
        let index = match self.names.find(&text) {
            Some((service, replica)) => self.book.replica(Some(service), replica),
            None => self.book.replica(None, &text),
        };
        seen.insert(value.as_bytes().to_vec(), index);
        Some(index)
    }
}

/// A header's value as a name that can be printed.
fn name(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let printable = text.trim().chars().filter(|letter| !letter.is_control());
    printable.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::{MOST, Replicas, name};
    use crate::load::book::Book;
    use crate::load::id::RunId;
    use crate::load::pace::{Amount, Arrival, Pace};
    use crate::load::site::Names;
    use crate::project::Project;
    use crate::project::declared::Declared;
    use crate::project::observed::Replica;

    fn book() -> Book {
        let arrival = Arrival::Closed { in_flight: None };
        let amount = Amount::Tasks(1);
        Book::new(RunId::from_bytes([1; 12]), 1, Pace { amount, arrival })
    }

    #[test]
    fn values_are_replicas_of_the_project_or_themselves() {
        let replica = Replica {
            id: "3f5c0a1b2c3d4e5f".into(),
            name: "shop-web-1".into(),
            service: "web".into(),
            ..Replica::default()
        };
        let names = Names::of(&Project::new(Declared::default(), vec![replica]));
        let book = book();
        let replicas = Replicas::new(&names, &book);
        let find = |value: &'static str| replicas.find(&HeaderValue::from_static(value));
        assert_eq!(find("3f5c0a1b2c3d"), Some(0));
        assert_eq!(find("shop-web-1"), Some(0));
        assert_eq!(find("10.0.0.7:8000"), Some(1));
        assert_eq!(find("10.0.0.7:8000"), Some(1));
        assert_eq!(find(""), None);
        let ledger = book.ledger();
        let known: Vec<_> = ledger
            .replicas
            .iter()
            .map(|worker| (worker.service.as_deref(), worker.name.as_str()))
            .collect();
        assert_eq!(
            known,
            [(Some("web"), "shop-web-1"), (None, "10.0.0.7:8000")]
        );
    }

    #[test]
    fn a_header_that_differs_each_time_does_not_grow_without_end() {
        let (names, book) = (Names::default(), book());
        let replicas = Replicas::new(&names, &book);
        let find = |number: usize| replicas.find(&HeaderValue::from(number));
        assert_eq!((0..MOST + 10).filter_map(find).count(), MOST);
        assert_eq!(find(3), Some(3));
    }

    #[test]
    fn names_are_short_and_printable() {
        assert_eq!(name(&b"x".repeat(500)).len(), 80);
        assert_eq!(name(b" a\tb\xff "), "ab\u{fffd}");
    }

    proptest::proptest! {
        #[test]
        fn any_value_is_a_name(value: Vec<u8>) {
            let name = name(&value);
            assert!(name.chars().count() <= 80 && !name.chars().any(char::is_control));
        }
    }
}
