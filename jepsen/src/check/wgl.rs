//! Is there an order of these calls on one value that explains every answer and agrees with real time? The search of Wing and
//! Gong, with Lowe's memory of what was tried.

use std::collections::HashSet;

/// More calls than this on one value are not searched.
const MOST_CALLS: usize = 256;
/// Nor more configurations.
const MOST_CONFIGURATIONS: usize = 500_000;

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// The value became this.
    Set(String),
    /// The value was `from` and became `to`.
    Swap {
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// The value was this.
    Is(String),
    /// The value was not this.
    IsNot(String),
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Its operation in the history.
    pub(super) operation: u64,
    /// When it began.
    pub(super) start: u64,
    /// When it was over.
    pub(super) end: u64,
    /// Whether it may as well never have happened.
    pub(super) optional: bool,
    /// What it did.
    pub(super) action: Action,
}

/// What the search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is an order.
    Order,
    /// There is none.
    None,
    /// It was given up.
    TooMuch,
}

/// Which calls are in the order so far.
type Done = [u64; MOST_CALLS / 64];

pub(super) fn search(calls: &[Call]) -> Found {
    if calls.len() > MOST_CALLS {
        return Found::TooMuch;
    }
    // Values by number, since configurations are compared often. The first is "never set".
    let mut names = vec![String::new()];
    let mut number = |text: &str| {
        names.iter().position(|known| known == text).unwrap_or_else(|| {
            names.push(text.to_owned());
            names.len() - 1
        })
    };
    let steps: Vec<Step> = calls
        .iter()
        .map(|call| match &call.action {
            Action::Set(to) => Step { needs: Needs::Anything, becomes: Some(number(to)) },
            Action::Swap { from, to } => Step { needs: Needs::Value(number(from)), becomes: Some(number(to)) },
            Action::Is(value) => Step { needs: Needs::Value(number(value)), becomes: None },
            Action::IsNot(value) => Step { needs: Needs::Other(number(value)), becomes: None },
        })
        .collect();

    let mut seen: HashSet<(Done, usize)> = HashSet::new();
    let mut open: Vec<(Done, usize)> = vec![([0; MOST_CALLS / 64], 0)];
    while let Some((done, value)) = open.pop() {
        let left = || (0..calls.len()).filter(|at| !is_done(&done, *at));
        let Some(deadline) = left().filter(|at| !calls[*at].optional).map(|at| calls[at].end).min() else {
            return Found::Order;
        };
        for at in left().filter(|at| calls[*at].start <= deadline) {
            if let Some(next) = steps[at].after(value) {
                let mut with = done;
                with[at / 64] |= 1 << (at % 64);
                if seen.insert((with, next)) {
                    open.push((with, next));
                }
            }
        }
        if seen.len() > MOST_CONFIGURATIONS {
            return Found::TooMuch;
        }
    }
    Found::None
}

fn is_done(done: &Done, at: usize) -> bool {
    done[at / 64] & (1 << (at % 64)) != 0
}

enum Needs {
    Anything,
    Value(usize),
    Other(usize),
}

struct Step {
    needs: Needs,
    becomes: Option<usize>,
}

impl Step {
    /// The value after this step, if it is possible on `value`.
    fn after(&self, value: usize) -> Option<usize> {
        let possible = match self.needs {
            Needs::Anything => true,
            Needs::Value(needed) => value == needed,
            Needs::Other(other) => value != other,
        };
        possible.then(|| self.becomes.unwrap_or(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(start: u64, end: u64, action: Action) -> Call {
        Call { operation: start, start, end, optional: end == u64::MAX, action }
    }

    fn set(value: &str) -> Action {
        Action::Set(value.to_owned())
    }

    fn is(value: &str) -> Action {
        Action::Is(value.to_owned())
    }

    fn swap(from: &str, to: &str) -> Action {
        Action::Swap { from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn orders_are_found_where_there_are_some() {
        let never = u64::MAX;
        let cases: [(&str, Vec<Call>, Found); 8] = [
            ("in turn", vec![call(1, 2, set("a")), call(3, 4, is("a"))], Found::Order),
            ("a stale read", vec![call(1, 2, set("a")), call(3, 4, set("b")), call(5, 6, is("a"))], Found::None),
            ("at the same time", vec![call(1, 2, set("a")), call(3, 6, set("b")), call(4, 5, is("a"))], Found::Order),
            (
                "forth and back",
                vec![call(1, 2, set("a")), call(3, 9, set("b")), call(4, 5, is("b")), call(6, 7, is("a"))],
                Found::None,
            ),
            (
                "an unknown write that was seen",
                vec![call(1, 2, set("a")), call(3, never, swap("a", "b")), call(5, 6, is("a")), call(7, 8, is("b"))],
                Found::Order,
            ),
            (
                "an unknown write that never was",
                vec![call(1, 2, set("a")), call(3, never, swap("a", "b")), call(5, 6, is("a"))],
                Found::Order,
            ),
            (
                "a lost update",
                vec![call(1, 2, set("a")), call(3, 5, swap("a", "b")), call(4, 6, swap("a", "c"))],
                Found::None,
            ),
            (
                "a refusal without a reason",
                vec![call(1, 2, set("a")), call(3, 4, Action::IsNot("a".to_owned()))],
                Found::None,
            ),
        ];
        for (name, calls, expected) in cases {
            assert_eq!(search(&calls), expected, "{name}");
        }
    }

    #[test]
    fn what_is_too_much_is_not_called_wrong() {
        let calls: Vec<Call> = (0..257).map(|n| call(n, n, set("a"))).collect();
        assert_eq!(search(&calls), Found::TooMuch);
    }
}
