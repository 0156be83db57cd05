// @ts-check
/** Numbers as people read them; sizes as the planner writes them. */

import { t } from "./strings.js";

export const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/**
 * "19.0 GiB", or "242 MiB" below one GiB.
 * @param {number} bytes
 */
export function gib(bytes) {
  if (Math.abs(bytes) < GIB) return `${(bytes / MIB).toFixed(0)} MiB`;
  return `${(bytes / GIB).toFixed(1)} GiB`;
}

/** @param {number} bytesPerSecond */
export function speed(bytesPerSecond) {
  const mib = bytesPerSecond / MIB;
  return `${mib < 10 ? mib.toFixed(1) : Math.round(mib)} MiB/s`;
}

/** @param {number} seconds */
export function timeLeft(seconds) {
  if (seconds < 60) return t("secondsLeft", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 3600) return t("minutesLeft", { n: Math.round(seconds / 60) });
  return t("hoursLeft", { n: (seconds / 3600).toFixed(1) });
}

/**
 * A number without needless digits: 1, 2.5, 3.1.
 * @param {number} value
 */
export function plain(value) {
  return String(Math.round(value * 100) / 100);
}

/**
 * Words with a capital at their start, unless they start with the name of a file.
 * @param {string} words
 * @param {string[]} [fileNames]
 */
export function sentence(words, fileNames = []) {
  const isName = /^\S*[._]/.test(words) || fileNames.some((name) => words.startsWith(name));
  return isName ? words : words.charAt(0).toUpperCase() + words.slice(1);
}
