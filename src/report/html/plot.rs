//! A chart's frame: an inline SVG that fills the width it is given, while its text keeps its size.
//!
//! Straight things have places in percent of the plot area. Curves are drawn in a nested SVG of 1000 by 1000
//! units, which is stretched to it; their strokes are not. Labels of axes lie outside of the SVG's own box, in
//! the padding around it.

use std::fmt::Write as _;

use super::axis::Axis;
use super::escape;

/// Units of the nested SVG.
const UNITS: f64 = 1000.0;
/// Labels that a narrow screen has room for.
const FEW: usize = 4;

/// A chart to be.
#[derive(Debug)]
pub struct Plot {
    pub x: Axis,
    pub y: Axis,
    /// What it shows, for those who do not see it.
    pub label: String,
    /// Below the curves, in percent.
    pub below: String,
    /// Curves, in units.
    pub curves: String,
    /// Above the curves, in percent.
    pub above: String,
}

impl Plot {
    pub fn new(x: Axis, y: Axis, label: String) -> Self {
        Self {
            x,
            y,
            label,
            below: String::new(),
            curves: String::new(),
            above: String::new(),
        }
    }

    /// Percent from the left.
    pub fn left(&self, x: f64) -> f64 {
        self.x.at(x)
    }

    /// Percent from the top.
    pub fn top(&self, y: f64) -> f64 {
        100.0 - self.y.at(y)
    }

    /// A line through these points, clipped by the plot area.
    pub fn curve(&mut self, points: &[(f64, f64)], class: &str) {
        let path = self.path(points);
        let _ = write!(self.curves, "<path class=\"curve {class}\" d=\"{path}\"/>");
    }

    /// The area between a line and the x axis.
    pub fn area(&mut self, points: &[(f64, f64)], class: &str) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return;
        };
        let outline = [&[(first.0, 0.0)], points, &[(last.0, 0.0)]].concat();
        let path = self.path(&outline);
        let _ = write!(self.curves, "<path class=\"area {class}\" d=\"{path}Z\"/>");
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        for (place, (x, y)) in points.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            let x = UNITS * x / self.x.max;
            // What lies far outside is clipped, and needs no long number.
            let y = (UNITS - UNITS * y / self.y.max).clamp(-9.0 * UNITS, UNITS);
            let _ = write!(path, "{letter}{x:.1} {y:.1}");
        }
        path
    }

    /// The SVG in its padding.
    pub fn render(&self) -> String {
        let mut text = format!(
            "<div class=\"plot\"><svg role=\"img\" aria-label=\"{}\">",
            escape(&self.label)
        );
        for tick in &self.y.ticks {
            let at = 100.0 - tick.at;
            let class = if tick.at == 0.0 { "base" } else { "grid" };
            let _ = write!(
                text,
                "<line class=\"{class}\" x1=\"0\" x2=\"100%\" y1=\"{at:.2}%\" y2=\"{at:.2}%\"/>\
                 <text x=\"0\" y=\"{at:.2}%\" dx=\"-8\" dy=\"4\" text-anchor=\"end\">{}</text>",
                tick.label
            );
        }
        // Where there are many, a narrow screen shows every second one.
        let many = self.x.ticks.len() > FEW;
        for (place, tick) in self.x.ticks.iter().enumerate() {
            let class = if many && place % 2 == 1 {
                " class=\"odd\""
            } else {
                ""
            };
            let _ = write!(
                text,
                "<text{class} x=\"{:.2}%\" y=\"100%\" dy=\"20\" text-anchor=\"middle\">{}</text>",
                tick.at, tick.label
            );
        }
        text.push_str(&self.below);
        if !self.curves.is_empty() {
            let _ = write!(
                text,
                "<svg width=\"100%\" height=\"100%\" viewBox=\"0 0 {UNITS} {UNITS}\" \
                 preserveAspectRatio=\"none\" aria-hidden=\"true\">{}</svg>",
                self.curves
            );
        }
        text.push_str(&self.above);
        text.push_str("</svg></div>");
        text
    }
}
