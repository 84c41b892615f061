//! Packets that are late and overtake each other. The kernel hands what nodes send each other to this program, which hands each
//! packet back after a while of its own.
//!
//! Whatever becomes of this program, packets pass: with nobody listening the kernel lets them through, and so it does when the
//! queue is full. Clients, which come from the bridge's own address, are not delayed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nfq::{Message, Queue, Verdict};
use nix::sched::{CloneFlags, setns};
use rand::RngExt as _;

use super::command::{SystemError, run_with};
use super::network::inside;

/// How late a packet is. The span is what lets one overtake another.
const LATE_MS: std::ops::Range<u64> = 40..60;
/// Between two looks, when nothing is to be done: little against the lateness.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const QUEUE: u16 = 0;
const QUEUE_LENGTH: u32 = 16_384;

/// What became of the packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delayed {
    /// So many were late.
    pub late: u64,
    /// So many were overtaken by one that came after them.
    pub overtaken: u64,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    late: AtomicU64,
    overtaken: AtomicU64,
}

/// Has the kernel hand over what arrives in a namespace from the nodes of the subnet, as long as anybody takes it.
pub(super) fn prepare(namespace: &str, subnet: &str) -> Result<(), SystemError> {
    let rules = format!(
        "*filter\n-A INPUT -s {subnet}.254 -j ACCEPT\n-A INPUT -s {subnet}.0/24 -j NFQUEUE --queue-num {QUEUE} \
         --queue-bypass\nCOMMIT\n"
    );
    run_with(&format!("{} iptables-restore --noflush", inside(namespace)), &rules).map(drop)
}

/// Delay in some namespaces. Dropping it ends it.
#[derive(Debug)]
pub struct Delay {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Delay {
    /// Delays what arrives in each of the namespaces, which must be [prepared](prepare).
    pub(super) fn begin(namespaces: impl Iterator<Item = String>) -> Result<Self, SystemError> {
        let mut delay = Self { shared: Arc::default(), threads: Vec::new() };
        for namespace in namespaces {
            let shared = Arc::clone(&delay.shared);
            let (say, heard) = std::sync::mpsc::channel();
            let inside = namespace.clone();
            // A thread of its own: which namespace a socket belongs to is decided by the thread that opens it.
            let thread = std::thread::spawn(move || match open(&inside) {
                Ok(queue) => {
                    let _ = say.send(Ok(()));
                    hold_back(queue, &shared);
                }
                Err(error) => drop(say.send(Err(error))),
            });
            delay.threads.push(thread);
            let opened = heard.recv().unwrap_or_else(|_| Err(std::io::Error::other("its thread has ended")));
            opened.map_err(|error| SystemError {
                command: format!("a queue in {namespace}"),
                complaint: error.to_string(),
            })?;
        }
        Ok(delay)
    }

    /// What was done so far.
    #[must_use]
    pub fn so_far(&self) -> Delayed {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Delayed { late: read(&self.shared.late), overtaken: read(&self.shared.overtaken) }
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Enters the namespace with this thread, and opens the queue there.
fn open(namespace: &str) -> std::io::Result<Queue> {
    setns(File::open(format!("/run/netns/{namespace}"))?, CloneFlags::CLONE_NEWNET)?;
    let mut queue = Queue::open()?;
    queue.bind(QUEUE)?;
    queue.set_copy_range(QUEUE, 0)?;
    queue.set_recv_gso(QUEUE, true)?;
    queue.set_fail_open(QUEUE, true)?;
    queue.set_queue_max_len(QUEUE, QUEUE_LENGTH)?;
    queue.set_nonblocking(true);
    Ok(queue)
}

/// A packet, by when it is let go and when it came.
struct Held {
    due: Instant,
    number: u64,
    packet: Message,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

/// Delays until it is over, and has the kernel give up the queue. To close it is not enough: a node that was started meanwhile
/// has inherited the socket, and packets would wait for somebody to read it.
fn hold_back(mut queue: Queue, shared: &Shared) {
    let_go(&mut queue, shared);
    // The answer may be lost among packets; what was asked for is done all the same.
    let _ = queue.unbind(QUEUE);
}

/// Lets each packet go when it is due, until it is over; then all of them at once.
fn let_go(queue: &mut Queue, shared: &Shared) {
    let mut random = rand::rng();
    let mut held: BinaryHeap<Reverse<Held>> = BinaryHeap::new();
    let (mut number, mut furthest) = (0_u64, 0_u64);
    loop {
        let over = shared.over.load(Ordering::Relaxed);
        let mut idle = true;
        match queue.recv() {
            Ok(packet) => {
                idle = false;
                number += 1;
                let due = Instant::now() + Duration::from_millis(random.random_range(LATE_MS));
                held.push(Reverse(Held { due, number, packet }));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // More came than the socket takes. What was lost on the way is sent again by who sent it.
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => {}
            Err(_) => return,
        }
        while held.peek().is_some_and(|Reverse(next)| over || next.due <= Instant::now()) {
            let Some(Reverse(Held { number, mut packet, .. })) = held.pop() else { break };
            idle = false;
            packet.set_verdict(Verdict::Accept);
            if queue.verdict(packet).is_ok() {
                shared.late.fetch_add(1, Ordering::Relaxed);
                shared.overtaken.fetch_add(u64::from(number < furthest), Ordering::Relaxed);
                furthest = furthest.max(number);
            }
        }
        if idle {
            if over {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
