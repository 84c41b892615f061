// What an overview says, and what two of them say together. No element is made here.

const STATES = {
  STATE_WAITING: "waiting",
  STATE_LEARNER: "learner",
  STATE_FOLLOWER: "follower",
  STATE_CANDIDATE: "candidate",
  STATE_LEADER: "leader",
  STATE_FAULTED: "faulted",
  STATE_REMOVED: "removed",
};

const number = (text) => Number(text ?? 0);

/** One look at the cluster: `taken` in milliseconds of any steady clock. */
export function digest(overview, taken) {
  const asked = overview.asked;
  const said = new Map([[asked.nodeId, asked]]);
  const failures = new Map();
  for (const report of overview.members ?? []) {
    if (report.status) said.set(report.nodeId, report.status);
    else failures.set(report.nodeId, report.failure);
  }
  const all = [...said.values()];
  const committed = Math.max(...all.map((one) => number(one.committedIndex)));
  const leading = all.filter((one) => one.state === "STATE_LEADER");
  const leader = leading.sort((a, b) => number(b.term) - number(a.term))[0];
  const matched = new Map((leader?.members ?? []).map((one) => [one.nodeId, one.matchedIndex]));
  const labels = new Map(all.flatMap((one) => one.members ?? []).map((one) => [one.nodeId, one]));
  const nodes = (asked.members ?? []).map((member) => {
    const own = said.get(member.nodeId);
    const known = labels.get(member.nodeId) ?? member;
    const state = own ? (STATES[own.state] ?? "unknown") : "no answer";
    const reached = own ? number(own.appliedIndex) : matched.get(member.nodeId);
    return {
      id: member.nodeId,
      voter: member.voter,
      client: member.clientAddress,
      peer: member.peerAddress,
      region: own?.region || known.region || own?.labels?.region || "",
      zone: own?.zone || known.zone || own?.labels?.zone || "",
      state,
      answers: Boolean(own) && state !== "faulted" && state !== "removed",
      failure: failures.get(member.nodeId) ?? "",
      applied: own ? number(own.appliedIndex) : undefined,
      lag: reached === undefined ? undefined : Math.max(0, committed - number(reached)),
      ageMs: own?.stateAgeMs === undefined ? undefined : number(own.stateAgeMs),
      checks: own?.checksAnswered === undefined ? undefined : number(own.checksAnswered),
      writes: own?.writesCommitted === undefined ? undefined : number(own.writesCommitted),
      term: own ? number(own.term) : undefined,
      hash: own?.stateHash ?? "",
      version: own?.version ?? "",
    };
  });
  return {
    taken,
    asked: asked.nodeId,
    isMember: asked.state !== "STATE_WAITING",
    lineage: asked.lineage,
    term: Math.max(...all.map((one) => number(one.term))),
    leader: leader?.nodeId ?? (asked.leaderId !== "0" && !failures.has(asked.leaderId) ? asked.leaderId : undefined),
    committed,
    nodes,
    quarrel: quarrel(nodes),
  };
}

/** Two nodes whose states differ at the same index. */
function quarrel(nodes) {
  for (const [at, one] of nodes.entries()) {
    const other = nodes.slice(at + 1).find((it) => one.hash && it.hash && it.applied === one.applied && it.hash !== one.hash);
    if (other) return { one: one.id, other: other.id, index: one.applied };
  }
  return undefined;
}

/** How much a counter grew each second; `undefined` where that is not known, or where its node started anew. */
function perSecond(before, now, seconds) {
  return before === undefined || now === undefined || now < before || seconds <= 0 ? undefined : (now - before) / seconds;
}

/** Looks one after the other, and what became of the cluster between them. */
export class History {
  static LENGTH = 90;
  commits = [];
  firstTerm = undefined;

  /** Takes one more look; with it, what is only known from two. */
  add(look) {
    const before = this.last;
    const seconds = before ? (look.taken - before.taken) / 1000 : 0;
    const isSame = before && before.lineage === look.lineage;
    if (!isSame) {
      this.firstTerm = look.term;
      this.commits = [];
    }
    for (const node of look.nodes) {
      const then = isSame ? before.nodes.find((one) => one.id === node.id) : undefined;
      node.checkRate = perSecond(then?.checks, node.checks, seconds);
      node.writeRate = perSecond(then?.writes, node.writes, seconds);
    }
    const commitRate = isSame ? perSecond(before.committed, look.committed, seconds) : undefined;
    if (commitRate !== undefined) this.commits = [...this.commits, commitRate].slice(-History.LENGTH);
    look.commitRate = commitRate;
    look.elections = look.term - this.firstTerm;
    this.last = look;
    return look;
  }
}
