//! Latency against load, as a page with one drawing: both axes logarithmic, a line for each quantile.

use std::fmt::Write;
use std::time::Duration;

use super::drive::Measured;
use super::report::{Setting, time};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Room for the labels of the axes.
const LEFT: f64 = 80.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 20.0;
const RIGHT: f64 = 90.0;

const LINES: [(f64, &str, &str); 3] = [(0.5, "p50", "#1b7837"), (0.99, "p99", "#2166ac"), (0.999, "p99.9", "#b2182b")];

/// An axis from one power of ten to another.
struct Axis {
    from: f64,
    to: f64,
    /// Where these lie on the drawing.
    at: (f64, f64),
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, at: (f64, f64)) -> Self {
        let (mut least, mut most) = (f64::MAX, f64::MIN);
        for value in values {
            (least, most) = (least.min(value.max(1.0)), most.max(value.max(1.0)));
        }
        let from = least.log10().floor();
        Self { from, to: most.log10().ceil().max(from + 1.0), at }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.max(1.0).log10() - self.from) / (self.to - self.from);
        self.at.0 + part * (self.at.1 - self.at.0)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.from as i32..=self.to as i32).map(|power| 10_f64.powi(power))
    }
}

/// The page.
pub(super) fn page(setting: &Setting, levels: &[Measured]) -> String {
    let title = escape(&setting.line());
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <body style=\"font: 14px sans-serif; margin: 2em\">\n<h1 style=\"font-size: 18px\">{title}</h1>\n{}</body>\n",
        drawing(levels)
    )
}

fn drawing(levels: &[Measured]) -> String {
    let micros = |level: &Measured, part| level.tally.quantile(part).as_micros() as f64;
    let loads = Axis::over(levels.iter().map(Measured::throughput), (LEFT, WIDTH - RIGHT));
    let all = levels.iter().flat_map(|level| LINES.iter().map(move |(part, ..)| micros(level, *part)));
    let times = Axis::over(all, (HEIGHT - BOTTOM, TOP));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n"
    );
    grid(&mut svg, &loads, &times);
    for (part, name, colour) in LINES {
        let points: Vec<(f64, f64)> =
            levels.iter().map(|level| (loads.place(level.throughput()), times.place(micros(level, part)))).collect();
        line(&mut svg, &points, name, colour);
    }
    svg.push_str("</svg>\n");
    svg
}

fn grid(svg: &mut String, loads: &Axis, times: &Axis) {
    let (right, base) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in loads.ticks() {
        let x = loads.place(tick);
        let _ = writeln!(svg, "<path d=\"M{x:.1} {TOP}V{base}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>", base + 18.0);
    }
    for tick in times.ticks() {
        let (y, label) = (times.place(tick), time(Duration::from_micros(tick as u64)));
        let _ = writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, y + 4.0);
    }
    let middle = (LEFT + right) / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">operations a second</text>",
        HEIGHT - 8.0
    );
}

fn line(svg: &mut String, points: &[(f64, f64)], name: &str, colour: &str) {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ =
        writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join(" "));
    for (x, y) in points {
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
    if let Some((x, y)) = points.last() {
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>", x + 8.0, y + 4.0);
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::level;
    use super::*;

    #[test]
    fn more_load_lies_to_the_right_and_more_time_above() {
        let levels = [level(100.0, 1000, 200), level(10_000.0, 100_000, 5000)];
        let svg = drawing(&levels);
        let first = svg.lines().find(|line| line.starts_with("<polyline")).unwrap();
        let points: Vec<f64> =
            first.split('"').nth(1).unwrap().split([' ', ',']).map(|number| number.parse().unwrap()).collect();
        assert!(points[0] < points[2] && points[1] > points[3], "{points:?}");
        assert_eq!(svg.matches("<polyline").count(), 3);
        for text in ["p99.9", "operations a second", ">100<", ">10000<", ">1.00 ms<"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }
}
