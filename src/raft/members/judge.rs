//! What may be done to the members: of plain values, so that every case can be written down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::change::ChangeError;
use super::roster::Roster;
use crate::raft::network::Announcement;
use crate::raft::{FeatureLevel, SupportedLevels};

/// Log entries that the next leader may lack when a transfer begins: so many are sent within the pause of the writes.
const TRANSFER_LAG: u64 = 1_000;
/// Log entries that a learner may lack when it gets a vote: until it has them, commits may wait for it.
const VOTER_LAG: u64 = 1_000;

/// Who is to lead; `None` where that node leads already. Where nobody is named, one at home goes before the others.
pub(super) fn successor(
    roster: &Roster,
    to: Option<u64>,
    is_home: impl Fn(u64) -> bool,
) -> Result<Option<u64>, ChangeError> {
    let Some(node_id) = to else {
        if let Some(at_home) = successor_at_home(roster, is_home) {
            return Ok(Some(at_home));
        }
        let most = most_of_the_log(roster, |_| true).ok_or(ChangeError::NoOtherVoter)?;
        return ready(roster, most).map(Some);
    };
    if !roster.standings.contains_key(&node_id) {
        return Err(ChangeError::UnknownNode { node_id });
    }
    if !roster.voters.contains(&node_id) {
        return Err(ChangeError::NotVoter { node_id });
    }
    if node_id == roster.me {
        return Ok(None);
    }
    ready(roster, node_id).map(Some)
}

/// The voter at home that could lead at once.
pub(super) fn successor_at_home(roster: &Roster, is_home: impl Fn(u64) -> bool) -> Option<u64> {
    most_of_the_log(roster, |id| is_home(id) && ready(roster, id).is_ok())
}

/// Of the other voters, the one with most of the log; of equals the lowest id, so that the same question has the same answer.
fn most_of_the_log(roster: &Roster, is_meant: impl Fn(u64) -> bool) -> Option<u64> {
    let others = roster.standings.iter().filter(|(id, _)| **id != roster.me && roster.voters.contains(id));
    let meant = others.filter(|(id, _)| is_meant(**id));
    let most = meant.max_by_key(|(id, standing)| (standing.answers, standing.matched, std::cmp::Reverse(**id)));
    most.map(|(id, _)| *id)
}

fn ready(roster: &Roster, node_id: u64) -> Result<u64, ChangeError> {
    answers(roster, node_id)?;
    match roster.behind(node_id) {
        entries if entries > TRANSFER_LAG => Err(ChangeError::Behind { node_id, entries }),
        _ => Ok(node_id),
    }
}

/// Whether the member has answered lately.
pub(super) fn answers(roster: &Roster, node_id: u64) -> Result<(), ChangeError> {
    match roster.standings.get(&node_id) {
        Some(standing) if standing.answers => Ok(()),
        Some(_) | None => Err(ChangeError::NotAnswering { node_id }),
    }
}

/// Whether the member lacks so little that it can have a vote.
pub(super) fn caught_up(roster: &Roster, node_id: u64) -> Result<(), ChangeError> {
    match roster.behind(node_id) {
        entries if entries > VOTER_LAG => Err(ChangeError::Behind { node_id, entries }),
        _ => Ok(()),
    }
}

/// Whether a majority answers, of the voters now and of those that are to be: a change between them needs both. An answer
/// counts to a message sent at `since` or later: whoever died a moment ago has answered lately.
pub(super) fn keeps_quorum(roster: &Roster, next: &BTreeSet<u64>, since: Instant) -> Result<(), ChangeError> {
    if next.is_empty() {
        return Err(ChangeError::LastVoter);
    }
    for voters in [&roster.voters, next] {
        let answering: BTreeSet<u64> = voters.iter().copied().filter(|id| answers_since(roster, *id, since)).collect();
        if answering.len() * 2 <= voters.len() {
            return Err(ChangeError::QuorumAtRisk { voters: voters.clone(), answering });
        }
    }
    Ok(())
}

/// Whether the member may get a vote; one that has it keeps it.
pub(super) fn may_vote(roster: &Roster, node_id: u64, since: Instant) -> Result<(), ChangeError> {
    let mut next = roster.voters.clone();
    if !next.insert(node_id) {
        return Ok(());
    }
    if !answers_since(roster, node_id, since) {
        return Err(ChangeError::NotAnswering { node_id });
    }
    keeps_quorum(roster, &next, since)
}

/// Whether every member supports `level`, by what each said in answer to a message sent at `since` or later.
pub(super) fn supports(
    roster: &Roster,
    own: SupportedLevels,
    heard: &BTreeMap<u64, (Instant, Announcement)>,
    level: FeatureLevel,
    since: Instant,
) -> Result<(), ChangeError> {
    for node_id in roster.standings.keys().copied() {
        let said = heard.get(&node_id).filter(|(asked, _)| *asked >= since).map(|(_, said)| said.levels);
        let supported = if node_id == roster.me { Some(own) } else { said };
        let supported = supported.ok_or(ChangeError::NotAnswering { node_id })?;
        if !supported.include(level) {
            return Err(ChangeError::LevelUnsupported { node_id, supported, level });
        }
    }
    Ok(())
}

