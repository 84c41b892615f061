// The page of the cluster: who leads, who lags, how old each node's state is.

import { count, h, morph, rate, s, span } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 44;
const LATE_MS = 2000;
const LAGS = 100;

function tile(name, value, ...more) {
  return h("div", { class: "tile" }, h("span", { class: "label" }, name), h("span", { class: "figure" }, value), more);
}

/** The last minutes as a line. */
function sparkline(values) {
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)},${(HEIGHT - 2 - (value / most) * (HEIGHT - 6)).toFixed(1)}`);
  const attributes = { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  if (values.length < 2) return s("svg", attributes);
  return s(
    "svg",
    attributes,
    s("polygon", { points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }),
    s("polyline", { points: points.join(" ") }),
  );
}

const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

function summary(look, history) {
  const known = look.nodes.filter((node) => node.hash);
  const together = known.every((node) => node.applied === known[0]?.applied);
  const hash = look.quarrel
    ? tile("State", "differs", h("span", { class: "note bad" }, `nodes ${look.quarrel.one} and ${look.quarrel.other}`))
    : tile("State", "one", h("span", { class: "note" }, together && known.length > 1 ? "hashes equal" : "no hashes differ"));
  return h(
    "section",
    { class: "tiles", "aria-label": "Figures" },
    h(
      "div",
      { class: "tile wide" },
      h("span", { class: "label" }, "Commits / s"),
      h("span", { class: "figure" }, look.commitRate === undefined ? "–" : rate(look.commitRate)),
      sparkline(history.commits),
    ),
    tile("Committed", count(look.committed)),
    tile("Checks / s", rate(sum(look.nodes.map((node) => node.checkRate)))),
    tile("Writes / s", rate(sum(look.nodes.map((node) => node.writeRate)))),
    tile("Elections seen", count(look.elections), h("span", { class: "note" }, `term ${look.term}`)),
    hash,
  );
}

const fact = (name, value, tone) => [h("dt", {}, name), h("dd", { class: tone }, value)];

function tone(node, look) {
  if (!node.answers) return "bad";
  if (look.quarrel && [look.quarrel.one, look.quarrel.other].includes(node.id)) return "bad";
  return node.lag > LAGS || node.ageMs > LATE_MS || node.state === "candidate" ? "warn" : "good";
}

function card(node, look) {
  const leads = node.id === look.leader && node.state === "leader";
  const said = (value, text) => (value === undefined ? "–" : text(value));
  const lag = said(node.lag, (lag) => (lag === 0 ? "none" : `${count(lag)} ${lag === 1 ? "entry" : "entries"}`));
  return h(
    "article",
    { class: `node ${tone(node, look)}${leads ? " leads" : ""}`, "data-node": node.id, "data-state": node.state },
    h(
      "header",
      {},
      h("h3", {}, `Node ${node.id}`),
      h("span", { class: "badge" }, node.state),
      !node.voter && node.state !== "learner" && h("span", { class: "badge plain" }, "no vote"),
      node.id === look.asked && h("span", { class: "badge plain", title: "This page comes from it" }, "asked"),
    ),
    !node.answers && h("p", { class: "why" }, node.failure || "it does not take part"),
    h(
      "dl",
      {},
      fact("Applied", said(node.applied, count)),
      fact(node.answers ? "Lag" : "Lag of log", lag, node.lag > LAGS ? "warn" : ""),
      fact("State no older than", said(node.ageMs, span), node.ageMs > LATE_MS ? "warn" : ""),
      fact("Checks a second", said(node.checkRate, rate)),
      fact("Writes a second", said(node.writeRate, rate)),
    ),
    h("footer", {}, h("span", {}, node.client), h("span", {}, node.hash && `${node.hash.slice(0, 12)} · ${node.version}`)),
  );
}

/** The nodes, each region in a field of its own where they have any. */
function map(look) {
  const regions = [...new Set(look.nodes.map((node) => node.region))].sort();
  const field = (region) => {
    const here = look.nodes.filter((node) => node.region === region);
    const named = regions.length > 1 || region;
    const zones = [...new Set(here.map((node) => node.zone).filter(Boolean))];
    return h(
      "section",
      { class: named ? "region" : "" },
      named && h("h2", {}, region || "no region", zones.length > 0 && h("span", { class: "quiet" }, ` ${zones.join(", ")}`)),
      h("div", { class: "nodes" }, here.map((node) => card(node, look))),
    );
  };
  return h("div", { class: "regions" }, regions.map(field));
}

function draw(look, history) {
  const silent = look.nodes.filter((node) => !node.answers).map((node) => node.id);
  const leader = look.leader === undefined ? "no leader is known" : `node ${look.leader} leads`;
  return h(
    "div",
    {},
    h("h1", {}, "Cluster ", h("code", {}, look.lineage)),
    h("p", { class: "lead" }, `Term ${look.term}, ${leader}. As node ${look.asked} sees it.`),
    look.quarrel &&
      h(
        "p",
        { class: "notice bad", role: "alert" },
        `Nodes ${look.quarrel.one} and ${look.quarrel.other} differ at log index ${look.quarrel.index}: their states are not the same.`,
      ),
    h(
      "p",
      { class: silent.length > 0 ? "notice bad" : "unseen", role: "status" },
      silent.length === 0 ? "All nodes answer." : `${silent.length === 1 ? "Node" : "Nodes"} ${silent.join(", ")} ${silent.length === 1 ? "does" : "do"} not answer.`,
    ),
    summary(look, history),
    map(look),
  );
}

/** The page; what `watch` gives it is drawn for as long as it is shown. */
export function clusterPage(root, { watch }) {
  const body = h("div", {}, h("p", { class: "quiet" }, "Asking the nodes…"));
  root.append(body);
  return watch(({ look, history, error }) => {
    if (error) {
      body.classList.add("stale");
      return;
    }
    const fresh = h("div", {}, look.isMember ? draw(look, history) : h("p", { class: "notice" }, "This node waits: it is not a member of any cluster."));
    morph(body, fresh);
  });
}
