//! What one check may spend, and the meter that counts it. Spending more is an error, never an answer; so is work that nobody
//! waits for.

use super::{CheckError, Waiter};

/// Default of [`Budget::max_depth`]. A level costs well under 4 KiB of stack, so that this fits a 16 MiB stack; a test
/// holds it to that.
pub const DEFAULT_MAX_DEPTH: u32 = 4_000;

/// Default of [`Budget::max_steps`]: seconds of work, far above what any honest check reads.
pub const DEFAULT_MAX_STEPS: u64 = 1_000_000;

/// Default of [`Budget::max_caveat_steps`]: under a second of work, and twenty times what one evaluation may take.
pub const DEFAULT_MAX_CAVEAT_STEPS: u64 = 20_000_000;

/// Tuples that are looked up or visited between two looks at whether anyone waits for the answer.
const READS_BETWEEN_GLANCES: u64 = 1024;

/// What one check may spend.
#[derive(Debug, Clone)]
pub struct Budget {
    /// How deeply permissions may nest: each permission or relation counts one, and each operator inside one counts one.
    /// Chains of plain unions (groups in groups, `viewer + parent->view`) are followed without nesting and are not bound
    /// by this.
    pub max_depth: u32,
    /// How many tuples may be looked up or visited.
    pub max_steps: u64,
    /// How many steps the evaluations of all caveats may take together.
    pub max_caveat_steps: u64,
    /// For whom.
    pub waiter: Waiter,
}

impl Default for Budget {
    fn default() -> Self {
        Self::on_behalf_of(Waiter::default())
    }
}

impl Budget {
    /// The default, as long as this one waits.
    #[must_use]
    pub fn on_behalf_of(waiter: Waiter) -> Self {
        Self {
            max_depth: DEFAULT_MAX_DEPTH,
            max_steps: DEFAULT_MAX_STEPS,
            max_caveat_steps: DEFAULT_MAX_CAVEAT_STEPS,
            waiter,
        }
    }
}

/// Counts what a check spends.
#[derive(Debug)]
pub(super) struct Meter {
    budget: Budget,
    depth: u32,
    /// Tuples looked up or visited.
    pub(super) reads: u64,
    /// Relations and permissions of objects that were evaluated.
    pub(super) evaluated: u64,
    /// Steps of evaluations of caveats that are left.
    caveat_steps_left: u64,
}

impl Meter {
    pub(super) fn new(budget: Budget) -> Self {
        Self { depth: 0, reads: 0, evaluated: 0, caveat_steps_left: budget.max_caveat_steps, budget }
    }

    /// One more tuple is about to be looked up, or was visited.
    pub(super) fn read(&mut self) -> Result<(), CheckError> {
        if self.reads >= self.budget.max_steps {
            return Err(CheckError::StepsExceeded { max_steps: self.budget.max_steps });
        }
        // A check that reads little is worth a glance too: many of them may make one request.
        if self.reads.is_multiple_of(READS_BETWEEN_GLANCES) && !self.budget.waiter.waits() {
            return Err(CheckError::GivenUp);
        }
        self.reads += 1;
        Ok(())
    }

    /// Work on a caveat, which takes from the steps that it is given what it takes. Where it leaves nothing, its result is
    /// for want of steps and says nothing.
    pub(super) fn spend_on_caveat<T>(&mut self, work: impl FnOnce(&mut u64) -> T) -> Result<T, CheckError> {
        let result = work(&mut self.caveat_steps_left);
        if self.caveat_steps_left == 0 {
            return Err(CheckError::CaveatStepsExceeded { max_steps: self.budget.max_caveat_steps });
        }
        Ok(result)
    }

    /// Steps that evaluations of caveats took.
    pub(super) fn caveat_steps(&self) -> u64 {
        self.budget.max_caveat_steps - self.caveat_steps_left
    }

    /// One level down. An error ends the whole check, so only success is paired with [`Meter::ascend`].
    pub(super) fn descend(&mut self) -> Result<(), CheckError> {
        if self.depth >= self.budget.max_depth {
            return Err(CheckError::DepthExceeded { max_depth: self.budget.max_depth });
        }
        self.depth += 1;
        Ok(())
    }

    /// One level up.
    pub(super) fn ascend(&mut self) {
        self.depth -= 1;
    }
}
