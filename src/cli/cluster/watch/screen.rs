//! The terminal: taken over for as long as a [`Screen`] lives, and given back however it ends.

use std::io::{self, Write as _};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{cursor, execute, queue};
use futures::stream::{BoxStream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::picture::{Line, Span, Tone};
use crate::cli::failure::Failure;

/// How long a thread that waits for keys may outlive the screen.
const LOOK: Duration = Duration::from_millis(100);

/// What a person, or the system, asks of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Quit,
    Resized,
}

/// Whether the terminal is taken over. The hook of a panic asks, and there is one terminal a process.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken over.
pub(super) struct Screen {
    over: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal over; with it come the keys that are pressed.
    pub(super) fn enter() -> Result<(Self, BoxStream<'static, Input>), Failure> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Else the message would be written where nobody sees it.
            give_back();
            before(info);
        }));
        TAKEN.store(true, Ordering::SeqCst);
        let over = Arc::new(AtomicBool::new(false));
        let screen = Self { over: Arc::clone(&over) };
        // Where keys cannot be had one by one, a signal ends it all the same.
        let _ = enable_raw_mode();
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide, DisableLineWrap).map_err(failed)?;
        let (sender, keys) = mpsc::channel(16);
        std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || listen(&over, &sender))
            .map_err(|error| Failure::new(format!("cannot wait for keys: {error}")))?;
        Ok((screen, ReceiverStream::new(keys).boxed()))
    }

    /// Draws the lines, as far as they fit.
    pub(super) fn draw(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let (width, height) = size().unwrap_or((80, 24));
        let mut out = io::stdout().lock();
        queue!(out, BeginSynchronizedUpdate, cursor::MoveTo(0, 0)).map_err(failed)?;
        let last = height.saturating_sub(1);
        for (row, line) in (0..last).zip(lines) {
            queue!(out, cursor::MoveTo(0, row)).map_err(failed)?;
            for (tone, text) in clipped(&line.0, usize::from(width)) {
                paint(&mut out, tone, &text).map_err(failed)?;
            }
            queue!(out, Clear(ClearType::UntilNewLine)).map_err(failed)?;
        }
        let below = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(last);
        queue!(out, cursor::MoveTo(0, below), Clear(ClearType::FromCursorDown)).map_err(failed)?;
        queue!(out, cursor::MoveTo(0, last)).map_err(failed)?;
        paint(&mut out, Tone::Faint, "q quits").map_err(failed)?;
        queue!(out, EndSynchronizedUpdate).map_err(failed)?;
        out.flush().map_err(failed)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        give_back();
    }
}

/// Leaves the terminal as it was. A second time does nothing.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), ResetColor, EnableLineWrap, cursor::Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::new(format!("cannot draw on the terminal: {error}"))
}

fn paint(out: &mut impl io::Write, tone: Tone, text: &str) -> io::Result<()> {
    let colour = match tone {
        Tone::Plain => None,
        Tone::Strong => {
            queue!(out, SetAttribute(Attribute::Bold))?;
            None
        }
        Tone::Faint => Some(Color::DarkGrey),
        Tone::Good => Some(Color::Green),
        Tone::Warning => Some(Color::Yellow),
        Tone::Bad => Some(Color::Red),
    };
    if let Some(colour) = colour {
        queue!(out, SetForegroundColor(colour))?;
    }
    queue!(out, Print(text), SetAttribute(Attribute::Reset), ResetColor)
}

/// The pieces of a line that fit into so many columns.
fn clipped(spans: &[Span], width: usize) -> impl Iterator<Item = (Tone, String)> {
    let pieces = spans.iter().scan(width, |left, span| {
        let text: String = span.text.chars().take(*left).collect();
        *left -= text.chars().count();
        Some((span.tone, text))
    });
    pieces.filter(|(_, text)| !text.is_empty())
}

/// Waits for keys until the screen is over.
fn listen(over: &AtomicBool, inputs: &mpsc::Sender<Input>) {
    while !over.load(Ordering::SeqCst) {
        let read = match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        // Without a keyboard there is nothing to wait for.
        let Ok(event) = read else { return };
        if let Some(input) = input_of(&event)
            && inputs.blocking_send(input).is_err()
        {
            return;
        }
    }
}

fn input_of(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(..) => Some(Input::Resized),
        Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) => match code {
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Input::Quit),
            KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Some(Input::Quit),
            KeyCode::Char('l') if modifiers.contains(KeyModifiers::CONTROL) => Some(Input::Resized),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_edge() {
        let spans = [("abc", Tone::Plain), ("▁▂▃", Tone::Good), ("more", Tone::Bad)]
            .map(|(text, tone)| Span { tone, text: text.to_owned() });
        let fits = |width| clipped(&spans, width).map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(fits(5), ["abc", "▁▂"]);
        assert_eq!(fits(0), Vec::<String>::new());
        assert_eq!(fits(100).concat(), "abc▁▂▃more");
    }

    #[test]
    fn these_keys_end_it() {
        let key = |code, modifiers| input_of(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(input_of(&Event::Resize(1, 1)), Some(Input::Resized));
    }
}
