//! What qualifies a tuple, judged under the circumstances of one request: whether it is there at all, and whether its caveat
//! holds.
//!
//! A caveat that cannot be judged, for want of parameters or because it fails, is neither true nor false. What that means
//! for a decision is not known here.

use std::collections::{BTreeSet, HashMap};

use crate::caveat::{Context, Outcome};
use crate::engine::budget::Meter;
use crate::engine::explanation::{CaveatProof, CaveatResult, Standing, TupleProof};
use crate::engine::plan::Plan;
use crate::engine::{CheckError, Circumstances};
use crate::model::{CaveatUse, Qualifiers, TimestampMs};
use crate::store::TupleRow;

use super::objects::Mode;

/// Bytes of stored contexts whose verdicts are remembered; past it, they are judged each time anew.
const REMEMBERED_BYTES: usize = 4 << 20;

/// What reading a stored context costs.
const CONTEXT_BYTES_PER_STEP: u64 = 4;

/// Whether a tuple counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does.
    True,
    /// It does not: its caveat is false.
    False,
    /// Its caveat cannot be judged: parameters are missing, or it failed.
    Open,
}

impl Verdict {
    /// Whether the tuple counts in `mode`.
    pub(super) fn counts(self, mode: Mode) -> bool {
        match self {
            Self::True => true,
            Self::False => false,
            Self::Open => mode == Mode::Possible,
        }
    }
}

/// The earlier of two times, where there are any.
pub(in crate::engine) fn earlier(one: Option<TimestampMs>, other: Option<TimestampMs>) -> Option<TimestampMs> {
    one.into_iter().chain(other).min()
}

/// Judges tuples, and remembers what it judged.
#[derive(Debug)]
pub(super) struct Conditions<'a> {
    plan: &'a Plan,
    circumstances: &'a Circumstances,
    /// By caveat, then by stored context.
    verdicts: HashMap<String, HashMap<String, Verdict>>,
    remembered_bytes: usize,
    /// Whether any tuple was met whose caveat could not be judged.
    met_open: bool,
    /// The first time at which something that was met expires.
    next_expiry: Option<TimestampMs>,
}

impl<'a> Conditions<'a> {
    pub(super) fn new(plan: &'a Plan, circumstances: &'a Circumstances) -> Self {
        Self { plan, circumstances, verdicts: HashMap::new(), remembered_bytes: 0, met_open: false, next_expiry: None }
    }

    /// The same for an evaluation that has met nothing yet.
    pub(super) fn for_another_subject(self) -> Self {
        Self { met_open: false, ..self }
    }

    /// Whether a tuple was met that makes certain and possible answers differ.
    pub(super) fn met_open(&self) -> bool {
        self.met_open
    }

    /// The first time at which something that was met expires, for any subject. Until then, every verdict stands.
    pub(super) fn next_expiry(&self) -> Option<TimestampMs> {
        self.next_expiry
    }

    /// Whether a tuple counts; `None` where it has expired, and so is not there.
    pub(super) fn judge(&mut self, qualifiers: &Qualifiers, meter: &mut Meter) -> Result<Option<Verdict>, CheckError> {
        if qualifiers.expired(self.circumstances.now) {
            return Ok(None);
        }
        self.next_expiry = earlier(self.next_expiry, qualifiers.expires_at);
        let Some(caveat) = &qualifiers.caveat else { return Ok(Some(Verdict::True)) };
        let known =
            self.verdicts.get(&caveat.name).and_then(|by_context| by_context.get(&caveat.context_json)).copied();
        let verdict = match known {
            Some(verdict) => verdict,
            None => self.judge_anew(caveat, meter)?,
        };
        self.met_open |= verdict == Verdict::Open;
        Ok(Some(verdict))
    }

