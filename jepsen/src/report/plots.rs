//! Latency, rate and memory over time, with a coloured band for each fault.

use std::path::Path;
use std::sync::Once;

use hdrhistogram::Histogram;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::ReportError;
use crate::check::Record;
use crate::history::{FaultKind, Operation, Outcome};

const SIZE: (u32, u32) = (1200, 480);
const FONT: &str = "sans-serif";
const NS_PER_S: f64 = 1e9;
const OK: RGBColor = RGBColor(34, 120, 200);
const FAIL: RGBColor = RGBColor(220, 120, 0);
const INFO: RGBColor = RGBColor(200, 0, 60);

/// A plot.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) png: Vec<u8>,
}

/// Points of one colour.
struct Series {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    lines: bool,
}

/// Draws all plots into files.
pub(super) fn draw(folder: &Path, record: &Record) -> Result<Vec<Plot>, ReportError> {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        // Fails only for bytes that are no font.
        let _ = register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
    });
    let plots: [(&str, &'static str, &str, bool, Vec<Series>); 4] = [
        ("latency-raw.png", "Latency of each operation", "milliseconds", true, raw(record)),
        ("latency-quantiles.png", "Latency, quantiles by second", "milliseconds", true, quantiles(record)),
        ("rate.png", "Operations by second", "operations", false, rate(record)),
        ("memory.png", "Resident memory of each node", "MiB", false, memory(record)),
    ];
    let mut drawn = Vec::new();
    for (name, title, unit, logarithmic, series) in plots {
        let path = folder.join(name);
        chart(&path, title, unit, logarithmic, &series, record)
            .map_err(|error| ReportError::Plot(path.clone(), error.to_string()))?;
        let png = std::fs::read(&path).map_err(|error| ReportError::File(path, error))?;
        drawn.push(Plot { title, png });
    }
    Ok(drawn)
}

fn seconds(time: u64) -> f64 {
    time as f64 / NS_PER_S
}

fn latency_ms(operation: &Operation) -> f64 {
    (operation.end.saturating_sub(operation.start) as f64 / 1e6).max(0.01)
}

fn completed(record: &Record) -> impl Iterator<Item = &Operation> {
    record.operations.iter().filter(|operation| operation.end != u64::MAX)
}

fn raw(record: &Record) -> Vec<Series> {
    let of = |wanted: fn(&Outcome) -> bool| {
        let points = completed(record).filter(|operation| wanted(&operation.outcome));
        points.map(|operation| (seconds(operation.start), latency_ms(operation))).collect()
    };
    vec![
        Series { name: "ok", colour: OK, points: of(|o| matches!(o, Outcome::Ok(_))), lines: false },
        Series { name: "failed", colour: FAIL, points: of(|o| matches!(o, Outcome::Fail(_))), lines: false },
        Series { name: "unknown", colour: INFO, points: of(|o| matches!(o, Outcome::Info(_))), lines: false },
    ]
}

fn quantiles(record: &Record) -> Vec<Series> {
    let last = completed(record).map(|operation| operation.end / 1_000_000_000).max().unwrap_or_default() as usize;
    let mut windows: Vec<Histogram<u64>> = Vec::new();
    windows.resize_with(last + 1, || Histogram::new(3).expect("three digits are allowed"));
    for operation in completed(record).filter(|operation| operation.answer().is_some()) {
        // In microseconds; the histogram grows as it needs.
        let _ = windows[(operation.end / 1_000_000_000) as usize].record((latency_ms(operation) * 1e3) as u64);
    }
    let line = |quantile: f64| {
        let filled = windows.iter().enumerate().filter(|(_, window)| !window.is_empty());
        filled.map(|(second, w)| (second as f64 + 0.5, w.value_at_quantile(quantile) as f64 / 1e3)).collect()
    };
    vec![
        Series { name: "0.5", colour: OK, points: line(0.5), lines: true },
        Series { name: "0.95", colour: FAIL, points: line(0.95), lines: true },
        Series { name: "1", colour: INFO, points: line(1.0), lines: true },
    ]
}

