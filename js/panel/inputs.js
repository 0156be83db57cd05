// @ts-check
/**
 * What a node's inputs are set to, as the prompt will say it. An input that is promoted to the outside of a subgraph
 * takes its value from the subgraph's own node, through every level; any other link's value is known only when it runs.
 */

import { app } from "./host.js";

/** @typedef {import("./host.js").LGraph} LGraph */
/** @typedef {import("./host.js").LGraphNode} LGraphNode */
/** @typedef {import("./host.js").Widget} Widget */
/** @typedef {{node: LGraphNode, widget: Widget}} Place a widget and its node */

/**
 * How the subgraphs on the way to the one on screen were opened: id of a subgraph -> the node that it was opened by.
 * @type {Map<string, {graph: string, node: string}>}
 */
const opened = new Map();

/**
 * @param {any} subgraph
 * @param {LGraphNode} fromNode
 */
export function subgraphOpens(subgraph, fromNode) {
  if (fromNode?.graph) opened.set(String(subgraph?.id), { graph: String(fromNode.graph.id), node: String(fromNode.id) });
}

/**
 * Another graph is on screen: only the way to it is known now.
 * @param {LGraph} graph
 */
export function graphShown(graph) {
  const way = new Set();
  for (let id = String(graph?.id); opened.has(id) && !way.has(id); id = String(opened.get(id)?.graph)) way.add(id);
  for (const id of [...opened.keys()]) if (!way.has(id)) opened.delete(id);
}

/**
 * The values of the named inputs, as text. An input that the node has not is left out; one whose value comes through a
 * link has what the node's own field says.
 * @param {LGraphNode} node
 * @param {string[]} names
 */
export function readInputs(node, names) {
  /** @type {Record<string, string>} */
  const values = {};
  for (const widget of node.widgets ?? []) {
    if (names.includes(widget.name)) values[widget.name] = String((setBy(node, widget.name)?.[0].widget ?? widget).value);
  }
  return values;
}

/**
 * The inputs of a node whose value comes through a link and cannot be known before it runs.
 * @param {LGraphNode} node
 * @returns {string[]}
 */
export function linkedInputs(node) {
  const linked = (node.inputs ?? []).filter((input) => input.link != null).map((input) => input.name);
  return linked.filter((name) => setBy(node, name) === null);
}

/**
 * Whether there is one widget that sets an input.
 * @param {LGraphNode} node
 * @param {string} name
 */
export function canSetInput(node, name) {
  return setBy(node, name)?.length === 1;
}

/**
 * Set inputs as a user would, in one step of undo, wherever their widgets are; each widget's own callback is told.
 * @param {LGraphNode} node
 * @param {[name: string, text: string][]} changes values as text; they become what the widget holds
 */
export function setInputs(node, changes) {
  app.canvas.emitBeforeChange();
  for (const [name, text] of changes) {
    const places = setBy(node, name);
    if (places?.length === 1) setWidget(places[0], text);
  }
  app.canvas.emitAfterChange();
  node.setDirtyCanvas(true, true);
}

/**
 * @param {Place} place
 * @param {string} text
 */
function setWidget({ node, widget }, text) {
  let value = /** @type {string | number | boolean} */ (text);
  if (typeof widget.value === "number") value = Number(text);
  if (typeof widget.value === "boolean") value = text.toLowerCase() === "true";
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
}

/**
 * The widgets that set an input: one, or that of each of a subgraph's nodes where these agree and nobody can tell which
 * of them is looked at. Null where a link sets it, or where they differ.
 * @param {LGraphNode} node
 * @param {string} name
 * @returns {Place[] | null}
 */
function setBy(node, name) {
  try {
    const places = placesOf(node, name);
    const values = new Set(places?.map(({ widget }) => widget.value));
    return values.size === 1 ? places : null;
  } catch {
    return null; // a frontend that keeps its subgraphs in another way: no more is known than that there is a link
  }
}

/**
 * @param {LGraphNode} node
 * @param {string} name
 * @param {Place[] | null} [inner] the place of the input that this was asked for first
 * @param {LGraphNode[]} [inside] nodes on the way out, against subgraphs that hold themselves
 * @returns {Place[] | null}
 */
function placesOf(node, name, inner, inside = []) {
  const slot = node.inputs?.find((input) => input.name === name);
  const widget = slot ? node.getWidgetFromSlot(slot) : node.widgets?.find((one) => one.name === name);
  const own = widget ? [{ node, widget }] : null;
  if (slot?.link == null) return own ?? inner ?? null; // what has no widget outside leaves the inner value alone
  const link = node.graph?.getLink(slot.link);
  if (!node.graph || !link?.originIsIoNode || inside.includes(node)) return null;
  /** @type {Place[]} */
  const places = [];
  for (const outer of nodesOf(node.graph)) {
    const found = placesOf(outer, outer.inputs[link.origin_slot].name, inner ?? own, [...inside, node]);
    if (!found) return null;
    places.push(...found);
  }
  return places;
}

/**
 * The nodes that stand for a subgraph in the workflow: the one through which it was opened, else all.
 * @param {LGraph} subgraph
 * @returns {LGraphNode[]}
 */
function nodesOf(subgraph) {
  const root = app.rootGraph ?? app.graph;
  const way = opened.get(String(subgraph.id));
  const graphs = /** @type {LGraph[]} */ ([root, ...(root.subgraphs?.values() ?? [])]);
  const nodes = graphs.flatMap((graph) => graph.nodes).filter((node) => /** @type {any} */ (node).subgraph === subgraph);
  const open = way && nodes.find((node) => String(node.graph?.id) === way.graph && String(node.id) === way.node);
  return open ? [open] : nodes;
}
