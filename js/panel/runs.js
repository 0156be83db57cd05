// @ts-check
/**
 * What the last run of each node took, kept with the workflow that it was queued from: another one may have a node of the
 * same id and inputs. A prompt carries its workflow's id; copies that share one are told apart by who queued.
 */

import { app, findNode } from "./host.js";
import { fetchWorkflowId } from "./server.js";

/** @typedef {import("./types.js").Measured} Measured */
/** @typedef {{id: string, runs: Map<string, Measured>}} Kept the workflow's id, and its nodes' runs by execution id */

/** @type {WeakMap<object, Kept>} by the editor's object of an open workflow, which stays the same while that is open */
const kept = new WeakMap();

/** @type {WeakSet<object>} open workflows that queued something */
const queuers = new WeakSet();

let runningPrompt = "";

/** The workflow on the screen is being queued. */
export function workflowQueued() {
  const activeWorkflow = app.extensionManager.workflow?.activeWorkflow;
  if (activeWorkflow) queuers.add(activeWorkflow);
}

/**
 * Call `act` when another workflow has come to the screen. Its nodes are there a little earlier than that is known.
 * @param {() => void} act
 */
export function onWorkflowShown(act) {
  app.extensionManager.workflow?.$onAction?.(
    (/** @type {{name: string, after: (then: () => void) => void}} */ { name, after }) => {
      if (name === "openWorkflow") after(act);
    },
  );
}

/** @param {string} promptId */
export function promptStarted(promptId) {
  runningPrompt = promptId;
}

/**
 * Keep what the prompt that runs now took on one node; without a word where its workflow cannot be told.
 * @param {string} executionId
 * @param {Measured} measured
 */
export async function keepRun(executionId, measured) {
  const id = await fetchWorkflowId(runningPrompt).catch(() => "");
  const workflow = id && findWorkflow(id);
  if (!workflow) return;
  const known = kept.get(workflow);
  const runs = known?.id === id ? known.runs : new Map();
  runs.delete(executionId); // so that the newest is the last
  runs.set(executionId, measured);
  kept.set(workflow, { id, runs });
}

/**
 * What the last run of a node of the workflow on the screen took.
 * @param {import("./host.js").LGraphNode} node
 * @returns {Measured | null}
 */
export function lastRun(node) {
  const activeWorkflow = app.extensionManager.workflow?.activeWorkflow;
  const known = activeWorkflow && kept.get(activeWorkflow);
  if (!known || known.id !== String(app.rootGraph?.id)) return null;
  const runs = [...known.runs].filter(([executionId]) => findNode(executionId) === node);
  return runs.length ? runs[runs.length - 1][1] : null;
}

/**
 * @param {string} id
 * @returns {object | null}
 */
function findWorkflow(id) {
  const activeWorkflow = app.extensionManager.workflow?.activeWorkflow;
  /** @type {{activeState?: {id?: string} | null}[]} */
  const openWorkflows = app.extensionManager.workflow?.openWorkflows ?? [];
  const same = openWorkflows.filter(
    (workflow) => id === String(workflow === activeWorkflow ? app.rootGraph?.id : workflow.activeState?.id),
  );
  const owners = same.length > 1 ? same.filter((workflow) => queuers.has(workflow)) : same;
  return owners.length === 1 ? owners[0] : null;
}
