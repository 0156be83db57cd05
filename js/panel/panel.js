// @ts-check
/**
 * One panel on one node. It asks the server for the plan whenever an input changes, draws the answer, and decides
 * nothing. Started when its node enters a graph, stopped when it leaves; a stopped panel drops every answer.
 */

import { showDetails } from "./details.js";
import { h } from "./elements.js";
import { GIB } from "./format.js";
import { showFiles } from "./files.js";
import { inputLabel } from "./host.js";
import { canSetInput, linkedInputs, readInputs, setInputs } from "./inputs.js";
import { showMemory } from "./memory.js";
import { showMissing } from "./missing.js";
import { isHint, showNotices } from "./notices.js";
import { lastRun } from "./runs.js";
import { cancelDownload, fetchPlan, startDownload } from "./server.js";
import { loadStrings, t } from "./strings.js";
import { sheet } from "./style.js";
import { showSummary } from "./summary.js";

/** @typedef {import("./types.js").DownloadState} DownloadState */

const SETTLE_MS = 150;

/** The node's inputs: what a plan depends on. */
const INPUTS = [
  "model",
  "recipe",
  "precision",
  "download_missing",
  "diffusion_model_file",
  "text_encoder_file",
  "vae_file",
  "lora_file",
  "vram_limit_gib",
  "text_encoder_device",
  "modulation",
];

