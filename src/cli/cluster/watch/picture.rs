//! A look at the cluster as lines of text, with what is to be red. It must not know where they are drawn.

use std::time::Duration;

use super::pace::{NodePace, Pace};
use crate::cli::cluster::view::{ClusterView, lag_text, short_hash, state_name};
use crate::wire::quorate::v1::status_response::State;
use crate::wire::quorate::v1::{Member, StatusResponse};

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Strong,
    Good,
    Warning,
    Bad,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) tone: Tone,
    pub(super) text: String,
}

impl Span {
    /// What a node says of itself goes to a terminal: nothing in it may be a command.
    fn new(tone: Tone, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self { tone, text: text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line(pub(super) Vec<Span>);

impl Line {
    fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![Span::new(tone, text)])
    }

    /// Without tones.
    pub(super) fn plain(&self) -> String {
        let text: String = self.0.iter().map(|span| span.text.as_str()).collect();
        text.trim_end().to_owned()
    }
}

const HEADINGS: [&str; 11] =
    ["NODE", "STATE", "VOTE", "TERM", "APPLIED", "LAG", "AGE", "CHECKS/S", "WRITES/S", "HASH", "CLIENTS"];
/// Entries behind, and age of the state, from which on a node is late.
const LATE_ENTRIES: u64 = 100;
const LATE_MS: u64 = 2_000;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The whole picture.
pub(super) fn picture(view: &ClusterView, pace: &Pace, problem: Option<&str>, interval: Duration) -> Vec<Line> {
    let asked = view.asked();
    let mut lines = Vec::new();
    if let Some(problem) = problem {
        lines.push(Line::of(Tone::Bad, format!("no node answers, so this is what was known last: {problem}")));
    }
    if asked.state() == State::Waiting {
        lines.push(Line::of(Tone::Plain, "This node waits: it is not a member of any cluster."));
        return lines;
    }
    lines.push(Line(vec![
        Span::new(Tone::Strong, format!("cluster {}", asked.lineage)),
        Span::new(Tone::Plain, format!(", term {}: {}", asked.term, view.leader())),
        Span::new(Tone::Faint, format!("   every {interval:?}")),
    ]));
    let commits = pace.commits.back().map_or_else(|| "-".to_owned(), |rate| rate_text(*rate));
    lines.push(Line(vec![
        Span::new(Tone::Plain, format!("committed {}, {commits} a second ", view.committed())),
        Span::new(Tone::Good, sparkline(pace.commits.iter().copied())),
    ]));
    let elections = if pace.elections > 0 { Tone::Warning } else { Tone::Plain };
    lines.push(Line::of(elections, format!("elections seen {}", pace.elections)));
    if let Some(divergence) = view.divergence() {
        lines.push(Line::of(Tone::Bad, divergence));
    }
    lines.push(Line::default());
    let rows: Vec<_> = view.rows().map(|(member, said)| row(view, pace, member, said)).collect();
    lines.extend(aligned(rows));
    lines
}

fn row(view: &ClusterView, pace: &Pace, member: &Member, said: Option<&StatusResponse>) -> [Span; 11] {
    let committed = view.committed();
    let of = |value: fn(&StatusResponse) -> String| said.map_or_else(|| "-".to_owned(), value);
    let NodePace { checks, writes } = pace.nodes.get(&member.node_id).copied().unwrap_or_default();
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), rate_text);
    let (state, tone) = match said {
        None => ("no answer", Tone::Bad),
        Some(said) => (state_name(said.state()), state_tone(said.state())),
    };
    let age = said.and_then(|said| said.state_age_ms);
    let is_late = said.is_none_or(|said| committed.saturating_sub(said.applied_index) > LATE_ENTRIES);
    let differs = said.is_some_and(|said| {
        let mut others = view.rows().filter_map(|(_, other)| other);
        others.any(|other| other.applied_index == said.applied_index && other.state_hash != said.state_hash)
    });
    let when = |is: bool, tone: Tone| if is { tone } else { Tone::Plain };
    [
        Span::new(tone, member.node_id.to_string()),
        Span::new(tone, state),
        Span::new(Tone::Plain, if member.voter { "yes" } else { "no" }),
        Span::new(Tone::Plain, of(|said| said.term.to_string())),
        Span::new(Tone::Plain, of(|said| said.applied_index.to_string())),
        Span::new(when(is_late, Tone::Warning), lag_text(committed, member, said)),
        Span::new(
            when(age.is_some_and(|age| age > LATE_MS), Tone::Warning),
            age.map_or_else(|| "-".to_owned(), age_text),
        ),
        Span::new(Tone::Plain, rate(checks)),
        Span::new(Tone::Plain, rate(writes)),
        Span::new(when(differs, Tone::Bad), of(short_hash)),
        Span::new(Tone::Faint, member.client_address.clone()),
    ]
}

