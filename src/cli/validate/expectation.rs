//! One line of a `validation` block: `[user:emil] is <document:1#viewer>/<group:eng#member>`.
//!
//! A line can name whom "everyone" does not stand for: `[user:* - {user:ivo, user:eva[...]}]`. `[...]` says that it hangs
//! on parameters of caveats.

use std::collections::BTreeSet;

use crate::cli::reference::{parse_object_relation, parse_subject};
use crate::model::SubjectRef;
use crate::service::{Place, WithoutSubject};

/// Who is expected, and through which relations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) subject: SubjectRef,
    pub(super) conditional: bool,
    pub(super) excluded: Vec<WithoutSubject>,
    pub(super) places: BTreeSet<Place>,
}

const FORM: &str = "write it as [subject] is <object#relation>, for example [user:emil] is <document:1#viewer>";
const CONDITIONAL: &str = "[...]";

/// Parses one line.
pub(super) fn parse_expected(text: &str) -> Result<Expected, String> {
    let bad_form = || format!("{text:?} is no expected subject; {FORM}");
    let (before, rest) = text.split_once('[').ok_or_else(bad_form)?;
    let (inside, after) = rest.rsplit_once(']').ok_or_else(bad_form)?;
    let after = after.trim();
    let after = if after.is_empty() { after } else { after.strip_prefix("is").ok_or_else(bad_form)? };
    if !before.trim().is_empty() {
        return Err(bad_form());
    }
    let (subject, excluded) = match inside.split_once(" - ") {
        None => (inside, Vec::new()),
        Some((subject, list)) => {
            let list = list.trim().strip_prefix('{').and_then(|list| list.strip_suffix('}')).ok_or_else(bad_form)?;
            (subject, list.split(',').map(without).collect::<Result<_, _>>()?)
        }
    };
    let WithoutSubject { subject, conditional } = without(subject)?;
    Ok(Expected { subject, conditional, excluded, places: places(after).ok_or_else(bad_form)?? })
}

/// A subject, perhaps under conditions.
fn without(text: &str) -> Result<WithoutSubject, String> {
    let text = text.trim();
    let (name, conditional) = match text.strip_suffix(CONDITIONAL) {
        Some(name) => (name, true),
        None => (text, false),
    };
    Ok(WithoutSubject { subject: parse_subject(name).map_err(|error| error.to_string())?, conditional })
}

/// `<a:1#b>/<c:2#d>`; `None` where the brackets are not right.
fn places(text: &str) -> Option<Result<BTreeSet<Place>, String>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Ok(BTreeSet::new()));
    }
    let place = |name: &str| {
        let (object, relation) = parse_object_relation(name).map_err(|error| error.to_string())?;
        Ok(Place { object, relation })
    };
    Some(text.strip_prefix('<')?.strip_suffix('>')?.split(">/<").map(place).collect())
}

/// As a line of a `validation` block has it.
pub(super) fn show(subject: &SubjectRef, conditional: bool) -> String {
    format!("{subject}{}", if conditional { CONDITIONAL } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::validate::judge::line_of;
    use crate::service::Membership;

    #[test]
    fn lines_read_back_as_written() {
        for text in [
            "[user:emil] is <document:1#viewer>",
            "[group:eng#member] is <document:1#viewer>/<group:all#member>",
            "[user:emil[...]] is <document:a/b#viewer>",
            "[user:* - {user:eva[...], user:ivo}] is <document:1#viewer>",
            "[user:*[...] - {user:ivo}] is <document:1#viewer>",
        ] {
            let Expected { subject, conditional, excluded, places } = parse_expected(text).expect(text);
            assert_eq!(line_of(&Membership { subject, conditional, excluded, places }), text);
        }
        assert!(parse_expected(" [ user:emil ] ").expect("no relations").places.is_empty());
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in [
            "",
            "user:emil",
            "[user:emil",
            "[] is <document:1#viewer>",
            "[user:emil] <document:1#viewer>",
            "[user:emil] is document:1#viewer",
            "[user:emil] is <document:1>",
            "[user:* - user:ivo] is <document:1#viewer>",
            "[user:* - {}] is <document:1#viewer>",
            "x [user:emil] is <document:1#viewer>",
        ] {
            assert!(parse_expected(text).is_err(), "{text}");
        }
    }
}
