//! Somebody else is at the project at the same time. What they make, recreate and remove meanwhile is theirs:
//! whatever comes of the run, every container of theirs is there afterwards, untouched.

use std::time::Duration;

use proptest::prelude::*;

use super::scenario::Scenario;
use super::simulation::{Fate, Other};

const SHOP: &str = "
services:
  db: {image: postgres}
  web: {image: app, depends_on: {db: {condition: service_started, required: true}}}
  worker: {image: app, x-rscale: {drain: {exec: [touch, /tmp/draining], undo: [rm, /tmp/draining]}}}
";

/// The first commands read the file and list the containers: what is there by then is the project.
const AFTER_THE_LISTING: usize = 2;

fn scenario(web: u32, worker: u32) -> Scenario {
    Scenario::new(SHOP)
        .running("db", 1)
        .running("web", web)
        .running("worker", worker)
}

fn acts() -> impl Strategy<Value = Vec<(usize, Other)>> {
    let other = prop_oneof![
        (0usize..3).prop_map(Other::Makes),
        (0usize..3, 0usize..4).prop_map(|(service, nth)| Other::Recreates(service, nth)),
        (0usize..3, 0usize..4).prop_map(|(service, nth)| Other::Removes(service, nth)),
    ];
    proptest::collection::vec((AFTER_THE_LISTING..25, other), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_container_of_others_is_touched(
        (web, worker) in (1u32..4, 1u32..4),
        (more, fewer) in (0u32..5, 0u32..4),
        acts in acts(),
        crashes in any::<bool>(),
        step in proptest::option::of(1u32..3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let harm = runtime.block_on(async {
            let mut scenario = scenario(web, worker)
                .asks(&format!("web={more} worker={fewer}"))
                .with(|scaling| {
                    scaling.plan.step = step;
                    scaling.force = true;
                });
            if crashes {
                let name = format!("shop-web-{}", web + 1);
                scenario = scenario.fate(&name, Fate::Exits(3, Duration::from_millis(300)));
            }
            for (at, other) in &acts {
                scenario.other(*at, *other);
            }
            let story = scenario.run().await;
            let told = story.scaled.as_ref().map(|_| story.told());
            (scenario.harm(), told)
        });
        prop_assert!(harm.0.is_empty(), "{:?}\n{}", harm.0, harm.1.unwrap_or_default());
    }
}

/// The place of `worker` among the services, and of its third replica, which is to go.
const THE_VICTIM: (usize, usize) = (2, 2);

#[tokio::test(start_paused = true)]
async fn a_victim_that_somebody_removed_is_as_good_as_gone() {
    let quiet = scenario(1, 3).asks("worker=1");
    quiet.run().await;
    let mut in_time = 0;
    for at in AFTER_THE_LISTING..quiet.asked() {
        let scenario = scenario(1, 3).asks("worker=1");
        scenario.other(at, Other::Removes(THE_VICTIM.0, THE_VICTIM.1));
        let story = scenario.run().await;
        if !story
            .after
            .iter()
            .any(|one| one.id == "shop-worker-1-first")
        {
            // The victims were gone by then, and it met another one.
            continue;
        }
        in_time += 1;
        assert_eq!(story.scaled().exit().code(), 0, "{at}: {}", story.told());
        assert!(
            story.there().ends_with("worker: 1 running\n"),
            "{at}: {}",
            story.told()
        );
    }
    assert!(in_time >= 4, "{in_time}");
}

/// Somebody recreates a replica under its name while it is drained: it is another one, and nobody asked for its end.
#[tokio::test(start_paused = true)]
async fn what_somebody_recreated_under_a_victims_name_is_neither_stopped_nor_taken_for_gone() {
    let quiet = scenario(1, 3).asks("worker=1");
    quiet.run().await;
    for at in AFTER_THE_LISTING..quiet.asked() {
        let scenario = scenario(1, 3).asks("worker=1");
        scenario.other(at, Other::Recreates(THE_VICTIM.0, THE_VICTIM.1));
        let story = scenario.run().await;
        assert_eq!(scenario.harm(), Vec::<String>::new(), "{at}");
        let there = story.after.iter().filter(|one| one.service == "worker");
        let running = there.filter(|one| one.state == "running").count();
        let document = story.document();
        let said = document.services[0].running.map(|running| running as usize);
        assert_eq!(said, Some(running), "{at}: {}", story.told());
    }
}

#[tokio::test(start_paused = true)]
async fn a_scale_by_others_in_the_middle_is_left_as_it_is() {
    let quiet = scenario(2, 1).asks("web=3");
    quiet.run().await;
    for at in AFTER_THE_LISTING..quiet.asked() {
        let scenario = scenario(2, 1).asks("web=3");
        scenario.other(at, Other::Makes(1));
        scenario.other(at, Other::Makes(1));
        let story = scenario.run().await;
        assert_eq!(scenario.harm(), Vec::<String>::new(), "{at}");
        let scaled = story.scaled();
        assert_eq!(scaled.exit().code(), 0, "{at}: {}", story.told());
        let there = story.after.iter().filter(|one| one.service == "web");
        assert!((4..=5).contains(&there.count()), "{at}: {}", story.told());
    }
}
