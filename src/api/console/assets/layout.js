// A layered drawing of a graph, from left to right (after Sugiyama): cut circles, give each box a layer, put pieces of long
// edges in between, order each layer by its neighbours, then place the boxes. Nothing of the page is known here.

const SWEEPS = 10;
const LANE = 14;
const MOST_LANES = 2000;

/** The edges without those that close a circle, met first in the order of the boxes. */
function withoutCircles(names, edges) {
  const next = new Map(names.map((name) => [name, []]));
  for (const [from, to] of edges) next.get(from).push(to);
  const state = new Map();
  const kept = [];
  for (const start of names) {
    if (state.has(start)) continue;
    // By hand, since a schema may be a long chain.
    const stack = [[start, 0]];
    state.set(start, "open");
    while (stack.length > 0) {
      const top = stack.at(-1);
      const [name, at] = top;
      if (at === next.get(name).length) {
        state.set(name, "done");
        stack.pop();
        continue;
      }
      top[1] += 1;
      const to = next.get(name)[at];
      if (state.get(to) === "open") continue;
      kept.push([name, to]);
      if (!state.has(to)) {
        state.set(to, "open");
        stack.push([to, 0]);
      }
    }
  }
  return kept;
}

/** The layer of each box: the longest way to it. */
function ranks(names, edges) {
  const rank = new Map(names.map((name) => [name, 0]));
  const before = new Map(names.map((name) => [name, 0]));
  const after = new Map(names.map((name) => [name, []]));
  for (const [from, to] of edges) {
    before.set(to, before.get(to) + 1);
    after.get(from).push(to);
  }
  const ready = names.filter((name) => before.get(name) === 0);
  while (ready.length > 0) {
    const name = ready.shift();
    for (const to of after.get(name)) {
      rank.set(to, Math.max(rank.get(to), rank.get(name) + 1));
      before.set(to, before.get(to) - 1);
      if (before.get(to) === 0) ready.push(to);
    }
  }
  // What nothing leads to stands close to what it leads to.
  const reached = new Set(edges.map(([, to]) => to));
  for (const name of names) {
    const below = after.get(name).map((to) => rank.get(to));
    if (!reached.has(name) && below.length > 0) rank.set(name, Math.min(...below) - 1);
  }
  return rank;
}

/** Layers of cells; an edge over several layers has a cell in each of those between. */
function cellsOf(boxes, rank, edges) {
  const cells = new Map(boxes.map((box) => [box.id, { id: box.id, layer: rank.get(box.id), w: box.w, h: box.h, up: [], down: [] }]));
  const layers = [];
  const put = (cell) => ((layers[cell.layer] ??= []).push(cell), cell);
  cells.forEach(put);
  const lanes = new Map();
  const length = ([from, to]) => rank.get(to) - rank.get(from) - 1;
  // So many lanes would be no picture any more, and take their time.
  const isCrowded = edges.reduce((sum, edge) => sum + length(edge), 0) > MOST_LANES;
  for (const [from, to] of edges) {
    let last = cells.get(from);
    const end = cells.get(to);
    const between = [];
    lanes.set(`${from} ${to}`, between);
    for (let layer = last.layer + 1; layer < end.layer && !isCrowded; layer++) {
      const lane = put({ id: undefined, layer, w: 0, h: LANE, up: [last], down: [] });
      last.down.push(lane);
      last = lane;
      between.push(lane);
    }
    last.down.push(end);
    end.up.push(last);
  }
  return { cells, layers: layers.filter(Boolean), lanes };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Orders each layer by the middle of its neighbours' places, back and forth. */
function order(layers) {
  const number = (layer) => layer.forEach((cell, at) => (cell.place = at));
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0;
    for (const layer of forth ? layers : layers.toReversed()) {
      const wish = (cell) => {
        const beside = forth ? cell.up : cell.down;
        return beside.length > 0 ? mean(beside.map((it) => it.place)) : cell.place;
      };
      const wishes = new Map(layer.map((cell) => [cell, wish(cell)]));
      layer.sort((a, b) => wishes.get(a) - wishes.get(b));
      number(layer);
    }
  }
}

/** Gives each cell its height on the page: close to its neighbours, and none over another. */
function place(layers, gap) {
  const middle = (cell) => cell.y + cell.h / 2;
  for (const layer of layers) {
    let y = 0;
    for (const cell of layer) {
      cell.y = y;
      y += cell.h + gap;
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const layer of sweep % 2 === 0 ? layers : layers.toReversed()) {
      const beside = (cell) => [...cell.up, ...cell.down];
      const wishes = layer.map((cell) => (beside(cell).length > 0 ? mean(beside(cell).map(middle)) - cell.h / 2 : cell.y));
      let bottom = -Infinity;
      layer.forEach((cell, at) => {
        cell.y = Math.max(wishes[at], bottom);
        bottom = cell.y + cell.h + gap;
      });
      // What was pushed down is shared among all of the layer.
      const shift = mean(layer.map((cell, at) => wishes[at] - cell.y));
      layer.forEach((cell) => (cell.y += shift));
    }
  }
  const top = Math.min(...layers.flat().map((cell) => cell.y));
  layers.flat().forEach((cell) => (cell.y -= top));
}

/**
 * Places `boxes` (`{ id, w, h }`) that `edges` (`[from, to]`) connect. Gives the size of the whole, for each id where it is, and
 * for each edge over several layers (`"from to"`) the free lanes between (`left`, `right`, `y`).
 */
export function layered(boxes, edges, { gapX, gapY }) {
  const names = boxes.map((box) => box.id);
  const known = new Set(names);
  const unique = new Map(edges.filter(([from, to]) => from !== to && known.has(from) && known.has(to)).map((edge) => [edge.join(" "), edge]));
  const forward = withoutCircles(names, [...unique.values()]);
  const { cells, layers, lanes } = cellsOf(boxes, ranks(names, forward), forward);
  order(layers);
  place(layers, gapY);
  let x = 0;
  for (const layer of layers) {
    const width = Math.max(...layer.map((cell) => cell.w));
    layer.forEach((cell) => Object.assign(cell, { x: x + (width - cell.w) / 2, left: x, right: x + width }));
    x += width + gapX;
  }
  const height = Math.max(0, ...layers.flat().map((cell) => cell.y + cell.h));
  return { width: Math.max(0, x - gapX), height, places: new Map(names.map((name) => [name, cells.get(name)])), lanes };
}
