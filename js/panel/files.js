// @ts-check
/** One row per file: is it there, what is it, how big, and - opened - why this one. */

import { disclosure, h, show } from "./elements.js";
import { gib } from "./format.js";
import { t } from "./strings.js";

/** @typedef {import("./types.js").PlannedFile} PlannedFile */
/** @typedef {import("./types.js").PanelActions} PanelActions */

/**
 * @param {HTMLElement} place
 * @param {import("./types.js").PanelState} state
 * @param {PanelActions} actions
 */
export function showFiles(place, state, actions) {
  const files = state.answer?.plan.files ?? [];
  const arriving = state.download?.running ? state.download.file : "";
  show(place, [files, arriving], () =>
    files.length
      ? [
          h(
            "ul",
            { class: "qil-files", attrs: { "aria-label": t("files") } },
            ...files.map((file) => h("li", {}, ...fileRow(file, file.name === arriving, actions))),
          ),
        ]
      : [],
  );
}

/**
 * @param {PlannedFile} file
 * @param {boolean} arriving
 * @param {PanelActions} actions
 */
function fileRow(file, arriving, actions) {
  const status = file.on_disk ? "onDisk" : arriving ? "arriving" : "missing";
  const size = (file.size_is_exact ? "" : "~") + gib(file.size_bytes);
  const line = [
    h("span", { class: `qil-dot qil-${status}`, attrs: { "aria-hidden": "true" } }),
    h(
      "span",
      { class: "qil-file" },
      name(file.name),
      h(
        "span",
        { class: "qil-muted qil-role" },
        h("span", {}, t(file.role)),
        h("span", { class: "qil-chip" }, file.weight_format),
        h("span", { class: `qil-${status}-word` }, t(status)),
      ),
    ),
    h("span", { class: "qil-size" }, size),
  ];
  const hidden = [
    h("p", {}, file.reason),
    file.listed_name && file.listed_name !== file.name && h("p", { class: "qil-path" }, `${file.folder}/${file.listed_name}`),
    !file.on_disk && file.url && h("p", { class: "qil-path" }, file.url),
    !file.on_disk && file.licence && h("p", {}, t("licence", { licence: file.licence })),
  ];
  return disclosure(`file-${file.role}`, actions, line, hidden, `${file.name}\n${file.reason}`);
}

/**
 * A file name that loses its middle, not its end, when there is no room: the end tells versions and formats apart.
 * @param {string} fileName
 */
function name(fileName) {
  const stem = fileName.replace(/\.safetensors$/, "");
  const cut = Math.max(0, stem.search(/[-_ ][^-_ ]*[-_ ][^-_ ]*$/));
  return h(
    "span",
    { class: "qil-name" },
    h("span", { class: "qil-name-start" }, stem.slice(0, cut)),
    h("span", { class: "qil-name-end" }, stem.slice(cut)),
  );
}
