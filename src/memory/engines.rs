//! The ids of engines, by where they are reached: asking an engine who it is takes as long as a listing.

use std::collections::BTreeMap;
use std::io;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::store::Folder;
use crate::exec::endpoint::Endpoint;

const FILE: &str = "engines.json";
const LIMIT: u64 = 1 << 20;
/// How long an id is believed where nothing tells whether it is still that engine. Where other machines reach it, a claim
/// on the engine itself keeps runs apart as well, so an id that is too old costs nothing but the history under it.
const BELIEVED: SignedDuration = SignedDuration::from_hours(24);
/// Endpoints that are kept, the newest.
const KEPT: usize = 100;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    id: String,
    stamp: Option<String>,
    at: Timestamp,
}

/// The id of the engine at an endpoint, if it is known.
pub fn known(folder: &Folder, endpoint: &Endpoint, now: Timestamp) -> Option<String> {
    let known = read(folder).remove(&endpoint.address)?;
    let is_same = match &endpoint.stamp {
        Some(_) => known.stamp == endpoint.stamp,
        None => now.duration_since(known.at) < BELIEVED,
    };
    is_same.then_some(known.id)
}

/// Remembers an id. What has no stamp and is no address of another machine is not there: nothing is kept of it.
///
/// # Errors
/// The store cannot be written.
pub fn remember(folder: &Folder, endpoint: &Endpoint, id: &str, now: Timestamp) -> io::Result<()> {
    if endpoint.stamp.is_none() && !endpoint.is_shared() {
        return Ok(());
    }
    let mut all = read(folder);
    let known = Known {
        id: id.to_owned(),
        stamp: endpoint.stamp.clone(),
        at: now,
    };
    all.insert(endpoint.address.clone(), known);
    while all.len() > KEPT {
        let oldest = all.iter().min_by_key(|(_, known)| known.at);
        let Some(oldest) = oldest.map(|(address, _)| address.clone()) else {
            break;
        };
        all.remove(&oldest);
    }
    folder.write(FILE, &serde_json::to_string(&all)?)
}

fn read(folder: &Folder) -> BTreeMap<String, Known> {
    let text = folder.read(FILE, LIMIT).ok().flatten().unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{KEPT, known, read, remember};
    use crate::exec::endpoint::Endpoint;
    use crate::memory::Store;

    fn endpoint(address: &str, stamp: Option<&str>) -> Endpoint {
        Endpoint {
            address: address.into(),
            stamp: stamp.map(str::to_owned),
        }
    }

    #[test]
    fn an_id_is_known_for_as_long_as_it_is_the_same_engine() {
        let root = tempfile::tempdir().unwrap();
        let folder = Store::at(root.path().join("state")).folder();
        let day = |day: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day);
        let socket = endpoint("unix:///run/docker.sock", Some("1"));
        let remote = endpoint("ssh://host", None);
        assert_eq!(known(&folder, &socket, day(0)), None);
        remember(&folder, &socket, "A", day(0)).unwrap();
        remember(&folder, &remote, "B", day(0)).unwrap();
        let id = |endpoint: &Endpoint, at| known(&folder, endpoint, at);
        assert_eq!(id(&socket, day(400)).as_deref(), Some("A"));
        assert_eq!(id(&endpoint(&socket.address, Some("2")), day(0)), None);
        assert_eq!(id(&remote, day(0)).as_deref(), Some("B"));
        assert_eq!(id(&remote, day(1)), None);
    }

    #[test]
    fn what_is_not_there_is_not_remembered_and_not_everything_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let folder = Store::at(root.path().join("state")).folder();
        let gone = endpoint("unix:///nowhere", None);
        remember(&folder, &gone, "A", Timestamp::UNIX_EPOCH).unwrap();
        assert!(read(&folder).is_empty());
        for number in 0..=KEPT {
            let at =
                Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(number).unwrap());
            remember(
                &folder,
                &endpoint(&format!("ssh://{number}"), None),
                "A",
                at,
            )
            .unwrap();
        }
        let kept = read(&folder);
        assert_eq!((kept.len(), kept.contains_key("ssh://0")), (KEPT, false));
    }

    #[test]
    fn fuzzing_the_ids_that_were_remembered() {
        let root = tempfile::tempdir().unwrap();
        let folder = Store::at(root.path().join("state")).folder();
        remember(
            &folder,
            &endpoint("ssh://host", None),
            "A",
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let kept = folder.read(super::FILE, super::LIMIT).unwrap().unwrap();
        crate::fuzzing::survives(&[&kept], |text| {
            folder.write(super::FILE, text).unwrap();
            let remote = endpoint("ssh://host", None);
            let _ = known(&folder, &remote, Timestamp::MAX);
            remember(&folder, &remote, "B", Timestamp::MIN).unwrap();
            assert!(read(&folder).contains_key("ssh://host"), "{text:?}");
        });
    }
}
