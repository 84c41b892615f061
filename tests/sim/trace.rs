//! What happened, in order: kept as a hash where two runs of one seed are compared, and printed where one seed is looked at.
//! Elsewhere nothing is written down: that would be a good part of the work of a run.

/// What is done with what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracing {
    Off,
    Hash,
    Print,
}

pub struct Trace {
    hash: blake3::Hasher,
    tracing: Tracing,
}

impl Trace {
    pub fn new(tracing: Tracing) -> Self {
        Self { hash: blake3::Hasher::new(), tracing }
    }

    pub fn tell(&mut self, now: u64, line: impl FnOnce() -> String) {
        if self.tracing == Tracing::Off {
            return;
        }
        let line = line();
        self.hash.update(&now.to_be_bytes()).update(line.as_bytes());
        if self.tracing == Tracing::Print {
            eprintln!("{now:>7} {line}");
        }
    }

    /// The hash, where there is one.
    pub fn hash(&self) -> Option<String> {
        (self.tracing != Tracing::Off).then(|| self.hash.finalize().to_hex()[..16].to_owned())
    }
}
