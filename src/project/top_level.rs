//! The file's own `x-rscale`, beside the services: which engine, what a load test sends.

use std::collections::BTreeMap;

use serde_yaml::Value;

use super::declared::{EngineName, Service};
use super::load_section;
use super::place::Place;
use super::workload::TaskType;
use crate::error::Result;
use crate::words::read_word;

/// What the file's own `x-rscale` says.
#[derive(Debug, Default)]
pub struct TopLevel {
    pub engine: Option<EngineName>,
    pub task_types: Vec<TaskType>,
}

impl TopLevel {
    /// # Errors
    /// An unknown key, a missing one, a wrong type; a service that is not there or has no `queue`.
    pub fn parse(value: &Value, services: &BTreeMap<String, Service>) -> Result<Self> {
        let place = Place("x-rscale".into());
        let mut top = Self::default();
        for (key, value) in place.entries(value, &["engine", "load-test"])? {
            let place = place.child(key);
            if key == "engine" {
                top.engine = Some(engine(&place, value)?);
            } else {
                top.task_types = load_section::task_types(&place, value, services)?;
            }
        }
        Ok(top)
    }
}

fn engine(place: &Place, value: &Value) -> Result<EngineName> {
    let name = place.text(value)?;
    read_word(&name).ok_or_else(|| place.expected("compose, swarm or kubernetes", value))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::TopLevel;
    use crate::project::declared::EngineName;

    fn parse(yaml: &str) -> Result<TopLevel, String> {
        let value = serde_yaml::from_str(yaml).expect("test YAML");
        TopLevel::parse(&value, &BTreeMap::new()).map_err(|error| error.message)
    }

    #[test]
    fn the_file_may_name_its_engine() {
        let engine = parse("{engine: swarm}").unwrap().engine;
        assert_eq!(engine, Some(EngineName::Swarm));
        assert_eq!(parse("{}").unwrap().engine, None);
        assert_eq!(
            parse("{engine: nomad}").unwrap_err(),
            "`x-rscale.engine`: got `nomad`, wanted compose, swarm or kubernetes"
        );
    }
}
