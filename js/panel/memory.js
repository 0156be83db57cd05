// @ts-check
/**
 * Memory as bars. The outlined part of a bar is the card, drawn to scale; what is hatched to the right of it does not
 * stay on the card and is streamed to it from RAM.
 */

import { h, show } from "./elements.js";
import { gib, plain } from "./format.js";
import { t } from "./strings.js";

/** @typedef {import("./types.js").StagePlan} StagePlan */
/** @typedef {import("./types.js").LoadPlan} LoadPlan */
/** @typedef {import("./types.js").Hardware} Hardware */

/**
 * @param {HTMLElement} place
 * @param {import("./types.js").PanelState} state
 */
export function showMemory(place, state) {
  const plan = state.answer?.plan;
  const facts = plan && [plan.stages, plan.hardware, plan.ram_needed_bytes, plan.rereads_from_disk, plan.request, state.measured];
  show(place, facts, () => {
    if (!plan?.stages.length) return [];
    const { hardware, stages } = plan;
    const widest = Math.max(...stages.map((stage) => (isOnCard(stage, hardware) ? stage.streamed_bytes : 0)));
    const scale = hardware.vram_total_bytes + widest;
    const oneMemory = hardware.kind === "cpu" || hardware.kind === "mps";
    const limit = oneMemory ? 0 : plan.request.vram_limit_bytes; // it limits a card's memory alone
    const sample = stages.find((stage) => stage.stage === "sample");
    const streamed = sample && isOnCard(sample, hardware) ? sample.streamed_bytes : 0;
    return [
      h(
        "div",
        { class: "qil-machine" },
        h("span", { class: "qil-line" }, hardware.device_name),
        h(
          "span",
          {},
          h("i", { class: "qil-free-mark" }),
          t("freeNow", { size: gib(hardware.vram_free_bytes) }),
          " ",
          h("b", {}, `${gib(hardware.vram_total_bytes)} ${t(oneMemory ? "ram" : "vram")}`),
          limit > 0 && ` ${t("limit", { size: gib(limit) })}`,
        ),
      ),
      h("div", { class: "qil-bars" }, ...stages.flatMap((stage) => stageRow(stage, hardware, scale, limit, state.measured))),
      legend(stages, streamed),
      (!oneMemory || plan.rereads_from_disk) && ramBlock(plan),
      state.measured && lastRun(state.measured, sample),
    ];
  });
}

/**
 * A stage that a machine with a card runs on the CPU needs nothing of the card.
 * @param {StagePlan} stage
 * @param {Hardware} hardware
 */
function isOnCard(stage, hardware) {
  return stage.device !== "cpu" || (hardware.kind === "cpu" && stage.peak_vram_bytes > 0);
}

/**
 * @param {StagePlan} stage
 * @param {Hardware} hardware
 * @param {number} scale bytes across the whole bar
 * @param {number} limit bytes that may be used of the card, 0: all
 * @param {import("./types.js").Measured | null} measured
 */
