//! The page of `--report`, in a real browser: what it shows, that nothing overflows, that it can be read in
//! light and dark, that no text of a project becomes markup.

mod browser;
mod sample;

use browser::{Browser, Scheme};
use rscale::testing::html;
use rscale::testing::result::LoadTest;
use serde_json::json;

use crate::support::turn::{Turn, Weight};

/// A phone, a tablet, the narrowest with charts side by side, a desktop; in pixels.
const WIDTHS: [u32; 4] = [360, 600, 962, 1280];

/// Looks at a page at every width, in light and dark. Gives the DOM of the last look.
fn look(name: &str, page: &str) -> Option<String> {
    let browser = Browser::find(name)?;
    let _turn = Turn::take(Weight::Medium);
    let mut dom = None;
    for scheme in [Scheme::Light, Scheme::Dark] {
        let seen = browser.open(page, &WIDTHS, scheme);
        let place = format!("{name}, {scheme:?}");
        assert!(seen.console.is_empty(), "{place}: {:?}", seen.console);
        let mut widths: Vec<u64> = Vec::new();
        for found in &seen.found {
            let width = found["width"].as_u64().unwrap();
            let place = format!("{place}, {width} px");
            widths.push(width);
            assert_eq!(found["problems"], json!([]), "{place}");
            assert_eq!(found["dark"], scheme == Scheme::Dark, "{place}");
            let brought = (&found["scripts"], &found["images"], &found["fetched"]);
            assert_eq!(brought, (&json!(0), &json!(0), &json!([])), "{place}");
            assert!(found["texts"].as_u64() > Some(5), "{place}: {found}");
            dom = found["dom"].as_str().map(str::to_owned);
        }
        widths.sort_unstable();
        assert_eq!(widths, WIDTHS.map(u64::from), "{place}");
    }
    dom
}

#[track_caller]
fn shows(dom: &str, texts: &[&str]) {
    for text in texts {
        assert!(dom.contains(text), "{text} is not in:\n{dom}");
    }
}

#[test]
fn the_page_of_a_run_shows_its_figures() {
    let page = html::load_test(&sample::run());
    let Some(dom) = look("page-of-a-run", &page) else {
        return;
    };
    shows(
        &dom,
        &[
            "<title>Load test of shop</title>",
            "2026-11-21 08:41:07 UTC",
            "closed: all at once",
            "worker-a 3, worker-b 2",
            "on: workers told execution times",
            ">83.5<",
            "<dd>991</dd>",
            "<dd>7</dd>",
            "5 ValueError, 2 TimeLimitExceeded",
            "1 of them still queued",
            "<dd>11.9 s</dd>",
            "task_a.p95_seconds &gt; 0.5: it is 2.07",
            "Throughput over time",
            "half within",
            "shop-worker-b-2",
            "37.3 %",
        ],
    );
}

#[test]
fn the_page_of_a_sweep_shows_the_curve_and_the_knee() {
    let sweep = sample::sweep();
    let Some(dom) = look("page-of-a-sweep", &html::sweep(&sweep)) else {
        return;
    };
    shows(
        &dom,
        &[
            "<title>Sweep of shop</title>",
            "worker-a=4 gives 93 % of the peak; a fifth worker adds 4 %",
            ">17.3<",
            "with worker-a=6",
            "Universal Scalability Law, fitted",
            "ideal: every worker counts in full",
            ">4 workers</text>",
            "+217.6 %",
            "<td role=\"cell\" data-label=\"Efficiency\">79 %</td>",
        ],
    );
    assert_eq!(
        dom.matches("<circle class=\"point").count(),
        sweep.points.len() + 2
    );
}

#[test]
fn a_page_stays_whole_whatever_a_project_calls_its_things() {
    let page = html::load_test(&sample::harmful());
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    let Some(dom) = look("page-of-harmful-names", &page) else {
        return;
    };
    shows(&dom, &["&lt;script&gt;document.title"]);
    assert!(dom.contains("<title>Load test of &lt;script&gt;"), "{dom}");
}

#[test]
fn labels_have_room_whatever_the_times_are() {
    let page = html::load_test(&sample::many_times());
    if let Some(dom) = look("page-of-many-times", &page) {
        shows(
            &dom,
            &[
                "completed tasks of all types per second",
                " µs</text>",
                "120 min</text>",
                "400k</text>",
                "8,000 s",
            ],
        );
    }
}

#[test]
fn a_run_without_any_result_has_a_page_too() {
    let empty = LoadTest {
        project: "shop".into(),
        ..LoadTest::default()
    };
    if let Some(dom) = look("page-of-nothing", &html::load_test(&empty)) {
        shows(&dom, &["<h1>shop</h1>", "<dd>0 s</dd>"]);
    }
}