fn rate(record: &Record) -> Vec<Series> {
    let last = completed(record).map(|operation| operation.end / 1_000_000_000).max().unwrap_or_default() as usize;
    let of = |wanted: fn(&Outcome) -> bool| {
        let mut counts = vec![0_u32; last + 1];
        for operation in completed(record).filter(|operation| wanted(&operation.outcome)) {
            counts[(operation.end / 1_000_000_000) as usize] += 1;
        }
        counts.into_iter().enumerate().map(|(second, count)| (second as f64 + 0.5, f64::from(count))).collect()
    };
    vec![
        Series { name: "ok", colour: OK, points: of(|o| matches!(o, Outcome::Ok(_))), lines: true },
        Series { name: "failed", colour: FAIL, points: of(|o| matches!(o, Outcome::Fail(_))), lines: true },
        Series { name: "unknown", colour: INFO, points: of(|o| matches!(o, Outcome::Info(_))), lines: true },
    ]
}

/// Names of nodes and their colours; more nodes than these are not drawn.
const NODES: [(&str, RGBColor); 9] = [
    ("node 1", OK),
    ("node 2", FAIL),
    ("node 3", INFO),
    ("node 4", RGBColor(20, 140, 90)),
    ("node 5", RGBColor(120, 70, 190)),
    ("node 6", RGBColor(110, 110, 110)),
    ("node 7", RGBColor(0, 160, 170)),
    ("node 8", RGBColor(150, 100, 40)),
    ("node 9", RGBColor(200, 90, 160)),
];

fn memory(record: &Record) -> Vec<Series> {
    let of = |number: usize| {
        let seen = record.footprints.iter().filter(|footprint| footprint.node == number);
        seen.map(|footprint| (seconds(footprint.time), footprint.resident_kib as f64 / 1024.0)).collect()
    };
    let nodes = (1..).zip(NODES).take(record.settings.voters + record.settings.learners);
    nodes.map(|(number, (name, colour))| Series { name, colour, points: of(number), lines: true }).collect()
}

/// The colour of a kind of fault.
fn colour_of(kind: FaultKind) -> HSLColor {
    let position = FaultKind::ALL.iter().position(|known| *known == kind).unwrap_or_default();
    HSLColor(position as f64 / FaultKind::ALL.len() as f64, 0.7, 0.6)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn chart(path: &Path, title: &str, unit: &str, logarithmic: bool, series: &[Series], record: &Record) -> Drawn {
    let root = BitMapBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || series.iter().flat_map(|series| &series.points);
    // Room for the legend.
    let right = points().map(|(x, _)| *x).fold(1.0, f64::max) * 1.15;
    let top = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
    // A logarithm by hand keeps one type of chart for both.
    let scale = |y: f64| if logarithmic { y.max(0.01).log10() } else { y };
    let bottom = if logarithmic { scale(0.1) } else { 0.0 };
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 20))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..right, bottom..scale(top))?;
    let mut named: Vec<FaultKind> = Vec::new();
    for fault in &record.faults {
        let (from, until) = (seconds(fault.from), seconds(fault.until).max(seconds(fault.from) + 0.1));
        let style = colour_of(fault.kind).mix(0.3).filled();
        // Two halves, since two faults may go on at the same time.
        let height = scale(top) - bottom;
        let (low, high) = if fault.kind.is_partition() || matches!(fault.kind, FaultKind::Loss | FaultKind::Delay) {
            (0.5, 1.0)
        } else {
            (0.0, 0.5)
        };
        let corners = [(from, bottom + low * height), (until, bottom + high * height)];
        let band = chart.draw_series([Rectangle::new(corners, style)])?;
        if !named.contains(&fault.kind) {
            named.push(fault.kind);
            let square = colour_of(fault.kind).mix(0.6).filled();
            band.label(fault.kind.name()).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], square));
        }
    }
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .x_desc("seconds")
        .y_desc(unit)
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 14))
        .y_label_formatter(&|y| if logarithmic { format!("{:.1}", 10_f64.powf(*y)) } else { format!("{y:.0}") })
        .draw()?;
    for Series { name, colour, points, lines } in series {
        let scaled = points.iter().map(|(x, y)| (*x, scale(*y)));
        let drawn = if *lines {
            chart.draw_series(LineSeries::new(scaled, colour.stroke_width(2)))?
        } else {
            chart.draw_series(scaled.map(|at| Circle::new(at, 1, colour.mix(0.5).filled())))?
        };
        let style = colour.filled();
        drawn.label(*name).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 13))
        .draw()?;
    root.present()?;
    Ok(())
}
