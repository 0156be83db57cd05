// @ts-check
/**
 * The panel's words, from locales/<language>/main.json. The frontend does not hand its translations to extensions, so
 * they are read from the same route that it reads.
 */

import { app, locale } from "./host.js";

const SECTION = "qwenImageLoader";

/** @type {Record<string, Record<string, Record<string, string>>> | null} */
let languages = null;

/** @type {Promise<void> | null} */
let loading = null;

/** Fetch the words once. Panels wait for it before they draw. */
export function loadStrings() {
  loading ??= app.api
    .fetchApi("/i18n")
    .then((response) => response.json())
    .then((answer) => {
      languages = answer;
    });
  return loading;
}

/**
 * The words for `key` in the editor's language, else in English.
 * @param {string} key
 * @param {Record<string, string | number>} [values] what stands for {name} in the words
 * @returns {string}
 */
export function t(key, values = {}) {
  const language = locale();
  const words =
    languages?.[language]?.[SECTION]?.[key] ??
    languages?.[language.split("-")[0]]?.[SECTION]?.[key] ??
    languages?.en?.[SECTION]?.[key] ??
    key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
