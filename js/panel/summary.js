// @ts-check
/** The first lines: which release, which recipe and why, and what the sampler is to be set to. */

import { h, icon, show } from "./elements.js";
import { plain, sentence } from "./format.js";
import { t } from "./strings.js";

/**
 * @param {HTMLElement} place
 * @param {import("./types.js").PanelState} state
 * @param {import("./types.js").PanelActions} actions
 */
export function showSummary(place, state, actions) {
  const plan = state.answer?.plan;
  const settings = plan?.settings;
  const why = plan && sentence(plan.recipe_reason, plan.files.map((file) => file.name));
  const facts = [plan?.release, plan?.recipe, why, settings, !plan && state.busy];
  show(place, facts, () => [
    h(
      "div",
      { class: "qil-summary" },
      h(
        "div",
        { class: "qil-title" },
        h("span", { class: "qil-release" }, plan ? plan.release || plan.request.release : state.busy ? t("planning") : actions.inputValue("model")),
        plan?.recipe && h("span", { class: "qil-chip qil-recipe" }, plan.recipe),
      ),
      settings &&
        h(
          "div",
          { class: "qil-sampler" },
          h("b", {}, String(settings.steps)),
          ` ${t("steps")} · ${t("cfg")} `,
          h("b", {}, plain(settings.cfg)),
        ),
      h(
        "button",
        {
          class: "qil-look",
          attrs: { type: "button", "data-key": "refresh", "aria-label": t("refresh"), title: t("refresh") },
          onclick: actions.refresh,
        },
        icon("refresh"),
      ),
    ),
    why && h("p", { class: "qil-why" }, why),
  ]);
}
