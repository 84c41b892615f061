//! Being asked to stop: by Ctrl-C, or by whoever runs this as a service.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::failure::Failure;

/// Hears of it from when it was made.
pub(super) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
    was_asked: bool,
}

impl Interrupt {
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            was_asked: false,
        })
    }

    /// Returns once it was asked for, and from then on at once.
    pub(super) async fn asked(&mut self) {
        if !self.was_asked {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            self.was_asked = true;
        }
    }
}
