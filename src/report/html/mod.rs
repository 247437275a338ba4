//! `--report`: one self-contained page, for a run or for a sweep. No script, nothing fetched; charts are inline
//! SVG. Every text that comes from a project is escaped.

mod axis;
mod chart;
mod plot;
mod scaling;
mod section;

use crate::load::result::{LoadTest, Sweep};
use section::{about, about_sweep, notices, sweep_facts, sweep_points, sweep_tiles, tasks, tiles};

const PAGE: &str = include_str!("page.html");

/// The page of a run.
pub fn load_test(result: &LoadTest) -> String {
    let mut body = heading("Load test", &result.project, &about(result));
    body.push_str(&notices(result));
    body.push_str(&tiles(result));
    let throughput = chart::throughput(result);
    if !throughput.is_empty() {
        body.push_str("<section><h2>Over the time of the run</h2><div class=\"charts\">");
        body.push_str(&throughput);
        body.push_str("</div></section>");
    }
    body.push_str(&tasks(result));
    body.push_str(&chart::shares(result));
    page(&format!("Load test of {}", result.project), &body)
}

/// The page of a sweep.
pub fn sweep(sweep: &Sweep) -> String {
    let mut body = heading("Sweep", &sweep.project, &about_sweep(sweep));
    body.push_str(&sweep_tiles(sweep));
    let curve = scaling::curve(sweep);
    if !curve.is_empty() {
        body.push_str("<section><h2>How it scales</h2>");
        body.push_str(&sweep_facts(sweep));
        body.push_str("<div class=\"charts\">");
        body.push_str(&curve);
        body.push_str("</div></section>");
    }
    body.push_str(&sweep_points(sweep));
    page(&format!("Sweep of {}", sweep.project), &body)
}

fn heading(what: &str, project: &str, about: &str) -> String {
    format!(
        "<header><p class=\"eyebrow\">{what}</p><h1>{}</h1>{about}</header>",
        escape(project)
    )
}

/// Fills the template from front to back, so that no text of a project is taken for a place to fill.
fn page(title: &str, body: &str) -> String {
    let mut text = String::new();
    let mut rest = PAGE;
    for (place, value) in [
        ("{title}", escape(title).as_str()),
        ("{body}", body),
        ("{version}", env!("CARGO_PKG_VERSION")),
    ] {
        let (before, after) = rest.split_once(place).expect("the template has the place");
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text + rest
}

/// Text as it may stand in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // HTML has no other control characters.
            letter if letter.is_control() && !letter.is_whitespace() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape, load_test, page, sweep};
    use crate::load::result::{LoadTest, Sweep};

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escape("<b class=\"x\" id='y'>&amp;\u{0}\n"),
            "&lt;b class=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;\u{fffd}\n"
        );
        // A name like a place of the template is not filled.
        let text = page("{body} {version}", "{title} {version}");
        assert!(text.contains("<title>{body} {version}</title>"), "{text}");
        assert!(
            text.contains("<main>\n{title} {version}\n<footer>"),
            "{text}"
        );
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        for text in [load_test(&LoadTest::default()), sweep(&Sweep::default())] {
            assert!(text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>\n"));
            for foreign in ["http", "//", "<script", "@import", "url("] {
                assert!(!text.contains(foreign), "{foreign}");
            }
        }
    }
}
