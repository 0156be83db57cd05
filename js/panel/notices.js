// @ts-check
/** What the user has to know: why there is no plan, what is wrong with it, and the cure. */

import { h, icon, show } from "./elements.js";
import { t } from "./strings.js";

/** @typedef {import("./types.js").PanelActions} PanelActions */
/** @typedef {import("./types.js").PlanWarning} PlanWarning */
/** @typedef {Pick<PlanWarning, "code" | "changes">} Cure */

/** What could be better, where nothing is wrong. */
const HINTS = ["faster_recipe_available", "fast_disk_is_off"];

/** @param {PlanWarning} warning */
export function isHint(warning) {
  return HINTS.includes(warning.code);
}

/**
 * @param {HTMLElement} place
 * @param {import("./types.js").PanelState} state
 * @param {PanelActions} actions
 */
export function showNotices(place, state, actions) {
  const plan = state.answer?.plan;
  const warnings = plan?.warnings ?? [];
  const cure = { code: "error", changes: plan?.error_changes ?? [] };
  const needed = [cure, ...warnings].map((warning) => neededChanges(warning, actions));
  show(place, [state.failure, plan?.error, warnings, needed, state.linkedInputs], () => [
    state.failure && noPlan(state.failure, actions),
    plan?.error && errorNotice(plan.error, cure, actions),
    ...warnings.map((warning) => warningNotice(warning, actions)),
    state.linkedInputs.length > 0 &&
      h(
        "div",
        { class: "qil-notice" },
        icon("info"),
        h("p", {}, t("linkedInputs", { names: state.linkedInputs.map(actions.inputLabel).join(", ") })),
      ),
  ]);
}

/**
 * @param {string} error
 * @param {Cure} cure
 * @param {PanelActions} actions
 */
function errorNotice(error, cure, actions) {
  const words = message(t("cannotLoad"), error);
  if (neededChanges(cure, actions).length > 0) words.append(cureButton(cure, actions));
  return h("div", { class: "qil-notice qil-bad" }, icon("error"), words);
}

/**
 * @param {string} failure
 * @param {PanelActions} actions
 */
function noPlan(failure, actions) {
  return h(
    "div",
    { class: "qil-notice qil-bad" },
    icon("error"),
    h(
      "div",
      {},
      message(t("noPlan"), failure),
      h(
        "button",
        { class: "qil-button", attrs: { type: "button", "data-key": "retry" }, onclick: actions.refresh },
        t("tryAgain"),
      ),
    ),
  );
}

/**
 * What of a warning's changes is not set yet.
 * @param {Cure} warning
 * @param {PanelActions} actions
 */
function neededChanges(warning, actions) {
  return warning.changes.filter(([input, value]) => actions.inputValue(input) !== value);
}

/**
 * @param {PlanWarning} warning
 * @param {PanelActions} actions
 */
function warningNotice(warning, actions) {
  const hint = isHint(warning);
  return h(
    "div",
    { class: hint ? "qil-notice qil-hint" : "qil-notice qil-warn", attrs: { "data-code": warning.code } },
    icon(hint ? "info" : "warning"),
    h(
      "div",
      {},
      h("p", {}, warning.message),
      warning.cure && h("p", { class: "qil-cure" }, warning.cure),
      neededChanges(warning, actions).length > 0 && cureButton(warning, actions),
    ),
  );
}

/**
 * One button for all changes that are needed; it cannot set an input that a link decides.
 * @param {Cure} warning
 * @param {PanelActions} actions
 */
function cureButton(warning, actions) {
  const needed = neededChanges(warning, actions);
  const linked = needed.filter(([input]) => !actions.canChangeInput(input));
  const names = linked.map(([input]) => actions.inputLabel(input)).join(", ");
  return h(
    "button",
    {
      class: "qil-button",
      attrs: {
        type: "button",
        "data-key": `cure-${warning.code}`,
        disabled: linked.length > 0,
        title: linked.length > 0 ? t("linkedInputs", { names }) : null,
      },
      onclick: () => actions.changeInputs(needed),
    },
    needed.map(([input, value]) => t("setInput", { input: actions.inputLabel(input), value })).join("; "),
  );
}

/**
 * @param {string} heading
 * @param {string} text may have line breaks
 */
function message(heading, text) {
  return h("div", {}, h("p", { class: "qil-heading" }, heading), h("p", { class: "qil-lines" }, text));
}
