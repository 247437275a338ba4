//! Reading `queue` of a service's `x-rscale`: where its messages are.

use serde_yaml::Value;

use super::address::masked;
use super::place::Place;
use super::workload::{DriverName, Queue};
use crate::error::Result;

const QUEUE_KEYS: [&str; 6] = ["driver", "broker", "results", "name", "prefix", "group"];

/// Reads `services.SERVICE.x-rscale.queue`.
///
/// # Errors
/// An unknown key or driver, a missing one, no URL.
pub fn queue(place: &Place, value: &Value) -> Result<Queue> {
    if value.as_str().is_some() {
        // Mostly the broker's URL, which may hold a password.
        return Err(place
            .wrong("got a text, wanted a mapping")
            .hint("write it as: queue: {driver: celery, broker: URL, name: NAME}"));
    }
    let (mut driver, mut broker, mut results, mut name) = (None, None, None, None);
    let (mut prefix, mut group) = (None, None);
    for (key, value) in place.entries(value, &QUEUE_KEYS)? {
        let place = place.child(key);
        match key {
            "driver" => driver = Some(driver_of(&place, value)?),
            "broker" => broker = Some(place.address(value)?),
            "results" => results = Some(place.address(value)?),
            "name" => name = Some(place.literal(value)?),
            "prefix" => prefix = Some(place.literal(value)?),
            _ => group = Some(place.literal(value)?),
        }
    }
    let missing = |key: &str| place.wrong(&format!("`{key}` is missing"));
    Ok(Queue {
        driver: driver.ok_or_else(|| missing("driver"))?,
        broker: broker.ok_or_else(|| missing("broker"))?,
        results,
        name: name.ok_or_else(|| missing("name"))?,
        prefix,
        group,
    })
}

fn driver_of(place: &Place, value: &Value) -> Result<DriverName> {
    let word = place.text(value)?;
    let known = DriverName::OF_QUEUES;
    known
        .into_iter()
        .find(|driver| driver.to_string() == word)
        .ok_or_else(|| {
            let names = known.map(|driver| driver.to_string());
            let error = place.wrong(&format!("there is no driver `{}`", masked(&word)));
            match crate::suggest::nearest(&word, names.iter().map(String::as_str)) {
                Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
                None => error.hint(format!("the drivers are {}", names.join(", "))),
            }
        })
}