fn state_tone(state: State) -> Tone {
    match state {
        State::Leader => Tone::Good,
        State::Candidate | State::Unspecified | State::Waiting => Tone::Warning,
        State::Faulted | State::Removed => Tone::Bad,
        State::Follower | State::Learner => Tone::Plain,
    }
}

/// The rows under their headings, each column as wide as its widest cell.
fn aligned(rows: Vec<[Span; 11]>) -> impl Iterator<Item = Line> {
    let headings = HEADINGS.map(|heading| Span::new(Tone::Faint, heading));
    let rows: Vec<_> = std::iter::once(headings).chain(rows).collect();
    let length = |span: &Span| span.text.chars().count();
    let width = |column: usize| rows.iter().map(|row| length(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    rows.into_iter().map(move |row| {
        let cells = row.into_iter().zip(widths.clone()).map(|(mut span, width)| {
            let missing = width - length(&span);
            span.text.push_str(&" ".repeat(missing + 2));
            span
        });
        Line(cells.collect())
    })
}

fn sparkline(values: impl Iterator<Item = f64> + Clone) -> String {
    let most = values.clone().fold(1.0, f64::max);
    let top = (BARS.len() - 1) as f64;
    // From 0 to 7, whatever the value: a cast of a float saturates.
    values.map(|value| BARS[((value / most * top).round() as usize).min(BARS.len() - 1)]).collect()
}

fn rate_text(rate: f64) -> String {
    if rate == 0.0 || rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

fn age_text(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..120_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{}min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn said(node_id: u64, applied_index: u64, hash: &str) -> StatusResponse {
        StatusResponse {
            node_id,
            state: if node_id == 1 { State::Leader } else { State::Follower }.into(),
            lineage: "ab".to_owned(),
            term: 3,
            leader_id: 1,
            applied_index,
            committed_index: applied_index,
            state_hash: hash.to_owned(),
            state_age_ms: Some(80),
            ..StatusResponse::default()
        }
    }

    fn view(each: Vec<Option<StatusResponse>>) -> ClusterView {
        let members = (1..).zip(&each).map(|(node_id, _)| Member {
            node_id,
            client_address: format!("node-{node_id}:1\x1b[31m"),
            voter: true,
            matched_index: Some(5),
            ..Member::default()
        });
        ClusterView::new(StatusResponse { members: members.collect(), ..said(1, 12, "aa") }, each)
    }

    fn tone_of<'a>(lines: &'a [Line], text: &str) -> Option<&'a Tone> {
        lines.iter().flat_map(|line| &line.0).find(|span| span.text.trim_end() == text).map(|span| &span.tone)
    }

    #[test]
    fn everything_has_its_place() {
        let view = view(vec![Some(said(1, 12, "aa")), None, Some(said(3, 12, "bb"))]);
        let nodes = BTreeMap::from([(1, NodePace { checks: Some(120.4), writes: Some(2.5) })]);
        let pace = Pace { commits: [0.0, 4.0, 8.0].into(), elections: 1, nodes };
        let lines = picture(&view, &pace, Some("gone\x07"), Duration::from_secs(2));
        let plain: Vec<String> = lines.iter().map(Line::plain).collect();
        let expected = [
            "no node answers, so this is what was known last: gone",
            "cluster ab, term 3: node 1 leads   every 2s",
            "committed 12, 8.0 a second ▁▅█",
            "elections seen 1",
            "nodes 1 and 3 differ at log index 12: their states are not the same",
            "",
            "NODE  STATE      VOTE  TERM  APPLIED  LAG      AGE   CHECKS/S  WRITES/S  HASH  CLIENTS",
            "1     leader     yes   3     12       0        80ms  120       2.5       aa    node-1:1 [31m",
            "2     no answer  yes   -     -        7 (log)  -     -         -         -     node-2:1 [31m",
            "3     follower   yes   3     12       0        80ms  -         -         bb    node-3:1 [31m",
        ];
        assert_eq!(plain, expected);
        for (text, tone) in [("leader", Tone::Good), ("no answer", Tone::Bad), ("aa", Tone::Bad), ("bb", Tone::Bad)] {
            assert_eq!(tone_of(&lines, text), Some(&tone), "{text}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (ms, text) in [(999, "999ms"), (1_000, "1.0s"), (119_999, "119.9s"), (120_000, "2min")] {
            assert_eq!(age_text(ms), text);
        }
        assert_eq!([0.0, 0.04, 9.94, 1234.5].map(rate_text), ["0", "0.0", "9.9", "1234"]);
        assert_eq!(sparkline([0.0, f64::NAN, f64::INFINITY].into_iter()).chars().count(), 3);
    }
}
