// @ts-check
/** The pack's routes, and one of ComfyUI's. Every function throws an Error whose message can be shown. */

import { app } from "./host.js";
import { t } from "./strings.js";

/** @typedef {import("./types.js").PlanAnswer} PlanAnswer */
/** @typedef {import("./types.js").DownloadState} DownloadState */

/**
 * @param {Record<string, string>} inputs name and value of each input of the node
 * @param {AbortSignal} signal
 * @returns {Promise<PlanAnswer>}
 */
export function fetchPlan(inputs, signal) {
  return ask(`/qwen-image-loader/plan?${new URLSearchParams(inputs)}`, { signal });
}

/**
 * @param {string[]} files catalog names
 * @returns {Promise<DownloadState>}
 */
export function startDownload(files) {
  return post("/qwen-image-loader/download/start", { files });
}

/** @returns {Promise<DownloadState>} */
export function cancelDownload() {
  return post("/qwen-image-loader/download/cancel", {});
}

/**
 * The id of the workflow that a prompt was made from, "" where it has none. Without a prompt's id: of what runs now.
 * @param {string} promptId
 * @returns {Promise<string>}
 */
export async function fetchWorkflowId(promptId) {
  const { queue_running: running } = await ask("/queue", {});
  const isIt = (/** @type {any[]} */ [, id]) => !promptId || id === promptId;
  const item = running.find(isIt) ?? (promptId && (await ask(`/history/${promptId}`, {}))[promptId]?.prompt);
  return String(item?.[3]?.extra_pnginfo?.workflow?.id ?? "");
}

/**
 * @param {string} route
 * @param {object} body
 */
function post(route, body) {
  return ask(route, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/**
 * @param {string} route
 * @param {RequestInit} options
 */
async function ask(route, options) {
  const response = await app.api.fetchApi(route, options).catch((/** @type {Error} */ error) => {
    if (error.name === "AbortError") throw error;
    throw new Error(t("noAnswer")); // the browser's own words say no more, and not in the reader's language
  });
  const text = await response.text();
  if (!response.ok) throw new Error(errorMessage(text) || `${response.status} ${response.statusText}`);
  return JSON.parse(text);
}

/**
 * The message in an error answer: {"error": {"message": ...}}, {"error": ...}, or plain text.
 * @param {string} text
 * @returns {string}
 */
function errorMessage(text) {
  if (!text.startsWith("{")) return text.slice(0, 500);
  const error = JSON.parse(text).error;
  return String(error?.message ?? error ?? "");
}
