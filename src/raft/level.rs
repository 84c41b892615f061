//! Feature levels: what a whole cluster may rely on, while its nodes run different versions of the program.
//!
//! A level is a promise about replicated bytes. A command that a program below some level would not apply, or would apply
//! otherwise, is proposed only once the *state* has that level ([`CommandBody::level`](super::CommandBody::level)), and the
//! state gets it by a command of its own, when every member supports it. So no two versions ever apply the same entry to
//! different effect. A level is never lowered: what was written under it may mean nothing to a program below it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A feature level. Numbers are append-only; what each brings stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FeatureLevel(u32);

impl FeatureLevel {
    /// Everything that was there before there were levels. A state that names none has this one.
    pub const FIRST: Self = Self(1);
    /// Where nodes are, and the home region, are replicated.
    pub const LOCALITIES: Self = Self(2);

    /// By its number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FeatureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The levels that a program can be a member at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportedLevels {
    /// The first of them.
    pub lowest: FeatureLevel,
    /// The last of them.
    pub highest: FeatureLevel,
}

impl SupportedLevels {
    /// What a program that announces nothing supports: it is of before there were levels.
    pub const UNANNOUNCED: Self = Self { lowest: FeatureLevel::FIRST, highest: FeatureLevel::FIRST };
    /// What this program is written for.
    pub(super) const OURS: Self = Self { lowest: FeatureLevel::FIRST, highest: FeatureLevel::LOCALITIES };

    /// Those of this program. Builds with debug assertions lower the highest one to `QUORATE_MAX_FEATURE_LEVEL`, so that a test
    /// can have a cluster of mixed versions out of one program; in a release the variable means nothing.
    #[must_use]
    pub fn of_this_program() -> Self {
        let highest = if cfg!(debug_assertions) { max_of_test() } else { None };
        Self { highest: highest.unwrap_or(Self::OURS.highest), ..Self::OURS }
    }

    /// Whether a program that supports these can be a member at `level`.
    #[must_use]
    pub fn include(self, level: FeatureLevel) -> bool {
        (self.lowest..=self.highest).contains(&level)
    }
}

fn max_of_test() -> Option<FeatureLevel> {
    let number = std::env::var("QUORATE_MAX_FEATURE_LEVEL").ok()?.parse().ok()?;
    Some(FeatureLevel(number))
}

impl fmt::Display for SupportedLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.lowest, self.highest)
    }
}
