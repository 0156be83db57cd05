// @ts-check
/** The files that are not there: how much to fetch, room on the disk, a button, progress, and a way to stop. */

import { h, icon, show } from "./elements.js";
import { gib, speed, timeLeft } from "./format.js";
import { t } from "./strings.js";

/** @typedef {import("./types.js").PanelState} PanelState */
/** @typedef {import("./types.js").PanelActions} PanelActions */
/** @typedef {import("./types.js").DownloadState} DownloadState */
/** @typedef {import("./types.js").PlanAnswer} PlanAnswer */

/**
 * @param {HTMLElement} place
 * @param {PanelState} state
 * @param {PanelActions} actions
 */
export function showMissing(place, state, actions) {
  const { answer, download } = state;
  if (download?.running) {
    show(place, "running", () => [progressBlock(actions)]);
    updateProgress(place, download);
    return;
  }
  const missing = answer?.plan.files.filter((file) => !file.on_disk) ?? [];
  // Another node's download, or one of before: its end is not this node's.
  const ended = missing.some((file) => download?.files.includes(file.catalog_name)) ? download : null;
  const facts = [missing, answer?.disk, answer?.plan.request.download_missing, ended?.error?.message, ended && cancelled(ended)];
  show(place, facts, () =>
    answer && missing.length ? [missingBlock(answer, ended, actions)] : [],
  );
}

/**
 * @param {PlanAnswer} answer
 * @param {DownloadState | null} download that has ended and was of these files
 * @param {PanelActions} actions
 */
function missingBlock(answer, download, actions) {
  const { plan, disk } = answer;
  const missing = plan.files.filter((file) => !file.on_disk);
  const folders = new Set(missing.map((file) => file.folder));
  const spaces = disk.filter((space) => folders.has(space.folder));
  const fits = spaces.every((space) => space.free_bytes >= neededOn(space.volume, missing, disk));
  const names = missing.map((file) => file.catalog_name);
  const error = download?.error?.message;
  const input = actions.inputLabel("download_missing");
  const hint = plan.request.download_missing ? t("runDownloads", { input }) : t("nothingUnasked");
  return h(
    "div",
    { class: "qil-notice qil-fetch" },
    icon("download"),
    h(
      "div",
      {},
      h(
        "p",
        { class: "qil-heading" },
        t(missing.length === 1 ? "fileMissing" : "filesMissing", { n: missing.length }) + ` · ${gib(plan.missing_bytes)}`,
      ),
      h("p", { class: fits ? "qil-muted" : "qil-red" }, (fits ? "" : `${t("diskFull")} `) + freeDisk(spaces)),
      error && h("p", { class: "qil-red qil-lines", attrs: { role: "alert" } }, error),
      download?.cancelled && h("p", { class: "qil-muted" }, cancelled(download)),
      h(
        "div",
        { class: "qil-actions" },
        h(
          "button",
          {
            class: "qil-button qil-primary",
            attrs: { type: "button", "data-key": "download" },
            onclick: () => actions.startDownload(names),
          },
          t(error ? "tryAgain" : "download"),
        ),
        h("span", { class: "qil-muted" }, hint),
      ),
    ),
  );
}

/**
 * What to say of a download that was cancelled, "" of another: its bytes are kept, where there were any.
 * @param {DownloadState} download
 */
function cancelled(download) {
  if (!download.cancelled) return "";
  return download.done_bytes > 0 ? t("cancelledKept", { button: t("download") }) : t("cancelled");
}

/**
 * Bytes that the missing files take on one volume.
 * @param {string} volume
 * @param {import("./types.js").PlannedFile[]} missing
 * @param {import("./types.js").DiskSpace[]} disk
 */
function neededOn(volume, missing, disk) {
  const folders = disk.filter((space) => space.volume === volume).map((space) => space.folder);
  return missing.reduce((sum, file) => sum + (folders.includes(file.folder) ? file.size_bytes : 0), 0);
}

/** @param {import("./types.js").DiskSpace[]} spaces */
function freeDisk(spaces) {
  const sizes = new Set(spaces.map((space) => space.free_bytes));
  if (sizes.size === 1) return t("freeDisk", { size: gib([...sizes][0]) });
  return spaces.map((space) => `${space.folder}: ${t("freeDisk", { size: gib(space.free_bytes) })}`).join(", ");
}

/** @param {PanelActions} actions */
function progressBlock(actions) {
  return h(
    "div",
    { class: "qil-notice qil-fetch" },
    icon("download"),
    h(
      "div",
      { class: "qil-fetching" },
      h("p", { class: "qil-heading qil-line" }),
      h(
        "div",
        { class: "qil-progress", attrs: { role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 } },
        h("div", {}),
      ),
      h("p", { class: "qil-muted qil-pace" }),
    ),
    h(
      "button",
      { class: "qil-button", attrs: { type: "button", "data-key": "cancel" }, onclick: actions.cancelDownload },
      t("cancel"),
    ),
  );
}

/**
 * Only texts and a width change, so that focus stays on Cancel and nothing flickers.
 * @param {HTMLElement} place
 * @param {DownloadState} download
 */
function updateProgress(place, download) {
  const { file, index, count, done_bytes: done, total_bytes: total } = download;
  const percent = total > 0 ? Math.min(100, (100 * done) / total) : 0;
  const pace = [t("doneOfTotal", { done: gib(done), total: gib(total) })];
  if (count > 1) pace.unshift(t("fileOfFiles", { index, count }));
  if (download.note) pace.push(download.note);
  else if (download.bytes_per_second > 0) pace.push(speed(download.bytes_per_second));
  if (!download.note && download.seconds_left != null) pace.push(timeLeft(download.seconds_left));
  setText(place, ".qil-heading", file);
  setText(place, ".qil-pace", pace.join(" · "));
  const bar = /** @type {HTMLElement} */ (place.querySelector(".qil-progress"));
  bar.setAttribute("aria-valuenow", String(Math.round(percent)));
  bar.setAttribute("aria-label", file);
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${percent}%`;
}

/**
 * @param {HTMLElement} place
 * @param {string} selector
 * @param {string} text
 */
function setText(place, selector, text) {
  const element = /** @type {HTMLElement} */ (place.querySelector(selector));
  if (element.textContent !== text) element.textContent = text;
}
