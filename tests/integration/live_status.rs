//! `quorate cluster status --watch`, on a pseudo-terminal and without one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use vt100::{Color, Parser};

use crate::harness::{Cluster, Fault, KEY, binary, eventually, fully, within};

const ROWS: NonZeroU16 = NonZeroU16::new(24).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(120).unwrap();
/// Far above what one look takes, and far below what a dead node could hold up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The command on a terminal of its own, and what that shows.
struct Live {
    child: Child,
    keyboard: File,
    /// Held, so that the terminal outlives the command.
    terminal: OwnedFd,
    shown: Arc<Mutex<Parser>>,
    cooked: LocalFlags,
}

impl Live {
    fn start(endpoint: &str, interval: &str) -> Self {
        let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).expect("the system has pseudo-terminals");
        let slave = || pair.slave.try_clone().expect("a descriptor can be doubled");
        // In a session of its own with this as its terminal, as a shell in a window would have it.
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_quorate"), "cluster", "status", "--watch", "--interval", interval]);
        command
            .args(["--endpoint", endpoint])
            .env("QUORATE_KEY", KEY)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR");
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("setsid is on every Linux");
        let cooked = tcgetattr(&pair.slave).expect("it is a terminal").local_flags;
        let mut master = File::from(pair.master);
        let keyboard = master.try_clone().expect("a descriptor can be doubled");
        let shown = Arc::new(Mutex::new(Parser::new(ROWS, COLUMNS, 0)));
        let parser = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = master.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                parser.lock().process(&bytes[..count]);
            }
        });
        Self { child, keyboard, terminal: pair.slave, shown, cooked }
    }

    fn text(&self) -> String {
        self.shown.lock().screen().contents()
    }

    /// The cells of a node's row, once it has any.
    fn row(&self, node: usize) -> Option<Vec<String>> {
        let text = self.text();
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut rows = text.lines().skip_while(|line| !line.starts_with("NODE")).skip(1).map(cells);
        rows.find(|cells| cells.first().is_some_and(|first| *first == node.to_string()))
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        eventually(what, PATIENCE, async || if holds(self) { Ok(()) } else { Err(self.text()) }).await;
    }

    /// The colour in which a text on the screen begins.
    fn colour_of(&self, text: &str) -> Option<Color> {
        let shown = self.shown.lock();
        let screen = shown.screen();
        let lines: Vec<String> = screen.rows(0, COLUMNS.get()).collect();
        let (row, at) = (0..).zip(&lines).find_map(|(row, line)| Some((row, line.find(text)?)))?;
        let column = u16::try_from(lines[usize::from(row)][..at].chars().count()).expect("within the line");
        screen.cell(row, column).map(vt100::Cell::fgcolor)
    }

    /// Waits for the end, after which the terminal must be as it was.
    async fn ends_well(mut self, how: &str) {
        let child = &mut self.child;
        let status =
            eventually(how, PATIENCE, async || child.try_wait().expect("a child can be asked").ok_or("it runs"));
        assert_eq!(status.await.code(), Some(0), "{how}: {}", self.text());
        self.until("the terminal is given back", |live| {
            let shown = live.shown.lock();
            !shown.screen().alternate_screen() && !shown.screen().hide_cursor()
        })
        .await;
        let now = tcgetattr(&self.terminal).expect("it is a terminal").local_flags;
        assert_eq!(now, self.cooked, "{how}: keys are echoed and lines edited again");
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("a terminal takes keys");
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_lives_and_leaves_the_terminal_as_it_was() {
    let mut cluster = Cluster::form(3).await;
    let mut live = Live::start(&cluster.nodes[0].client_address, "400ms");
    live.until("three nodes", |live| (1..=3).all(|node| live.row(node).is_some_and(|row| row.len() == 11))).await;
    assert!(live.shown.lock().screen().alternate_screen(), "what was on the terminal is kept");
    assert!(live.text().contains("leads"), "{}", live.text());
    let raw = tcgetattr(&live.terminal).expect("it is a terminal").local_flags;
    assert!(!raw.contains(LocalFlags::ECHO), "keys are not echoed into the picture");

    let client = cluster.client(1);
    eventually("checks a second", PATIENCE, async || {
        client.check("document:a#view@user:b", fully()).await.map_err(|error| format!("{error:?}"))?;
        let row = live.row(2).unwrap_or_default();
        let rate: f64 = row.get(7).and_then(|cell| cell.parse().ok()).unwrap_or(0.0);
        if rate > 0.0 { Ok(()) } else { Err(format!("{row:?}")) }
    })
    .await;

    // One that does not answer at all, and then the one that was named: the others are shown all the same.
    cluster.nodes[2].inflict(Fault::Pause);
    live.until("node 3 is silent", |live| live.row(3).is_some_and(|row| row[1..3] == ["no", "answer"])).await;
    assert!(!matches!(live.colour_of("no answer"), None | Some(Color::Default)), "it is coloured");
    cluster.nodes[2].inflict(Fault::Resume);
    live.until("node 3 is back", |live| live.row(3).is_some_and(|row| row.len() == 11)).await;
    cluster.nodes[0].kill();
    live.until("node 1 is silent and another leads", |live| {
        let answers = |node| live.row(node).is_some_and(|row| row.len() == 11);
        let elected = [2, 3].iter().any(|node| live.row(*node).is_some_and(|row| row[1] == "leader"));
        !answers(1) && answers(2) && answers(3) && elected
    })
    .await;

    live.press(b"x");
    live.press(b"q");
    live.ends_well("q").await;
    for ctrl_c in [true, false] {
        let mut live = Live::start(&cluster.nodes[1].client_address, "10s");
        live.until("a picture", |live| live.text().contains("APPLIED")).await;
        if ctrl_c {
            live.press(b"\x03");
        } else {
            let pid = Pid::from_raw(i32::try_from(live.child.id()).expect("ids of processes are small"));
            kill(pid, Signal::SIGTERM).expect("it runs");
        }
        live.ends_well(if ctrl_c { "Ctrl-C" } else { "SIGTERM" }).await;
    }
}

/// A dead node must not hold up the others longer than the interval, whoever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_it_is_a_line_each_time() {
    let mut cluster = Cluster::form(3).await;
    let paused = cluster.others(&[cluster.leader().await])[0];
    let mut command = binary();
    let endpoints = [paused, (paused + 1) % 3].map(|index| cluster.nodes[index].client_address.clone()).join(",");
    command.args(["cluster", "status", "--watch", "--json", "--interval", "500ms", "--endpoint", &endpoints]);
    command.env("QUORATE_KEY", KEY).stdout(Stdio::piped());
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    let mut next = async || -> Value {
        let line = within("the next line", PATIENCE, lines.next_line()).await.expect("it can be read");
        serde_json::from_str(&line.expect("it goes on")).expect("a line is JSON")
    };
    let first = next().await;
    assert_eq!(first["members"].as_array().map(Vec::len), Some(3), "{first}");
    let second = next().await;
    assert!(second["commits_per_second"].is_number() && second["elections_seen"].is_number(), "{second}");
    assert!(second["members"][0]["checks_per_second"].is_number(), "{second}");

    cluster.nodes[paused].inflict(Fault::Pause);
    let silent = |look: &Value| {
        let members = look["members"].as_array().cloned().unwrap_or_default();
        members.iter().filter(|member| member["status"].is_null()).count() == 1
    };
    while !silent(&next().await) {}
    let begin = Instant::now();
    for _ in 0..3 {
        assert!(silent(&next().await), "the others go on answering");
    }
    assert!(begin.elapsed() < PATIENCE / 4, "{:?} for three lines", begin.elapsed());
    cluster.nodes[paused].inflict(Fault::Resume);
    drop(lines);
    let status = eventually("it ends when nobody reads", PATIENCE, async || {
        child.try_wait().expect("a child can be asked").ok_or("it runs")
    })
    .await;
    assert_eq!(status.code(), Some(0));
    cluster.nodes[paused].kill();
}
