//! `quorate cluster status --watch`: the cluster, looked at again and again.
//!
//! On a terminal it is a picture that is drawn anew; elsewhere a table, or a line of JSON, each time. A node that does not
//! answer holds up no look for longer than the interval.

mod pace;
mod picture;
mod screen;
mod survey;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream, select};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use pace::{Pace, Tracker};
use picture::{Line, picture};
use screen::{Input, Screen};
use survey::Surveyor;

use super::view::ClusterView;
use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;

pub(super) async fn run(connection: &ConnectionArgs, interval: Duration) -> Result<Exit, Failure> {
    let mut inputs = signals()?;
    let mut surveyor = Surveyor::new(connection, interval)?;
    let mut tracker = Tracker::default();
    // Before there is a first picture, a mistake in the flags or the key is an error like that of any other command.
    let mut look = tokio::select! {
        first = surveyor.look() => Look::of(first?, &mut tracker),
        Some(Input::Quit) = inputs.next() => return Ok(Exit::Done),
    };
    let mut canvas = match io::stdout().is_terminal() && !connection.json {
        true => {
            let (screen, keys) = Screen::enter()?;
            inputs = select(inputs, keys).boxed();
            Canvas::Terminal(screen)
        }
        false => Canvas::Lines { output: Output::new(), json: connection.json },
    };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    canvas.show(&look, interval)?;
    loop {
        let next = async {
            ticks.tick().await;
            surveyor.look().await
        };
        tokio::pin!(next);
        let found = loop {
            tokio::select! {
                found = &mut next => break found,
                Some(input) = inputs.next() => match input {
                    Input::Quit => return Ok(Exit::Done),
                    Input::Resized => canvas.redraw(&look, interval)?,
                },
            }
        };
        match found {
            Ok(view) => look = Look::of(view, &mut tracker),
            Err(failure) => look.problem = Some(failure.message().to_owned()),
        }
        if canvas.show(&look, interval)? == Audience::Gone {
            return Ok(Exit::Done);
        }
    }
}

/// What is known now.
struct Look {
    view: ClusterView,
    pace: Pace,
    /// Why there is nothing newer.
    problem: Option<String>,
}

impl Look {
    fn of(view: ClusterView, tracker: &mut Tracker) -> Self {
        let pace = tracker.take(&view, Instant::now());
        Self { view, pace, problem: None }
    }

    fn lines(&self, interval: Duration) -> Vec<Line> {
        picture(&self.view, &self.pace, self.problem.as_deref(), interval)
    }
}

/// Whether anybody still reads.
#[derive(PartialEq, Eq)]
enum Audience {
    There,
    Gone,
}

/// Where looks are shown.
enum Canvas {
    Terminal(Screen),
    Lines { output: Output, json: bool },
}

impl Canvas {
    fn show(&mut self, look: &Look, interval: Duration) -> Result<Audience, Failure> {
        match self {
            Self::Terminal(screen) => screen.draw(&look.lines(interval))?,
            Self::Lines { output, json: true } => {
                let mut value = look.view.json();
                look.pace.add_to(&mut value);
                value["problem"] = json!(look.problem);
                output.json(&value)?;
                output.flush()?;
            }
            Self::Lines { output, json: false } => {
                for line in look.lines(interval) {
                    output.line(line.plain())?;
                }
                output.line("")?;
                output.flush()?;
            }
        }
        match self {
            Self::Lines { output, .. } if output.is_abandoned() => Ok(Audience::Gone),
            Self::Lines { .. } | Self::Terminal(_) => Ok(Audience::There),
        }
    }

    /// The terminal has another size.
    fn redraw(&mut self, look: &Look, interval: Duration) -> Result<(), Failure> {
        match self {
            Self::Terminal(screen) => screen.draw(&look.lines(interval)),
            Self::Lines { .. } => Ok(()),
        }
    }
}

/// The polite ways to end a program, each an end like that by a key: the terminal must be left as it was.
fn signals() -> Result<BoxStream<'static, Input>, Failure> {
    let mut ends = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut heard = signal(kind).map_err(|error| Failure::new(format!("cannot watch for signals: {error}")))?;
        ends.push(
            stream::once(async move {
                heard.recv().await;
                Input::Quit
            })
            .boxed(),
        );
    }
    Ok(stream::select_all(ends).boxed())
}
