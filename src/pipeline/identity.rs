//! Which engine it is: what locks and memories are kept by.

use jiff::Timestamp;

use super::surroundings::HostFacts;
use crate::engine::cause::explain_reading;
use crate::error::Result;
use crate::gather::Reach;
use crate::memory::{Store, known, remember};

/// The engine's own id, however it is reached. Asking takes as long as a listing, so it is remembered. Where the engine
/// does not tell, its address has to do.
///
/// # Errors
/// Nothing can be asked of it now.
pub async fn engine_id(reach: Reach<'_>, host: &HostFacts) -> Result<String> {
    let folder = host.store.as_ref().map(Store::folder);
    let now = Timestamp::now();
    let remembered = folder
        .as_ref()
        .and_then(|folder| known(folder, reach.endpoint, now));
    if let Some(id) = remembered {
        return Ok(id);
    }
    let Some(id) = asked(reach).await? else {
        return Ok(reach.endpoint.address.clone());
    };
    if let Some(folder) = folder {
        // Without a store it is asked again the next time.
        let _ = remember(&folder, reach.endpoint, &id, now);
    }
    Ok(id)
}

async fn asked(reach: Reach<'_>) -> Result<Option<String>> {
    let mut before: Option<String> = None;
    for _ in 0..2 {
        let said = match reach.run(&reach.engine.identification(), None).await {
            Ok(said) => said,
            Err(error) => {
                let error = explain_reading(&error);
                // It may be a matter of rights: then others decide whether it goes on.
                return if error.is_out_of_reach() {
                    Err(error)
                } else {
                    Ok(None)
                };
            }
        };
        let id = reach
            .engine
            .parse_identification(&said.stdout, before.as_deref());
        if id.is_some() {
            return Ok(id);
        }
        before = Some(said.stdout);
    }
    Ok(None)
}
