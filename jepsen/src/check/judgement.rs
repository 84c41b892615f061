//! All verdicts together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::thresholds::counts;
use super::{Property, Record, Shortfall, Verdict};
use super::{
    certificate, chain, exact, floor, footprint, keys, once, order, processes, register, regranted, replay, swap, watch,
};

/// What a run shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// Enough was seen, and nothing was wrong.
    Valid,
    /// Something was wrong.
    Invalid,
    /// Nothing was wrong, and too little was seen, or the end of it was not.
    Unknown,
}

impl Validity {
    /// The exit code that says so.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
        }
    }
}

/// What a run shows, in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// In a word.
    pub valid: Validity,
    /// Each property.
    pub verdicts: Vec<Verdict>,
    /// What was seen too little of.
    pub shortfalls: Vec<Shortfall>,
    /// What was seen.
    pub counts: BTreeMap<String, u64>,
}

impl Judgement {
    /// The verdict on one property.
    #[must_use]
    pub fn of(&self, property: Property) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| verdict.property == property)
    }
}

/// Judges a run.
#[must_use]
pub fn judge(record: &Record) -> Judgement {
    let mut found = certificate::check(record);
    found.extend(replay::check(record));
    found.extend([
        register::check(record),
        regranted::check(record),
        exact::check(record),
        floor::check(record),
        swap::check(record),
        order::check(record),
        watch::check(record),
        once::check(record),
        keys::check(record),
        chain::check(record),
        processes::check(record),
        footprint::check(record),
    ]);
    // Some properties are judged in several ways.
    let together = |property| {
        found.iter().filter(|part| part.property == property).fold(Verdict::new(property), |mut whole, part| {
            whole.opportunities += part.opportunities;
            whole.violations += part.violations;
            whole.undecided += part.undecided;
            whole.examples.extend(part.examples.iter().cloned());
            whole
        })
    };
    let verdicts: Vec<Verdict> = Property::ALL.into_iter().map(together).collect();
    let counts = counts(record);
    let shortfalls = record.settings.thresholds.shortfalls(&counts, &verdicts);
    let valid = if verdicts.iter().any(|verdict| verdict.violations > 0) {
        Validity::Invalid
    } else if shortfalls.is_empty() && record.settings.incomplete.is_none() && !verdicts.iter().any(is_open) {
        Validity::Valid
    } else {
        Validity::Unknown
    };
    Judgement { valid, verdicts, shortfalls, counts }
}

/// A register whose search was given up may hide anything.
fn is_open(verdict: &Verdict) -> bool {
    verdict.property == Property::Registers && verdict.undecided > 0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::mutants_of;
    use crate::specimen;

    #[test]
    fn what_keeps_every_promise_is_valid_and_every_property_had_its_chance() {
        let mut opportunities: BTreeMap<Property, u64> = BTreeMap::new();
        for seed in 0..60 {
            let judgement = judge(&specimen::clean(seed, 25));
            for verdict in &judgement.verdicts {
                assert_eq!(verdict.violations, 0, "seed {seed}: {verdict:#?}");
                *opportunities.entry(verdict.property).or_default() += verdict.opportunities;
            }
            assert_eq!(judgement.valid, Validity::Valid, "seed {seed}");
        }
        for property in Property::ALL {
            assert!(opportunities[&property] > 10, "{property:?} was hardly at risk: {opportunities:?}");
        }
    }

    #[test]
    fn no_lie_in_a_clean_record_passes() {
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        let mut objected = BTreeSet::new();
        for seed in 0..16 {
            let record = specimen::clean(seed, 12);
            for mutant in mutants_of(&record) {
                let judgement = judge(&mutant.tell(&record));
                assert_eq!(judgement.valid, Validity::Invalid, "seed {seed}: {mutant:?} passed");
                *told.entry(mutant.kind()).or_default() += 1;
                let violated = judgement.verdicts.iter().filter(|verdict| verdict.violations > 0);
                objected.extend(violated.map(|verdict| verdict.property));
            }
        }
        assert_eq!(told.len(), 19, "kinds of lies that were told: {told:?}");
        // A checker that never objects to any of them would not be missed.
        assert_eq!(objected, BTreeSet::from(Property::ALL));
    }

    #[test]
    fn too_little_is_unknown_and_not_valid() {
        let mut record = specimen::clean(1, 10);
        record.settings.thresholds.waits = 5;
        let judgement = judge(&record);
        assert_eq!(judgement.valid, Validity::Unknown);
        assert_eq!(judgement.shortfalls.len(), 1, "{:?}", judgement.shortfalls);
        assert_eq!(Validity::Unknown.exit_code(), 2);
    }
}
