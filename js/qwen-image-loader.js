// @ts-check
/**
 * The panel of Load Qwen-Image: it shows what the node will do on this machine before anything is loaded.
 *
 * ComfyUI serves only .js uncached, and imports every .js below this folder by itself; so the modules in panel/ are .js
 * and do nothing when they are imported. This one alone registers something.
 */

import { app, findNode } from "./panel/host.js";
import { attachPanel, findPanel, livePanels, takePlace } from "./panel/attach.js";
import { graphShown, subgraphOpens } from "./panel/inputs.js";
import { keepRun, onWorkflowShown, promptStarted, workflowQueued } from "./panel/runs.js";

const NODE = "QIL_LoadQwenImage";

app.registerExtension({
  name: "qwen-image-loader.panel",

  setup() {
    const { api } = app;
    listen("qwen-image-loader.download", (state) => livePanels().forEach((panel) => panel.downloadChanged(state)));
    listen("qwen-image-loader.executed", ({ node_id, plan }) => findPanel(findNode(node_id))?.executed(plan));
    listen("qwen-image-loader.measured", async (facts) => {
      await keepRun(facts.node_id, facts);
      livePanels().forEach((panel) => panel.runsChanged());
    });
    onWorkflowShown(() => livePanels().forEach((panel) => panel.runsChanged()));
    api.addEventListener("promptQueueing", () => workflowQueued());
    api.addEventListener("execution_start", ({ detail }) => promptStarted(detail.prompt_id));
    api.addEventListener("graphChanged", () => livePanels().forEach((panel) => panel.inputsChanged()));
    listenTo(app.canvas.canvas, "subgraph-opening", ({ subgraph, fromNode }) => subgraphOpens(subgraph, fromNode));
    listenTo(app.canvas.canvas, "litegraph:set-graph", ({ newGraph }) => {
      graphShown(newGraph);
      setTimeout(() => livePanels().forEach(lookAgain));
    });
    api.addEventListener("reconnected", () => livePanels().forEach((panel) => panel.refresh()));
  },

  nodeCreated(node) {
    if (node.comfyClass === NODE) attachPanel(node);
  },

  refreshComboInNodes() {
    livePanels().forEach((panel) => panel.refresh());
  },
});

/**
 * @param {string} event one of this pack's own messages from the server
 * @param {(detail: any) => void} act
 */
function listen(event, act) {
  app.api.addCustomEventListener(event, (/** @type {CustomEvent} */ message) => act(message.detail));
}

/**
 * @param {HTMLElement} element
 * @param {string} event one of the editor's own
 * @param {(detail: any) => void} act
 */
function listenTo(element, event, act) {
  element.addEventListener(event, (message) => act(/** @type {CustomEvent} */ (message).detail));
}

/**
 * Another graph is on screen: a panel may have to take its place, and its node may be seen through another subgraph node.
 * @param {import("./panel/panel.js").PlanPanel} panel
 */
function lookAgain(panel) {
  takePlace(panel);
  panel.inputsChanged();
}
