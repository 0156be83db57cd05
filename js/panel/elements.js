// @ts-check
/** Making elements, and sections that are rebuilt only when what they show has changed. */

import { locale } from "./host.js";

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * @typedef {object} Props
 * @property {string} [class]
 * @property {Record<string, string | number | boolean | null | undefined>} [attrs] null, undefined and false leave it out
 * @property {Record<string, string>} [style]
 * @property {(event: Event) => void} [onclick]
 */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  if (props.class) element.className = props.class;
  for (const [name, value] of Object.entries(props.attrs ?? {})) {
    if (value != null && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [name, value] of Object.entries(props.style ?? {})) element.style.setProperty(name, value);
  if (props.onclick) element.addEventListener("click", props.onclick);
  for (const child of children) if (child) element.append(child);
  return element;
}

const ICONS = {
  chevron: "M6 4l4 4-4 4",
  warning: "M8 2.5l6 11H2zM8 6.5v3.2M8 11.6v.1",
  error: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
  download: "M8 2.5v7.5M4.8 7L8 10.2 11.2 7M3 13.2h10",
  refresh: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3",
  info: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M8 7.3v4M8 4.8v.1",
  done: "M3.5 8.5l3 3 6-7",
};

/**
 * A line drawing in the colour of the text; it says nothing to a screen reader.
 * @param {keyof typeof ICONS} name
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("viewBox", "0 0 16 16");
  drawing.setAttribute("class", `qil-icon qil-icon-${name}`);
  drawing.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", ICONS[name]);
  drawing.append(line);
  return drawing;
}

/** @type {WeakMap<HTMLElement, string>} */
const shown = new WeakMap();

/**
 * Show `build()` in `place` unless it already shows `facts`. Focus stays on the element with the same data-key.
 * @param {HTMLElement} place
 * @param {unknown} facts everything that build() draws from, the language excepted
 * @param {() => Child[]} build
 */
export function show(place, facts, build) {
  const signature = locale() + JSON.stringify(facts);
  if (shown.get(place) === signature) return;
  shown.set(place, signature);
  const focused = /** @type {ShadowRoot} */ (place.getRootNode()).activeElement;
  const key = focused && place.contains(focused) ? focused.getAttribute("data-key") : null;
  place.replaceChildren();
  for (const child of build()) if (child) place.append(child);
  place.hidden = place.childNodes.length === 0;
  if (key) /** @type {HTMLElement | null} */ (place.querySelector(`[data-key="${CSS.escape(key)}"]`))?.focus();
}

/**
 * A row that opens: its own line is a button, what it hides is a paragraph below. Hovering shows the same text.
 * @param {string} key names the row, so that it stays open when the section is drawn again
 * @param {import("./types.js").PanelActions} actions
 * @param {Child[]} line
 * @param {Child[]} hidden
 * @param {string} hint the hidden text in short
 */
export function disclosure(key, actions, line, hidden, hint) {
  const body = h("div", { class: "qil-reason", attrs: { id: `qil-${key}` } }, ...hidden);
  const button = h(
    "button",
    { class: "qil-row", attrs: { type: "button", "data-key": key, "aria-controls": body.id, title: hint } },
    ...line,
    icon("chevron"),
  );
  const set = (/** @type {boolean} */ open) => {
    button.setAttribute("aria-expanded", String(open));
    body.hidden = !open;
    actions.setOpen(key, open);
  };
  button.addEventListener("click", () => set(body.hidden));
  set(actions.isOpen(key));
  return [button, body];
}
