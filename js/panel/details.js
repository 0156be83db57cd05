// @ts-check
/** What few people need to look at: every setting with its source, the modulation table, and what was not used. */

import { disclosure, h, show } from "./elements.js";
import { plain, sentence } from "./format.js";
import { t } from "./strings.js";

/** @typedef {import("./types.js").LoadPlan} LoadPlan */

/**
 * @param {HTMLElement} place
 * @param {import("./types.js").PanelState} state
 * @param {import("./types.js").PanelActions} actions
 */
export function showDetails(place, state, actions) {
  const plan = state.answer?.plan;
  const facts = plan && [plan.settings, plan.modulation_table, plan.modulation_reason, plan.text_encoder_device];
  show(place, plan && [facts, plan.width, plan.height, plan.refusals], () => {
    if (!plan) return [];
    const line = [...settingsLine(plan), ...(plan.refusals.length ? [t("notUsed", { n: plan.refusals.length })] : [])];
    if (!line.length) return [];
    const refusals = table(plan.refusals.map(({ name, reason }) => [name, reason]), "qil-stacked");
    return disclosure(
      "details",
      actions,
      [h("span", { class: "qil-line qil-muted" }, line.join(" · "))],
      [
        table(settingRows(plan).map(([term, words]) => [sentence(term), words])),
        plan.refusals.length > 0 && h("p", { class: "qil-heading qil-refused" }, t("notUsed", { n: plan.refusals.length })),
        plan.refusals.length > 0 && refusals,
      ],
      t("details"),
    );
  });
}

/** @param {LoadPlan} plan */
function settingsLine({ settings }) {
  if (!settings) return [];
  const parts = [settings.sampler_name, settings.scheduler, `${t("shift")} ${plain(settings.shift)}`];
  if (settings.lora_strength) parts.push(`${t("lora")} ${plain(settings.lora_strength)}`);
  return parts;
}

/**
 * @param {LoadPlan} plan
 * @returns {[string, string][]}
 */
function settingRows(plan) {
  const { settings } = plan;
  if (!settings) return [];
  /** @type {[string, string][]} */
  const rows = [
    [t("sampler"), `${settings.sampler_name}, ${settings.scheduler}`],
    [t("shift"), plain(settings.shift)],
  ];
  if (settings.cfg_norm) rows.push(["CFGNorm", plain(settings.cfg_norm)]);
  if (settings.lora_strength) rows.push([t("loraStrength"), plain(settings.lora_strength)]);
  rows.push([t("source"), settings.source]);
  rows.push([t("textEncoderDevice"), plan.text_encoder_device]);
  const table = t(plan.modulation_table ? "on" : "off");
  rows.push([t("modulationTable"), plan.modulation_reason ? `${table}: ${plan.modulation_reason}` : table]);
  rows.push([t("plannedFor"), `${plan.width} × ${plan.height}`]);
  return rows;
}

/**
 * @param {[string, string][]} rows
 * @param {string} [look]
 */
function table(rows, look = "") {
  return h("dl", { class: look }, ...rows.flatMap(([term, words]) => [h("dt", {}, term), h("dd", {}, words)]));
}
