//! Documents with ten direct viewers each.

use rand::RngExt;
use rand::rngs::StdRng;

use super::question::Question;
use super::relationships::edge;
use crate::wire::authzed::v1::Relationship;

const VIEWERS: u64 = 10;
/// The exponent that YCSB made usual.
const ZIPF: f64 = 0.99;

/// The flat part.
#[derive(Debug, Clone)]
pub(in crate::cli::bench) struct Flat {
    documents: u64,
    seed: u64,
}

impl Flat {
    pub(super) fn new(tuples: u64, seed: u64) -> Self {
        Self { documents: (tuples / VIEWERS).max(20), seed }
    }

    pub(super) fn size(&self) -> u64 {
        self.documents * VIEWERS
    }

    /// How many documents there are.
    pub(in crate::cli::bench) fn documents(&self) -> u64 {
        self.documents
    }

    /// Viewers of a document are this far apart, so that the next user after a viewer is none.
    fn stride(&self) -> u64 {
        (self.documents / VIEWERS).max(2)
    }

    fn user(&self, document: u64, viewer: u64, off: u64) -> String {
        let users = self.stride() * VIEWERS;
        let first = (document ^ self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        format!("u{}", (first + viewer * self.stride() + off) % users)
    }

    fn name(document: u64) -> String {
        format!("f{document}")
    }

    pub(super) fn relationships(self) -> impl Iterator<Item = Relationship> + Send {
        (0..self.size()).map(move |at| {
            let (document, viewer) = (at / VIEWERS, at % VIEWERS);
            edge("doc", Self::name(document), "viewer", "user", self.user(document, viewer, 0), "")
        })
    }

    /// Whether one of its viewers may view `document`.
    pub(in crate::cli::bench) fn hit(&self, document: u64, random: &mut StdRng) -> Question {
        self.pair(document, random.random_range(0..VIEWERS))
    }

    /// Whether somebody else may.
    pub(in crate::cli::bench) fn miss(&self, document: u64, random: &mut StdRng) -> Question {
        let user = self.user(document, random.random_range(0..VIEWERS), 1);
        Question::new(Self::name(document), "view", user, false)
    }

    /// How many different hits there are.
    pub(in crate::cli::bench) fn pairs(&self) -> u64 {
        self.size()
    }

    /// Hit number `at`, spread so that neighbours in number are not neighbours on disk.
    pub(in crate::cli::bench) fn nth_pair(&self, at: u64) -> Question {
        self.pair(at % self.documents, at / self.documents % VIEWERS)
    }

    fn pair(&self, document: u64, viewer: u64) -> Question {
        Question::new(Self::name(document), "view", self.user(document, viewer, 0), true)
    }
}

/// How often which document is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::bench) enum Pick {
    /// Each as often as the others.
    Uniform,
    /// The n-th about n^-0.99 times as often as the first.
    Zipf,
    /// Four questions of five about a fifth of them.
    Pareto,
}

/// Picks numbers below a bound.
pub(in crate::cli::bench) struct Picker {
    pick: Pick,
    bound: u64,
    /// Sums of the weights up to each number, for [`Pick::Zipf`].
    sums: Vec<f64>,
}

impl Picker {
    pub(in crate::cli::bench) fn new(pick: Pick, bound: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=bound).map(|rank| {
            sum += (rank as f64).powf(-ZIPF);
            sum
        });
        let sums = if pick == Pick::Zipf { weights.collect() } else { Vec::new() };
        Self { pick, bound, sums }
    }

    pub(in crate::cli::bench) fn pick(&self, random: &mut StdRng) -> u64 {
        let hot = (self.bound / 5).max(1);
        match self.pick {
            Pick::Uniform => random.random_range(0..self.bound),
            Pick::Pareto if random.random_bool(0.8) => random.random_range(0..hot),
            Pick::Pareto => random.random_range(hot.min(self.bound - 1)..self.bound),
            Pick::Zipf => {
                let at = random.random::<f64>() * self.sums.last().copied().unwrap_or_default();
                let rank = self.sums.partition_point(|sum| *sum <= at) as u64;
                // The popular ones are not neighbours on disk.
                rank.min(self.bound - 1).wrapping_mul(0x9E37_79B1) % self.bound
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn picks_are_as_skewed_as_they_say() {
        let mut random = StdRng::seed_from_u64(5);
        for (pick, least, most) in [(Pick::Uniform, 150, 250), (Pick::Pareto, 750, 850), (Pick::Zipf, 650, 850)] {
            let picker = Picker::new(pick, 1000);
            let mut times = vec![0; 1000];
            for _ in 0..100_000 {
                times[usize::try_from(picker.pick(&mut random)).unwrap()] += 1;
            }
            times.sort_unstable_by(|a, b| b.cmp(a));
            let hot: u64 = times[..200].iter().sum::<u64>() / 100;
            assert!((least..most).contains(&hot), "{pick:?}: {hot} of 1000");
        }
    }
}