export class PlanPanel {
  /**
   * @param {import("./host.js").LGraphNode} node
   * @param {() => void} drawn called after each drawing
   */
  constructor(node, drawn) {
    this.node = node;
    this.drawn = drawn;
    this.live = false;
    this.asking = new AbortController();
    this.asked = "";
    this.lastChange = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {Set<string>} */
    this.open = new Set();
    /** @type {import("./types.js").PanelState} */
    this.state = { busy: false, failure: "", answer: null, download: null, measured: null, linkedInputs: [] };
    /** @type {import("./types.js").PanelActions} */
    this.actions = {
      refresh: () => this.refresh(),
      startDownload: (files) => void this.command(() => startDownload(files), files),
      cancelDownload: () => void this.command(cancelDownload),
      changeInputs: (changes) => setInputs(node, changes),
      inputValue: (input) => readInputs(node, [input])[input] ?? "",
      canChangeInput: (input) => INPUTS.includes(input) && canSetInput(node, input),
      inputLabel: (input) => inputLabel(node, input),
      isOpen: (key) => this.open.has(key),
      setOpen: (key, open) => void (open ? this.open.add(key) : this.open.delete(key)),
    };
    const section = (/** @type {string} */ name) => h("div", { class: `qil-section qil-section-${name}` });
    this.places = {
      summary: section("summary"),
      notices: section("notices"),
      missing: section("missing"),
      files: section("files"),
      memory: section("memory"),
      details: section("details"),
    };
    this.body = h("div", { class: "qil-panel", attrs: { role: "region", tabindex: 0 } }, ...Object.values(this.places));
    this.announcer = h("div", { class: "qil-hidden", attrs: { role: "status" } });
    this.element = h("div", { class: "qil-plan", attrs: { "data-capture-wheel": "true" } });
    const root = this.element.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet()];
    root.append(this.body, this.announcer);
  }

  start() {
    this.live = true;
    this.refresh();
  }

  stop() {
    this.live = false;
    clearTimeout(this.timer);
    this.asking.abort();
  }

  /** An input may have changed: ask again, at once after a pause, else when the changes have settled. */
  inputsChanged() {
    if (!this.live || this.question() === this.asked) return;
    const now = performance.now();
    this.schedule(now - this.lastChange > SETTLE_MS ? 0 : SETTLE_MS);
    this.lastChange = now;
  }

  /** Ask again although no input changed: files may have come or gone. */
  refresh() {
    if (this.live) this.schedule(0);
  }

  /** @param {number} delay milliseconds */
  schedule(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask(), delay);
  }

  /** Everything that makes two questions different. */
  question() {
    return JSON.stringify([readInputs(this.node, INPUTS), linkedInputs(this.node)]);
  }

  /** Fetch and draw the plan for the inputs as they are now. A newer question makes an older one's answer void. */
  async ask() {
    this.asking.abort();
    const { signal } = (this.asking = new AbortController());
    const question = this.question();
    this.asked = question;
    this.state.busy = true;
    this.state.linkedInputs = linkedInputs(this.node).filter((input) => INPUTS.includes(input));
    try {
      await loadStrings();
      this.draw();
      const answer = await fetchPlan(readInputs(this.node, INPUTS), signal);
      if (signal.aborted) return;
      this.state.answer = answer;
      this.state.download = answer.download;
      this.state.failure = "";
    } catch (error) {
      if (signal.aborted) return;
      this.state.answer = null;
      this.state.download = null;
      this.state.failure = messageOf(error);
    }
    this.state.busy = false;
    this.draw();
    this.announce();
  }

  /**
   * @param {() => Promise<DownloadState>} send
   * @param {string[]} [files] which it is about
   */
  async command(send, files) {
    const before = this.state.download;
    try {
      const state = await send();
      if (this.state.download === before) this.downloadChanged(state); // else the server has told something newer
    } catch (error) {
      const { download } = this.state;
      const failed = { running: false, cancelled: false, error: { message: messageOf(error) } };
      if (download) this.downloadChanged({ ...download, ...failed, files: files ?? download.files });
    }
  }

  /** @param {DownloadState} download */
  downloadChanged(download) {
    if (!this.live || !this.state.answer) return;
    const ended = this.state.download?.running && !download.running;
    this.state.download = download;
    this.draw();
    if (ended) this.refresh();
  }

  /**
   * A node of this id was run with this plan: this one as it is now, or as it was queued, or one of another workflow.
   * @param {import("./types.js").LoadPlan} plan
   */
  executed(plan) {
    if (!this.live || !this.state.answer || !this.asksFor(plan.request)) return;
    this.state.answer = { ...this.state.answer, plan };
    this.draw();
  }

  /** There may be another last run to show than a moment ago. */
  runsChanged() {
    if (this.live && this.state.answer) this.draw();
  }

  /**
   * Whether the inputs are set to a request; what comes through a link may be anything.
   * @param {import("./types.js").LoadRequest} request
   */
  asksFor(request) {
    const linked = linkedInputs(this.node);
    return Object.entries(readInputs(this.node, INPUTS)).every(
      ([name, value]) => linked.includes(name) || isSetTo(request, name, value),
    );
  }

  /** How many pixels of the plan do not fit; 0 while it is not on screen, or shows more than the plan itself. */
  overflow() {
    const { scrollHeight, clientHeight } = this.body;
    return clientHeight && !this.open.size ? scrollHeight - clientHeight : 0;
  }

  draw() {
    const { places, state, actions } = this;
    const run = lastRun(this.node);
    state.measured = run && this.asksFor(run.request) ? run : null;
    this.body.setAttribute("aria-label", t("panel"));
    this.body.setAttribute("aria-busy", String(state.busy));
    showSummary(places.summary, state, actions);
    showNotices(places.notices, state, actions);
    showMissing(places.missing, state, actions);
    showFiles(places.files, state, actions);
    showMemory(places.memory, state);
    showDetails(places.details, state, actions);
    this.drawn();
  }

  /** Tell a screen reader in a few words what the plan has become. */
  announce() {
    const plan = this.state.answer?.plan;
    const missing = plan?.files.filter((file) => !file.on_disk).length ?? 0;
    const warnings = plan?.warnings.filter((warning) => !isHint(warning)).length ?? 0;
    const result = plan ? t("announce", { release: plan.release, recipe: plan.recipe, n: missing }) : "";
    const told = [this.state.failure || plan?.error || result];
    if (warnings) told.push(t("announceWarnings", { n: warnings }));
    const words = told.join(" ");
    if (this.announcer.textContent !== words) this.announcer.textContent = words;
  }
}

/**
 * Whether the value of an input, as its widget tells it, gives this request.
 * @param {import("./types.js").LoadRequest} request
 * @param {string} name
 * @param {string} value
 */
function isSetTo(request, name, value) {
  if (name === "model") return value === request.release;
  if (name === "vram_limit_gib") return Math.trunc(Number(value) * GIB) === request.vram_limit_bytes;
  return value === String(/** @type {Record<string, unknown>} */ (/** @type {unknown} */ (request))[name]);
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