fn answers_since(roster: &Roster, node_id: u64, since: Instant) -> bool {
    let heard = roster.standings.get(&node_id).and_then(|standing| standing.heard);
    node_id == roster.me || (answers(roster, node_id).is_ok() && heard.is_some_and(|heard| heard >= since))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::raft::members::roster::Standing;

    const END: u64 = 10_000;

    /// Node 1 leads. `(id, votes, matched, answers)` for the others, whose last answers were to messages sent at `heard`.
    fn roster_at(heard: Instant, others: &[(u64, bool, u64, bool)]) -> Roster {
        let leader = (1, true, END, true);
        let all = || others.iter().chain([&leader]);
        Roster {
            me: 1,
            leads: true,
            term: 3,
            last_log: END,
            joint: false,
            voters: all().filter(|(_, votes, ..)| *votes).map(|(id, ..)| *id).collect(),
            standings: all()
                .map(|&(id, _, matched, answers)| {
                    (id, Standing { matched, answers, heard: (id != 1).then_some(heard) })
                })
                .collect(),
        }
    }

    fn roster(others: &[(u64, bool, u64, bool)]) -> Roster {
        roster_at(Instant::now(), others)
    }

    #[test]
    fn leadership_goes_to_a_voter_that_answers_and_has_the_log() {
        let members = roster(&[(2, true, END, true), (3, true, END - 1, true), (4, false, END, true)]);
        let cases = [
            (Some(2), Ok(Some(2))),
            (Some(3), Ok(Some(3))),
            (Some(1), Ok(None)),
            (Some(4), Err(ChangeError::NotVoter { node_id: 4 })),
            (Some(9), Err(ChangeError::UnknownNode { node_id: 9 })),
            (None, Ok(Some(2))),
        ];
        for (to, expected) in cases {
            assert_eq!(successor(&members, to, |_| true), expected, "{to:?}");
        }
    }

    #[test]
    fn a_voter_that_is_behind_or_silent_does_not_get_to_lead() {
        let edge = END - TRANSFER_LAG;
        for (matched, answers, expected) in [
            (edge, true, Ok(Some(2))),
            (edge - 1, true, Err(ChangeError::Behind { node_id: 2, entries: TRANSFER_LAG + 1 })),
            (END, false, Err(ChangeError::NotAnswering { node_id: 2 })),
        ] {
            let members = roster(&[(2, true, matched, answers)]);
            assert_eq!(successor(&members, Some(2), |_| true), expected);
            assert_eq!(successor(&members, None, |_| true), expected, "nobody else is there to choose");
        }
        let one_is_silent = roster(&[(2, true, END, false), (3, true, END - 5, true), (4, true, END - 5, true)]);
        assert_eq!(successor(&one_is_silent, None, |_| true), Ok(Some(3)));
        let no_voter = roster(&[(2, false, END, true)]);
        assert_eq!(successor(&no_voter, None, |_| true), Err(ChangeError::NoOtherVoter));
    }

    #[test]
    fn one_at_home_goes_before_the_others_if_it_could_lead() {
        let members =
            roster(&[(2, true, END, true), (3, true, END - 5, true), (4, true, END - 9, true), (5, false, END, true)]);
        let at = |home: &'static [u64]| move |id| home.contains(&id);
        for (home, at_home, any) in
            [(&[3, 4, 5][..], Some(3), 3), (&[4], Some(4), 4), (&[5], None, 2), (&[1], None, 2), (&[], None, 2)]
        {
            assert_eq!(successor_at_home(&members, at(home)), at_home, "{home:?}");
            assert_eq!(successor(&members, None, at(home)), Ok(Some(any)), "{home:?}");
        }
        let late = roster(&[(2, true, END, true), (3, true, 0, true), (4, true, END, false)]);
        assert_eq!(successor_at_home(&late, at(&[3, 4])), None, "one is behind, and one does not answer");
        assert_eq!(successor(&late, None, at(&[3, 4])), Ok(Some(2)));
    }

    #[test]
    fn a_change_needs_a_majority_that_answers_before_and_after_it() {
        // Voters that are silent, voters, those afterwards, and whether it may be done.
        type Case = (&'static [u64], &'static [u64], &'static [u64], bool);
        let cases: [Case; 12] = [
            (&[], &[1, 2, 3], &[1, 2], true),
            (&[], &[1, 2, 3], &[1, 2, 3, 4], true),
            (&[3], &[1, 2, 3], &[1, 2], true),
            (&[3], &[1, 2, 3], &[1, 3], false),
            (&[3], &[1, 2, 3], &[1, 2, 3, 4], true),
            (&[3, 4], &[1, 2, 3], &[1, 2, 3, 4], false),
            (&[], &[1, 2], &[1], true),
            (&[2], &[1, 2], &[1], false),
            (&[2], &[1], &[1, 2], false),
            (&[4, 5], &[1, 2, 3, 4, 5], &[1, 2, 3, 4], true),
            (&[4, 5], &[1, 2, 3, 4, 5], &[1, 3, 4, 5], false),
            (&[2, 3], &[1, 2, 3], &[1], false),
        ];
        for (silent, voters, next, allowed) in cases {
            let others: Vec<_> = (2..=5).map(|id| (id, voters.contains(&id), END, !silent.contains(&id))).collect();
            let asked = Instant::now();
            let judged = keeps_quorum(&roster_at(asked, &others), &next.iter().copied().collect(), asked);
            assert_eq!(judged.is_ok(), allowed, "silent {silent:?}, {voters:?} to {next:?}: {judged:?}");
        }
        assert_eq!(keeps_quorum(&roster(&[]), &BTreeSet::new(), Instant::now()), Err(ChangeError::LastVoter));
    }

    #[test]
    fn only_answers_since_the_question_count_towards_a_quorum() {
        let heard = Instant::now();
        let asked = heard + Duration::from_millis(1);
        let members = [(2, true, END, true), (3, true, END, true)];
        let next = BTreeSet::from([1, 2]);
        assert_eq!(keeps_quorum(&roster_at(asked, &members), &next, asked), Ok(()));
        let (voters, answering) = (BTreeSet::from([1, 2, 3]), BTreeSet::from([1]));
        let refused = Err(ChangeError::QuorumAtRisk { voters, answering });
        assert_eq!(keeps_quorum(&roster_at(heard, &members), &next, asked), refused);
        assert_eq!(keeps_quorum(&roster_at(heard, &[]), &BTreeSet::from([1]), asked), Ok(()), "it hears itself");
    }

    #[test]
    fn a_vote_is_given_to_who_answers_and_taken_from_nobody() {
        let heard = Instant::now();
        let later = heard + Duration::from_millis(1);
        let with = |answers| roster_at(heard, &[(2, true, END, true), (3, true, END, true), (4, false, END, answers)]);
        assert_eq!(may_vote(&with(true), 4, heard), Ok(()));
        let silent = Err(ChangeError::NotAnswering { node_id: 4 });
        assert_eq!(may_vote(&with(false), 4, heard), silent);
        assert_eq!(may_vote(&with(true), 4, later), silent, "it has answered nothing since");
        assert_eq!(may_vote(&with(true), 3, later), Ok(()), "it votes already");
        let no_quorum = roster_at(heard, &[(2, true, END, false), (3, true, END, false), (4, false, END, true)]);
        assert!(matches!(may_vote(&no_quorum, 4, heard), Err(ChangeError::QuorumAtRisk { .. })));
    }

    #[test]
    fn a_level_is_raised_when_every_member_has_just_said_that_it_supports_it() {
        let asked = Instant::now();
        let before = asked.checked_sub(Duration::from_millis(1)).expect("the machine has run for so long");
        let two = FeatureLevel::LOCALITIES;
        let both = SupportedLevels { lowest: FeatureLevel::FIRST, highest: two };
        let said = |at, levels| (at, Announcement { levels, ..Announcement::none() });
        let members = roster(&[(2, true, END, true), (3, false, END, true)]);
        let judged = |own, others: &[(u64, (Instant, Announcement))]| {
            supports(&members, own, &others.iter().cloned().collect(), two, asked)
        };
        assert_eq!(judged(both, &[(2, said(asked, both)), (3, said(asked, both))]), Ok(()));
        let (silent, old) = (said(before, both), said(asked, SupportedLevels::UNANNOUNCED));
        let silent_3 = Err(ChangeError::NotAnswering { node_id: 3 });
        assert_eq!(judged(both, &[(2, said(asked, both)), (3, silent)]), silent_3, "a learner counts too");
        assert_eq!(judged(both, &[(2, said(asked, both))]), silent_3);
        let refused = |node_id| {
            Err(ChangeError::LevelUnsupported { node_id, supported: SupportedLevels::UNANNOUNCED, level: two })
        };
        assert_eq!(judged(both, &[(2, old.clone()), (3, said(asked, both))]), refused(2));
        assert_eq!(judged(SupportedLevels::UNANNOUNCED, &[(2, said(asked, both)), (3, said(asked, both))]), refused(1));
        assert_eq!(supports(&members, both, &[(2, old.clone()), (3, old)].into(), FeatureLevel::FIRST, asked), Ok(()));
    }

    #[test]
    fn a_learner_that_lacks_much_gets_no_vote() {
        let members = |matched| roster(&[(2, false, matched, true)]);
        assert_eq!(caught_up(&members(END - VOTER_LAG), 2), Ok(()));
        let entries = VOTER_LAG + 1;
        assert_eq!(caught_up(&members(END - entries), 2), Err(ChangeError::Behind { node_id: 2, entries }));
    }
}