    fn judge_anew(&mut self, caveat: &CaveatUse, meter: &mut Meter) -> Result<Verdict, CheckError> {
        let verdict = match self.evaluate(caveat, meter)? {
            Ok(Outcome::True) => Verdict::True,
            Ok(Outcome::False) => Verdict::False,
            Ok(Outcome::Missing(_)) | Err(_) => Verdict::Open,
        };
        let bytes = caveat.name.len() + caveat.context_json.len();
        if self.remembered_bytes + bytes <= REMEMBERED_BYTES {
            self.remembered_bytes += bytes;
            self.verdicts.entry(caveat.name.clone()).or_default().insert(caveat.context_json.clone(), verdict);
        }
        Ok(verdict)
    }

    /// What keeps the verdict on a tuple open: the parameters that are missing, or the failure.
    pub(super) fn missing(&self, qualifiers: &Qualifiers, meter: &mut Meter) -> Result<BTreeSet<String>, CheckError> {
        let Some(caveat) = &qualifiers.caveat else { return Ok(BTreeSet::new()) };
        match self.evaluate(caveat, meter)?? {
            Outcome::True | Outcome::False => Ok(BTreeSet::new()),
            Outcome::Missing(names) => Ok(names),
        }
    }

    /// A tuple as an explanation shows it.
    pub(super) fn explain(&mut self, row: TupleRow, meter: &mut Meter) -> Result<TupleProof, CheckError> {
        let verdict = self.judge(&row.tuple.qualifiers, meter)?;
        let caveat = row.tuple.qualifiers.caveat.as_ref();
        let caveat = caveat.map(|caveat| self.explain_caveat(caveat, meter)).transpose()?;
        Ok(TupleProof {
            written_at: row.written_at,
            expires_at: row.tuple.qualifiers.expires_at,
            expired: verdict.is_none(),
            caveat,
            standing: match verdict {
                Some(Verdict::True) => Standing::True,
                Some(Verdict::Open) => Standing::Open,
                Some(Verdict::False) | None => Standing::False,
            },
            key: row.tuple.key,
        })
    }

    fn explain_caveat(&self, caveat: &CaveatUse, meter: &mut Meter) -> Result<CaveatProof, CheckError> {
        let result = match self.evaluate(caveat, meter)? {
            Ok(Outcome::True) => CaveatResult::True,
            Ok(Outcome::False) => CaveatResult::False,
            Ok(Outcome::Missing(names)) => CaveatResult::Missing(names.into_iter().collect()),
            Err(error) => CaveatResult::Failed(error.to_string()),
        };
        let compiled = self.plan.caveat(&caveat.name);
        let stored = Context::from_json_text(&caveat.context_json).unwrap_or_default();
        let known = stored.merge(&self.circumstances.context);
        let parameters = compiled.into_iter().flat_map(|caveat| caveat.parameters().keys());
        let values = parameters.filter_map(|name| Some((name.clone(), known.get(name)?.clone())));
        Ok(CaveatProof {
            name: caveat.name.clone(),
            expression: compiled.map(|caveat| caveat.expression().to_owned()).unwrap_or_default(),
            context: Context::from_map(values.collect()).expect("values of a context make a context"),
            result,
        })
    }

    /// The inner error is the caveat's own, and decides nothing; the outer one ends the check.
    fn evaluate(&self, caveat: &CaveatUse, meter: &mut Meter) -> Result<Result<Outcome, CheckError>, CheckError> {
        meter.spend_on_caveat(|steps| self.evaluate_within(caveat, steps))
    }

    fn evaluate_within(&self, caveat: &CaveatUse, steps: &mut u64) -> Result<Outcome, CheckError> {
        *steps = steps.saturating_sub(1 + caveat.context_json.len() as u64 / CONTEXT_BYTES_PER_STEP);
        let Some(compiled) = self.plan.caveat(&caveat.name) else {
            return Err(CheckError::UnknownCaveat { name: caveat.name.clone() });
        };
        let stored = match caveat.context_json.as_str() {
            "" => Ok(Context::new()),
            text => Context::from_json_text(text),
        };
        let stored = stored.map_err(|source| CheckError::StoredContext { caveat: caveat.name.clone(), source })?;
        Ok(compiled.evaluate_within(&stored, &self.circumstances.context, steps)?)
    }
}
