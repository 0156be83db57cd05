// @ts-check
/** The editor, as this pack uses it. The only module that knows how the frontend is reached. */

// @ts-expect-error the frontend serves this module; the cast below gives it its type
import { app as served } from "../../../scripts/app.js";

/** @typedef {import("@comfyorg/comfyui-frontend-types").ComfyApp} ComfyApp */
/** @typedef {ComfyApp["rootGraph"]} LGraph */
/** @typedef {NonNullable<ReturnType<LGraph["getNodeById"]>>} LGraphNode */
/** @typedef {NonNullable<LGraphNode["widgets"]>[number]} Widget */

/** @type {ComfyApp} */
export const app = served;

/** The editor's language, for instance "en" or "zh-TW". */
export function locale() {
  return String(app.extensionManager.setting.get("Comfy.Locale") ?? "en");
}

/**
 * The node of an execution id: "12", or "5:12" for node 12 inside subgraph node 5. Null when this tab has no such node.
 * @param {string} executionId
 * @returns {LGraphNode | null}
 */
export function findNode(executionId) {
  const path = String(executionId).split(":");
  /** @type {LGraph | undefined} */
  let graph = app.rootGraph ?? app.graph;
  for (const id of path.slice(0, -1)) {
    const outer = /** @type {{subgraph?: LGraph} | null} */ (/** @type {unknown} */ (findById(graph, id)));
    graph = outer?.subgraph;
    if (!graph) return null;
  }
  return findById(graph, path[path.length - 1]);
}

/**
 * Whether a node is in the workflow on the screen, in its root graph or in one of its subgraphs.
 * @param {LGraphNode} node
 */
export function isInWorkflow(node) {
  const root = app.rootGraph ?? app.graph;
  const { graph } = node;
  return !!graph && (graph === root || root.subgraphs?.get(graph.id) === graph);
}

/**
 * @param {LGraph} graph
 * @param {string} id
 * @returns {LGraphNode | null}
 */
function findById(graph, id) {
  return graph.getNodeById(/** @type {any} */ (id)) ?? graph.getNodeById(/** @type {any} */ (Number(id))) ?? null;
}

/**
 * What the editor calls an input in its language.
 * @param {LGraphNode} node
 * @param {string} name
 */
export function inputLabel(node, name) {
  const input = node.inputs?.find((candidate) => candidate.name === name);
  return input?.label || input?.localized_name || name;
}
