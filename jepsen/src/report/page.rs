//! The page: one HTML file that needs nothing beside it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::MutantTable;
use super::figures::{Summary, summary};
use super::plots::Plot;
use crate::check::{Judgement, Record, Validity};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:left;\
vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}th{background:#f3f3f3}img{max-width:100%}\
.valid{color:#0a7d32}.invalid{color:#b3001b}.unknown{color:#a15c00}pre{background:#f6f6f6;padding:.6rem;overflow:auto;\
white-space:pre-wrap}";

pub(super) fn page(record: &Record, judgement: &Judgement, plots: &[Plot], mutants: Option<&MutantTable>) -> String {
    let mut out = String::new();
    let settings = &record.settings;
    let (class, word) = match judgement.valid {
        Validity::Valid => ("valid", "valid"),
        Validity::Invalid => ("invalid", "INVALID"),
        Validity::Unknown => ("unknown", "unknown: too little was seen"),
    };
    // Writing to a string does not fail, here and below.
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{test}: {word}</title><style>{STYLE}</style>\
         <h1>{test}: <span class=\"{class}\">{word}</span></h1>",
        test = escape(&settings.test)
    );
    let mut facts = vec![
        ("command".to_owned(), settings.command.clone()),
        ("seed".to_owned(), settings.seed.to_string()),
        ("topology".to_owned(), format!("{} voters, {} learners", settings.voters, settings.learners)),
        ("seconds under load".to_owned(), settings.seconds.to_string()),
        ("built-in bug".to_owned(), settings.mutant.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    facts.extend(settings.versions.iter().cloned());
    table(&mut out, &["", ""], facts.into_iter().map(|(name, value)| vec![Cell::text(name), Cell::text(value)]));
    if let Some(why) = &settings.incomplete {
        let _ = write!(out, "<h2 class=\"unknown\">The end of the run is not known</h2><pre>{}</pre>", escape(why));
    }
    properties(&mut out, judgement);
    shortfalls(&mut out, judgement);
    let figures = summary(record);
    faults(&mut out, &figures, judgement);
    for plot in plots {
        let data = STANDARD.encode(&plot.png);
        let _ = write!(out, "<h2>{}</h2><img alt=\"{}\" src=\"data:image/png;base64,{data}\">", plot.title, plot.title);
    }
    footprints(&mut out, &figures);
    operations(&mut out, &figures);
    bugs_on_purpose(&mut out, mutants);
    out.push_str("<h2>Not tested here</h2><ul>");
    for line in &settings.not_tested {
        let _ = write!(out, "<li>{}</li>", escape(line));
    }
    out.push_str("</ul></html>\n");
    out
}

fn properties(out: &mut String, judgement: &Judgement) {
    out.push_str(
        "<h2>Properties</h2><p>The bound: with 95 % confidence, violations are no more frequent than this. What trusts \
         indexes takes the cluster's word for which state an answer is of; what does not, sees only requests, answers and \
         times.</p>",
    );
    let rows = judgement.verdicts.iter().map(|verdict| {
        let bound = verdict.upper_bound().map_or("-".to_owned(), |bound| format!("{bound:.1e}"));
        let (property, trusts) = (verdict.property, if verdict.property.trusts_indexes() { "yes" } else { "no" });
        vec![
            Cell::text(property.name()),
            Cell::text(property.statement()),
            Cell::text(trusts),
            Cell::number(verdict.opportunities),
            Cell::number(verdict.violations),
            Cell::text(bound),
            Cell::number(verdict.undecided),
        ]
    });
    let heads = ["property", "what it says", "trusts indexes", "opportunities", "violations", "bound", "undecided"];
    table(out, &heads, rows);
    for verdict in judgement.verdicts.iter().filter(|verdict| !verdict.examples.is_empty()) {
        let _ = write!(out, "<h3 class=\"invalid\">{}</h3><pre>", escape(verdict.property.statement()));
        for anomaly in &verdict.examples {
            let _ = writeln!(out, "{} (operations {:?})", escape(&anomaly.what), anomaly.operations);
        }
        out.push_str("</pre>");
    }
}

fn shortfalls(out: &mut String, judgement: &Judgement) {
    out.push_str("<h2>What was seen</h2>");
    let rows = judgement.counts.iter().map(|(what, count)| {
        let needed = judgement.shortfalls.iter().find(|short| short.what == *what);
        let needed = needed.map_or(String::new(), |short| format!("too few: {} are needed", short.needed));
        vec![Cell::text(what.clone()), Cell::number(*count), Cell::text(needed)]
    });
    let unseen = judgement.shortfalls.iter().filter(|short| !judgement.counts.contains_key(&short.what)).map(|short| {
        vec![Cell::text(short.what.clone()), Cell::number(0), Cell::text(format!("{} are needed", short.needed))]
    });
    table(out, &["", "", ""], rows.chain(unseen));
}

fn faults(out: &mut String, figures: &Summary, judgement: &Judgement) {
    let waits = judgement.counts.get("waits").copied().unwrap_or_default();
    let _ = write!(
        out,
        "<h2>Faults</h2><p>{} leaderships; {} snapshots written or installed, {} times a log was purged; {} changes in the \
         log; {waits} reads came to a node that had not applied their index yet.</p>",
        figures.leaderships, figures.snapshots, figures.purges, figures.log_entries
    );
    let rows = figures.faults.iter().map(|(kind, faults)| {
        let mut times = faults.recovery_ms.clone();
        times.sort_unstable();
        let median = times.get(times.len() / 2).map_or("-".to_owned(), u64::to_string);
        let worst = times.last().map_or("-".to_owned(), u64::to_string);
        vec![
            Cell::text(kind.name()),
            Cell::number(faults.made),
            Cell::number(faults.bit),
            Cell::number(faults.on_leader),
            Cell::text(median),
            Cell::text(worst),
        ]
    });
    let heads =
        ["fault", "made", "bit", "on the leader", "next write acknowledged after (ms, median)", "(ms, longest)"];
    table(out, &heads, rows);
}

fn footprints(out: &mut String, figures: &Summary) {
    out.push_str("<h2>What nodes took up</h2>");
    let rows = figures.footprints.iter().map(|(node, taken)| {
        let numbers =
            [taken.processes, taken.most_kib / 1024, taken.last_kib / 1024, taken.most_files, taken.last_files];
        std::iter::once(Cell::number(*node as u64)).chain(numbers.map(Cell::number)).collect()
    });
    let heads = ["node", "processes", "resident MiB, most", "MiB, in the end", "open files, most", "files, in the end"];
    table(out, &heads, rows);
}

fn operations(out: &mut String, figures: &Summary) {
    out.push_str("<h2>Operations</h2>");
    let rows = figures.operations.iter().map(|(name, outcomes)| {
        let [ok, fail, info] = [outcomes.ok, outcomes.fail, outcomes.info].map(Cell::number);
        vec![Cell::text(name.clone()), ok, fail, info]
    });
    table(out, &["operation", "ok", "failed", "unknown"], rows);
    let reasons = figures.reasons.iter().map(|(reason, count)| vec![Cell::text(reason.clone()), Cell::number(*count)]);
    table(out, &["reason", ""], reasons);
}

fn bugs_on_purpose(out: &mut String, mutants: Option<&MutantTable>) {
    out.push_str("<h2>Bugs on purpose</h2>");
    let Some(mutants) = mutants else {
        out.push_str(
            "<p class=\"unknown\">No table was found in the store: <code>make chaos-mutants</code> makes one.</p>",
        );
        return;
    };
    let (class, word) =
        if mutants.is_in_order() { ("valid", "each was caught") } else { ("invalid", "NOT ALL IN ORDER") };
    let _ = write!(
        out,
        "<p><span class=\"{class}\">{word}</span>: {}, commit {}, <code>{}</code></p>",
        escape(&mutants.time),
        escape(&mutants.commit),
        escape(&mutants.command)
    );
    for (heads, rows) in mutants.parts() {
        table(out, &heads, rows.into_iter().map(|row| row.into_iter().map(Cell::text).collect()));
    }
}

struct Cell {
    text: String,
    is_number: bool,
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_number: false }
    }

    fn number(number: u64) -> Self {
        Self { text: number.to_string(), is_number: true }
    }
}

fn table(out: &mut String, heads: &[&str], rows: impl Iterator<Item = Vec<Cell>>) {
    out.push_str("<table>");
    if heads.iter().any(|head| !head.is_empty()) {
        let cells: String = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
        let _ = write!(out, "<tr>{cells}</tr>");
    }
    for row in rows {
        out.push_str("<tr>");
        for Cell { text, is_number } in row {
            let class = if is_number { " class=\"n\"" } else { "" };
            let _ = write!(out, "<td{class}>{}</td>", escape(&text));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
