//! etcd in the place of a cluster: relationships as keys. For the two things that both do: a durable, replicated write, and
//! a linearizable read of what was written.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use prost::bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::lane::{Answer, Lane};
use super::messages::{Put, Range, Transaction, TransactionPart};
use super::operation::{Call, Expected, Operation};
use super::script::{ETCD_VALUE, etcd_key};
use super::world::{Pick, Picker, Question, World};
use crate::cli::failure::Failure;

/// Puts in a transaction; etcd takes 128.
const PUTS: u64 = 100;
const IN_FLIGHT: usize = 16;
const PREPARED: u64 = 1 << 16;

/// Loads the flat part of the world.
pub(super) async fn load(lane: &Lane, world: &World) -> Result<(), Failure> {
    let flat = &world.flat;
    let starts = (0..flat.pairs()).step_by(usize::try_from(PUTS).expect("a small number"));
    futures::stream::iter(starts)
        .map(|start| {
            let mut lane = lane.clone();
            async move {
                let numbers = start..(start + PUTS).min(flat.pairs());
                let put = |at| Put { key: key(&flat.nth_pair(at)), value: Bytes::from_static(ETCD_VALUE) };
                let success = numbers.map(|at| TransactionPart { put: Some(put(at)) }).collect();
                let request = Transaction { success };
                lane.perform(&Operation::new(Call::EtcdTransaction, &request, Expected::Done, PUTS)).await
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .try_for_each(|_| async { Ok(()) })
        .await
        .map_err(|status| Failure::new(format!("loading: {}", status.message())))
}

/// Reads of what was loaded.
pub(super) fn reads(world: &World, serializable: bool, seed: u64) -> Arc<[Operation]> {
    let mut random = StdRng::seed_from_u64(seed);
    let picker = Picker::new(Pick::Uniform, world.flat.documents());
    let read = |question: &Question| {
        let request = Range { key: key(question), serializable };
        Operation::new(Call::EtcdRange, &request, Expected::Value(Bytes::from_static(ETCD_VALUE)), 1)
    };
    (0..PREPARED)
        .map(|_| {
            let document = picker.pick(&mut random);
            read(&world.flat.hit(document, &mut random))
        })
        .collect()
}

/// Which of these were written, acknowledged, and are not there.
pub(super) async fn wrong_answers(lane: &Lane, questions: &[Question]) -> Result<Vec<Question>, Failure> {
    let mut wrong = Vec::new();
    for question in questions {
        let request = Range { key: key(question), serializable: false };
        let value = Expected::Value(Bytes::from_static(ETCD_VALUE));
        let answer = lane.clone().perform(&Operation::new(Call::EtcdRange, &request, value, 1)).await;
        match answer.map_err(|status| Failure::new(status.message()))? {
            Answer::Right(_) => {}
            Answer::Wrong(_) => wrong.push(question.clone()),
        }
    }
    Ok(wrong)
}

fn key(question: &Question) -> Bytes {
    etcd_key(&question.document, &question.user)
}