function stageRow(stage, hardware, scale, limit, measured) {
  const label = h("span", { class: "qil-stage", attrs: { title: stage.note || null } }, t(stage.stage));
  if (!isOnCard(stage, hardware)) {
    return [label, h("span", { class: "qil-muted" }, t("onCpu", { size: gib(stage.ram_bytes) })), h("span", {})];
  }
  const card = hardware.vram_total_bytes;
  const width = (/** @type {number} */ bytes) => `${(100 * Math.max(0, bytes)) / scale}%`;
  const resident = Math.min(stage.resident_bytes, card);
  const working = Math.min(stage.activation_bytes, card - resident);
  const kept = Math.min(keptBytes(stage), card - resident - working);
  const over = stage.peak_vram_bytes > card;
  const parts = { resident: gib(stage.resident_bytes), working: gib(working), streamed: gib(stage.streamed_bytes) };
  const words = t(stage.streamed_bytes > 0 ? "barStreamed" : "bar", {
    stage: t(stage.stage),
    peak: gib(stage.peak_vram_bytes),
    card: gib(card),
    ...parts,
  });
  const peak = stage.stage === "sample" ? measured?.peak_vram_bytes : null;
  return [
    label,
    h(
      "div",
      { class: "qil-bar", attrs: { role: "img", "aria-label": words, title: stage.note ? `${words}\n${stage.note}` : words } },
      h(
        "div",
        { class: over ? "qil-card qil-over" : "qil-card", style: { width: width(card) } },
        h("i", { class: "qil-resident", style: { width: `${(100 * resident) / card}%` } }),
        h("i", { class: "qil-working", style: { width: `${(100 * working) / card}%` } }),
        h("i", { class: "qil-kept", style: { width: `${(100 * kept) / card}%` } }),
        limit > 0 && limit < card && h("i", { class: "qil-beyond", style: { width: `${100 - (100 * limit) / card}%` } }),
        h("i", { class: "qil-free-mark", style: { left: `${Math.min(100, (100 * hardware.vram_free_bytes) / card)}%` } }),
        peak != null && h("i", { class: "qil-measured-mark", style: { left: `${Math.min(100, (100 * peak) / card)}%` } }),
      ),
      stage.streamed_bytes > 0 && h("i", { class: "qil-streaming", style: { width: width(stage.streamed_bytes) } }),
    ),
    h("span", { class: over ? "qil-size qil-red" : "qil-size" }, gib(stage.peak_vram_bytes)),
  ];
}

/**
 * What a stage's peak holds beside its own weights and working memory: buffers, and models used before.
 * @param {StagePlan} stage
 */
function keptBytes(stage) {
  return Math.max(0, stage.peak_vram_bytes - stage.resident_bytes - stage.activation_bytes);
}

/**
 * @param {StagePlan[]} stages
 * @param {number} streamed bytes per step
 */
function legend(stages, streamed) {
  /** @type {[string, string][]} */
  const entries = [
    ["resident", t("legendResident")],
    ["working", t("legendWorking")],
  ];
  if (stages.some((stage) => keptBytes(stage) > 0)) entries.push(["kept", t("legendKept")]);
  if (streamed > 0) entries.push(["streaming", t("legendStreamed", { size: gib(streamed) })]);
  return h(
    "div",
    { class: "qil-legend" },
    ...entries.map(([kind, words]) => h("span", {}, h("i", { class: `qil-${kind}` }), words)),
  );
}

/** @param {LoadPlan} plan */
function ramBlock(plan) {
  const { ram_needed_bytes: needed, rereads_from_disk: rereads, hardware } = plan;
  const total = hardware.ram_total_bytes;
  const over = rereads || needed > total;
  const words = t("ramBar", { needed: gib(needed), total: gib(total) });
  return h(
    "div",
    { class: "qil-ram" },
    h(
      "div",
      { class: "qil-bars" },
      h("span", { class: "qil-stage" }, t("ram")),
      h(
        "div",
        { class: "qil-bar", attrs: { role: "img", "aria-label": words, title: words } },
        h(
          "div",
          { class: over ? "qil-card qil-over" : "qil-card", style: { width: "100%" } },
          h("i", { class: "qil-ram-needed", style: { width: `${Math.min(100, (100 * needed) / total)}%` } }),
        ),
      ),
      h("span", { class: over ? "qil-size qil-red" : "qil-size" }, t("doneOfTotal", { done: gib(needed), total: gib(total) })),
    ),
    rereads && h("p", { class: "qil-red qil-rereads" }, t("rereads", { needed: gib(needed), total: gib(total) })),
  );
}

/**
 * @param {import("./types.js").Measured} measured
 * @param {StagePlan | undefined} sample
 */
function lastRun(measured, sample) {
  const parts = [];
  if (measured.peak_vram_bytes != null) {
    const peak = gib(measured.peak_vram_bytes);
    parts.push(sample ? t("measuredPeak", { peak, planned: gib(sample.peak_vram_bytes) }) : peak);
  }
  if (measured.seconds_per_step != null) parts.push(t("measuredPace", { n: plain(measured.seconds_per_step) }));
  return parts.length > 0 && h("p", { class: "qil-measured" }, h("b", {}, `${t("lastRun")} `), parts.join(" · "));
}
