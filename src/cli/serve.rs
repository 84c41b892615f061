//! `quorate serve`: one node, until a signal asks it to stop.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::failure::{Exit, Failure};
use super::output::print_line;
use crate::config::{LogFormat, NodeOverrides};
use crate::{node, telemetry};

const EXAMPLES: &str = "\
Examples:
  quorate serve --config /etc/quorate.toml
  quorate serve --data-dir ./n1 --key secret --client-listen 127.0.0.1:7001 --peer-listen 127.0.0.1:7101
  quorate serve --config /etc/quorate.toml --print-config   what the node would run with

A flag wins over its variable, the variable over the file, the file over the default.
The node prints `ready client=ADDR peer=ADDR [gateway=ADDR] state=waiting|member` when it accepts requests.
A new node waits until `quorate cluster init` or `quorate cluster join` makes it a member.";

/// After the parent is gone, a node that cannot stop in this time is ended.
const ORPHAN_GRACE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, env = "QUORATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the configuration that results, without keys, and exit
    #[arg(long)]
    print_config: bool,
    /// Stop when standard input ends: whoever started this process has gone
    #[arg(long, hide = true)]
    exit_with_parent: bool,
    #[command(flatten)]
    node: NodeOverrides,
}

/// Keys never reach a log.
impl std::fmt::Debug for ServeArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeArgs").field("config", &self.config).finish_non_exhaustive()
    }
}

pub(super) async fn run(args: ServeArgs) -> Result<Exit, Failure> {
    let file = args.config.as_deref().map(NodeOverrides::from_file).transpose()?.unwrap_or_default();
    let overrides = args.node.over(file);
    if args.print_config {
        // Shown before it is judged: who has to correct it wants to see it.
        print_line(overrides.clone().with_defaults().to_toml().trim_end())?;
        overrides.resolve()?;
        return Ok(Exit::Done);
    }
    let config = overrides.resolve()?;
    let format = match config.log.format {
        LogFormat::Text => telemetry::LineFormat::Text,
        LogFormat::Json => telemetry::LineFormat::Json,
    };
    let traces = config.traces.options(&config.client.advertise);
    let traces = traces.as_ref().map(telemetry::Traces::start).transpose();
    let traces = traces.map_err(|error| Failure::usage(error.to_string()))?;
    let started = telemetry::start_logging(&config.log.filter, format, traces.as_ref());
    started.map_err(|error| Failure::new(error.to_string()))?;

    let shutdown = CancellationToken::new();
    stop_on_signals(&shutdown)?;
    if args.exit_with_parent {
        stop_without_parent(shutdown.clone());
    }
    let served = node::serve(config, shutdown).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    served.map(|()| Exit::Done).map_err(|error| Failure::new(error.to_string()))
}

/// The first signal asks for a clean stop; the second is from someone who does not want to wait.
fn stop_on_signals(shutdown: &CancellationToken) -> Result<(), Failure> {
    let watch = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot watch for signals: {error}")));
    let (mut interrupt, mut terminate) = (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                std::process::exit(1);
            }
            asked = true;
            shutdown.cancel();
        }
    });
    Ok(())
}

/// Standard input is a pipe whose other end lives exactly as long as the parent does, however that dies.
fn stop_without_parent(shutdown: CancellationToken) {
    // A plain thread: a read that never returns must not hold up the end of the runtime.
    std::thread::spawn(move || {
        // An error is as good as the end: in both cases nobody is there.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        shutdown.cancel();
        std::thread::sleep(ORPHAN_GRACE);
        std::process::exit(1);
    });
}
