// @ts-check
/** A panel's place on its node: the DOM widget, and the node's own callbacks that tell of changes. */

import { forwardGestures } from "./gestures.js";
import { app, isInWorkflow } from "./host.js";
import { PlanPanel } from "./panel.js";

/** @typedef {import("./host.js").LGraphNode} LGraphNode */
/** @typedef {import("./host.js").Widget} Widget */

/**
 * The published types leave this method of the frontend out.
 * @typedef {object} DomWidgets
 * @property {(name: string, type: string, element: HTMLElement, options: object) => Widget} addDOMWidget
 */

const WIDGET_TYPE = "qwen-image-loader.plan"; // no built-in widget has it, so Nodes 2.0 shows the element
const MIN_HEIGHT = 170;
const FIRST_HEIGHT = 520; // of a plan for a small card: later growth is a step of undo of its own
const FIRST_WIDTH = 380;

/** @type {Set<PlanPanel>} the panels whose node is in a graph */
const live = new Set();

/** @type {WeakMap<LGraphNode, PlanPanel>} */
const panels = new WeakMap();

/** The panels whose node is in the workflow. A subgraph that is thrown away does not tell its nodes: they end here. */
export function livePanels() {
  for (const panel of live) if (!isInWorkflow(panel.node)) end(panel);
  return [...live];
}

/** @param {PlanPanel} panel */
function end(panel) {
  live.delete(panel);
  panel.stop();
}

/** @param {LGraphNode | null} node */
export function findPanel(node) {
  return node ? panels.get(node) : undefined;
}

/**
 * Called once per node, when it is made. A new node gets room for the whole plan; a node from a file keeps its size.
 * @param {LGraphNode} node
 */
export function attachPanel(node) {
  const panel = new PlanPanel(node, () => takePlace(panel));
  panels.set(node, panel);
  const host = /** @type {LGraphNode & DomWidgets} */ (node);
  const widget = host.addDOMWidget("plan", WIDGET_TYPE, panel.element, {
    serialize: false,
    getValue: () => "",
    setValue: () => {},
    getMinHeight: () => MIN_HEIGHT,
    margin: 8,
  });
  widget.serialize = false;
  node.setSize([Math.max(node.size[0], FIRST_WIDTH), node.computeSize()[1] + FIRST_HEIGHT - MIN_HEIGHT]);
  const stopGrowing = growWithPlan(panel);

  for (const input of node.widgets ?? []) {
    if (input !== widget) after(input, "callback", () => panel.inputsChanged());
  }
  after(node, "onAdded", () => {
    live.add(panel);
    panel.start();
  });
  after(node, "onConfigure", () => {
    stopGrowing();
    panel.inputsChanged();
  });
  after(node, "onConnectionsChange", () => panel.inputsChanged());
  after(node, "onRemoved", () => end(panel));
  forwardGestures(panel.element, panel.body);
}

/**
 * Make a new node as high as its plan, whenever that is higher, until somebody makes the node less high.
 * @param {PlanPanel} panel
 * @returns {() => void} ends it
 */
function growWithPlan(panel) {
  const { node, places } = panel;
  let height = node.size[1];
  const observer = new ResizeObserver(() => {
    const more = panel.overflow();
    if (more <= 0 || !panel.live) return;
    if (node.size[1] < height - 1) return observer.disconnect();
    height = node.size[1] + more;
    node.setSize([node.size[0], height]);
    node.setDirtyCanvas(true, true);
  });
  for (const place of Object.values(places)) observer.observe(place);
  return () => observer.disconnect();
}

/**
 * Nodes 2.0 keeps a node's frame when undo or another workflow puts another node with the same id there, and with it the
 * other node's panel: then this node's panel takes its place.
 * @param {PlanPanel} panel
 */
export function takePlace({ node, element }) {
  if (element.isConnected || node.graph !== app.canvas.graph) return;
  const frame = `.lg-node[data-node-id="${CSS.escape(String(node.id))}"]`;
  document.querySelector(`${frame} .${element.className}`)?.replaceWith(element);
}

/**
 * Let `object[name]` do what it did, then `act`. For this node's and its widgets' own callbacks only.
 * @param {any} object
 * @param {string} name
 * @param {() => void} act
 */
function after(object, name, act) {
  const before = object[name];
  object[name] = function (/** @type {any[]} */ ...values) {
    const result = before?.apply(this, values);
    act();
    return result;
  };
}
