//! Namespaces, cables and a bridge, and the packets that do not arrive.
//!
//! Packets are dropped where they would be received, by the address of the node that sent them. Rules are set by entering the
//! namespace, not over the network; and clients, which come from the bridge's own address, are never cut off.

use super::cleanup::Names;
use super::command::{SystemError, run, run_with};
use super::delay::{self, Delay};

/// The network of one run. Dropping it removes it.
#[derive(Debug)]
pub struct Network {
    names: Names,
    nodes: usize,
}

const RULES: &str = "table inet chaos {
    set cut { type ipv4_addr; }
    set lossy { type ipv4_addr; }
    counter dropped { }
    chain arriving {
        type filter hook input priority 0; policy accept;
        ip saddr @cut counter name dropped drop
        ip saddr @lossy numgen random mod 100 < 25 counter name dropped drop
    }
}
";

impl Network {
    /// Makes a network for nodes 1 to `nodes`; one in which packets can be delayed, if the machine can do that.
    pub(super) fn create(nodes: usize, delays: bool) -> Result<Self, SystemError> {
        let network = Self { names: Names::own(), nodes };
        let (bridge, subnet) = (network.names.bridge(), network.names.subnet());
        run(&format!("ip link add {bridge} type bridge"))?;
        run(&format!("ip addr add {subnet}.254/24 dev {bridge}"))?;
        run(&format!("ip link set {bridge} up"))?;
        for node in 1..=nodes {
            let (space, cable) = (network.names.namespace(node), network.names.cable(node));
            run(&format!("ip netns add {space}"))?;
            run(&format!("ip link add {cable} type veth peer name eth0 netns {space}"))?;
            run(&format!("ip link set {cable} master {bridge} up"))?;
            run(&format!("ip -n {space} addr add {}/24 dev eth0", network.address(node)))?;
            run(&format!("ip -n {space} link set eth0 up"))?;
            run(&format!("ip -n {space} link set lo up"))?;
            run_with(&format!("{} nft -f -", inside(&space)), RULES)?;
            if delays {
                delay::prepare(&space, &subnet)?;
            }
        }
        Ok(network)
    }

    /// The address of a node.
    #[must_use]
    pub fn address(&self, node: usize) -> String {
        format!("{}.{node}", self.names.subnet())
    }

    /// The namespace of a node.
    #[must_use]
    pub fn namespace(&self, node: usize) -> String {
        self.names.namespace(node)
    }

    /// From now on nothing that any of `from` sends arrives at `to`.
    pub fn cut(&self, from: &[usize], to: usize) -> Result<(), SystemError> {
        self.change(to, &format!("add element inet chaos cut {{ {} }}", self.addresses(from))).map(drop)
    }

    /// What any of `from` sends arrives at `to` again, if nothing else keeps it.
    pub fn mend(&self, from: &[usize], to: usize) -> Result<(), SystemError> {
        self.change(to, &format!("delete element inet chaos cut {{ {} }}", self.addresses(from))).map(drop)
    }

    /// From now on all packets between nodes are late, until what is returned is dropped.
    pub fn delay(&self) -> Result<Delay, SystemError> {
        Delay::begin((1..=self.nodes).map(|node| self.namespace(node)))
    }

    /// From now on a quarter of what any of `from` sends does not arrive at `to`.
    pub fn lose(&self, from: &[usize], to: usize) -> Result<(), SystemError> {
        self.change(to, &format!("add element inet chaos lossy {{ {} }}", self.addresses(from))).map(drop)
    }

    /// Everything arrives again at `to`, whoever sent it. How many packets were kept from it since it was healed last.
    pub fn heal(&self, to: usize) -> Result<u64, SystemError> {
        let told =
            self.change(to, "flush set inet chaos cut; flush set inet chaos lossy; reset counter inet chaos dropped")?;
        let mut words = told.split_whitespace().skip_while(|word| *word != "packets").skip(1);
        Ok(words.next().and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    fn addresses(&self, nodes: &[usize]) -> String {
        nodes.iter().map(|node| self.address(*node)).collect::<Vec<_>>().join(", ")
    }

    fn change(&self, node: usize, rules: &str) -> Result<String, SystemError> {
        run_with(&format!("{} nft -f -", inside(&self.namespace(node))), &format!("{rules}\n"))
    }
}

/// What goes before a command that is run in a namespace. `ip netns exec` would give it a view of mounts of its own as well,
/// which costs more than the command.
pub(super) fn inside(namespace: &str) -> String {
    format!("nsenter --net=/run/netns/{namespace}")
}

impl Drop for Network {
    fn drop(&mut self) {
        for node in 1..=self.nodes {
            let space = self.names.namespace(node);
            // The namespace takes its end of the cable with it; what was never made cannot be removed.
            let _ = run(&format!("ip netns delete {space}"));
            let _ = run(&format!("ip link delete {}", self.names.cable(node)));
        }
        let _ = run(&format!("ip link delete {}", self.names.bridge()));
    }
}
