//! Which levels of load are run, one after the other.

use super::BenchArgs;
use super::drive::{Load, Measured};

/// Clients of a closed loop, unless told otherwise.
const CLIENTS: usize = 64;
/// Most operations at the same time in an open loop, unless told otherwise.
const AT_ONCE: usize = 512;
/// A sweep begins at this rate, and never goes beyond the other.
const SWEEP: (f64, f64) = (100.0, 1e6);

/// Levels of load.
pub(super) enum Levels {
    Listed(std::vec::IntoIter<Load>),
    /// Doubles until it is too much.
    Sweep {
        rate: f64,
        clients: usize,
    },
}

impl Levels {
    pub(super) fn new(args: &BenchArgs) -> Self {
        let clients: Vec<usize> = args.clients.iter().copied().map(usize::from).collect();
        let at_once = clients.iter().copied().max().unwrap_or(AT_ONCE);
        if args.sweep {
            return Self::Sweep { rate: SWEEP.0, clients: at_once };
        }
        let loads: Vec<Load> = if args.rate.is_empty() {
            let clients = if clients.is_empty() { vec![CLIENTS] } else { clients };
            clients.into_iter().map(|clients| Load::Closed { clients }).collect()
        } else {
            args.rate.iter().map(|rate| Load::Open { rate: f64::from(*rate), clients: at_once }).collect()
        };
        Self::Listed(loads.into_iter())
    }

    /// The next level, after what the last one came to.
    pub(super) fn next(&mut self, last: Option<&Measured>) -> Option<Load> {
        match self {
            Self::Listed(loads) => loads.next(),
            Self::Sweep { rate, clients } => {
                if *rate > SWEEP.1 || last.is_some_and(Measured::is_saturated) {
                    return None;
                }
                let load = Load::Open { rate: *rate, clients: *clients };
                *rate *= 2.0;
                Some(load)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::level;
    use super::*;

    #[test]
    fn a_sweep_doubles_until_it_is_too_much() {
        let mut sweep = Levels::Sweep { rate: 100.0, clients: 8 };
        assert_eq!(sweep.next(None), Some(Load::Open { rate: 100.0, clients: 8 }));
        assert_eq!(sweep.next(Some(&level(100.0, 1000, 10))), Some(Load::Open { rate: 200.0, clients: 8 }));
        assert_eq!(sweep.next(Some(&level(200.0, 1000, 10))), None);
    }
}
