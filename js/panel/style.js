// @ts-check
/** The panel's look. It lives in the panel's shadow root: nothing leaks out, nothing of the host's leaks in. */

/** @type {CSSStyleSheet | null} */
let shared = null;

/** The one sheet that all panels share. */
export function sheet() {
  if (!shared) {
    shared = new CSSStyleSheet();
    shared.replaceSync(CSS_TEXT);
  }
  return shared;
}

const CSS_TEXT = `
:host {
  display: block;
  position: relative;
  min-height: 150px;
  --qil-text: var(--input-text, #ddd);
  --qil-back: var(--comfy-input-bg, #222);
  --qil-far: var(--qil-text); /* what is farthest from the background, see below */
  --qil-strong: color-mix(in srgb, var(--qil-far) 15%, var(--qil-text));
  --qil-muted: color-mix(in srgb, var(--qil-far) 20%, color-mix(in srgb, var(--qil-text) 74%, var(--qil-back)));
  --qil-line: color-mix(in srgb, var(--qil-text) 15%, var(--qil-back));
  --qil-raised: color-mix(in srgb, var(--qil-text) 7%, var(--qil-back));
  --qil-blue: color-mix(in srgb, #3b82f6 82%, var(--qil-text));
  --qil-teal: color-mix(in srgb, #14a38b 80%, var(--qil-text));
  --qil-amber: color-mix(in srgb, #d9860a 80%, var(--qil-text));
  --qil-red: color-mix(in srgb, #e5393f 66%, var(--qil-text));
  --qil-green: color-mix(in srgb, #22a34a 80%, var(--qil-text));
  --qil-red-words: color-mix(in srgb, var(--qil-far) 45%, #e5393f);
  --qil-amber-words: color-mix(in srgb, var(--qil-far) 50%, #d9860a);
  color: var(--qil-text);
  font: 11px/1.45 Inter, system-ui, sans-serif;
}
/* Black on light, white on dark: some themes' own text is hardly far enough from the background for anything less. */
@supports (color: oklch(from red l 0 0)) {
  :host { --qil-far: oklch(from var(--qil-back) clamp(0, (0.6 - l) * 1000, 1) 0 0); }
}
* { box-sizing: border-box; }
p, dl, dd, ul { margin: 0; padding: 0; }
[hidden] { display: none !important; }
.qil-panel {
  position: absolute;
  inset: 0;
  overflow: hidden auto;
  scrollbar-width: thin;
  scrollbar-color: var(--qil-line) transparent;
  background: var(--qil-back);
  border-radius: 8px;
  padding: 10px 10px 6px;
  container-type: inline-size;
  user-select: text;
}
.qil-panel > * { transition: opacity 0.2s 0.25s; }
.qil-panel[aria-busy="true"] > :not(.qil-section-summary) { opacity: 0.55; }
.qil-section + .qil-section { margin-top: 8px; }
.qil-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.qil-muted { color: var(--qil-muted); }
.qil-line { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.qil-red { color: var(--qil-red-words); }
.qil-lines { white-space: pre-line; overflow-wrap: anywhere; }
.qil-heading { font-weight: 600; }
.qil-icon { width: 14px; height: 14px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linecap: round; stroke-linejoin: round; }
button { font: inherit; color: inherit; cursor: pointer; }
:focus { outline: none; }
:focus-visible { outline: 2px solid var(--qil-blue); outline-offset: 1px; }
.qil-panel:focus-visible { outline-offset: -2px; }

.qil-summary { display: flex; align-items: center; gap: 8px; }
.qil-title { display: flex; align-items: center; gap: 6px; min-width: 0; flex: 1; flex-wrap: wrap; }
.qil-release { font-size: 13px; font-weight: 650; }
.qil-chip { font-size: 10px; line-height: 15px; padding: 0 5px; border-radius: 4px; background: var(--qil-line); color: var(--qil-strong); white-space: nowrap; }
.qil-recipe { background: color-mix(in srgb, var(--qil-blue) 22%, var(--qil-back)); }
.qil-sampler { white-space: nowrap; color: var(--qil-muted); }
.qil-sampler b { color: var(--qil-text); font-size: 13px; }
.qil-look { display: flex; padding: 3px; border: 0; border-radius: 4px; background: none; color: var(--qil-muted); }
.qil-look:hover { background: var(--qil-line); color: var(--qil-text); }
.qil-why { color: var(--qil-muted); margin-top: 2px; overflow-wrap: anywhere; }

.qil-notice { display: flex; gap: 8px; padding: 8px 9px; border-radius: 6px; background: var(--qil-raised); border-left: 3px solid var(--qil-line); }
.qil-notice + .qil-notice { margin-top: 6px; }
.qil-notice > .qil-icon { margin-top: 1px; }
.qil-notice > div { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.qil-bad { border-color: var(--qil-red); }
.qil-bad > .qil-icon { color: var(--qil-red); }
.qil-warn { border-color: var(--qil-amber); }
.qil-warn > .qil-icon { color: var(--qil-amber); }
.qil-hint { border-color: var(--qil-blue); }
.qil-hint > .qil-icon { color: var(--qil-blue); }
.qil-fetch { border-color: var(--qil-blue); }
.qil-fetch > .qil-icon { color: var(--qil-blue); }
.qil-cure { color: var(--qil-muted); }
.qil-button { margin-top: 5px; padding: 3px 10px; min-height: 24px; border: 1px solid color-mix(in srgb, var(--qil-text) 35%, var(--qil-back)); border-radius: 5px; background: none; text-align: left; }
.qil-button:hover:not(:disabled) { background: var(--qil-line); color: var(--qil-strong); }
.qil-button:disabled { opacity: 0.5; cursor: default; }
.qil-primary { background: #2563eb; border-color: #2563eb; color: #fff; font-weight: 600; }
.qil-primary:hover:not(:disabled) { background: #1d4ed8; }
.qil-actions { display: flex; align-items: center; justify-content: space-between; gap: 4px 10px; flex-wrap: wrap; }
.qil-actions > .qil-primary ~ .qil-muted { flex: 1; min-width: 120px; margin-top: 5px; }
.qil-notice > .qil-fetching { flex: 1; min-width: 0; }
.qil-fetching ~ .qil-button { flex: none; align-self: center; margin: 0; }
.qil-progress { height: 6px; margin-top: 5px; border-radius: 3px; overflow: hidden; background: var(--qil-line); }
.qil-progress > div { height: 100%; border-radius: 3px; background: var(--qil-blue); transition: width 0.3s linear; }

.qil-files { list-style: none; }
.qil-row { display: flex; align-items: center; gap: 8px; width: 100%; padding: 3px 6px; margin: 0; border: 0; border-radius: 6px; background: none; text-align: left; }
.qil-row:hover, .qil-row[aria-expanded="true"] { background: var(--qil-raised); }
.qil-icon-chevron { width: 12px; height: 12px; color: var(--qil-muted); transition: transform 0.15s; }
[aria-expanded="true"] > .qil-icon-chevron { transform: rotate(90deg); }
.qil-reason { padding: 2px 10px 7px 22px; color: var(--qil-muted); overflow-wrap: anywhere; }
.qil-reason p + p { margin-top: 3px; }
.qil-path { font-size: 10px; }
.qil-dot { flex: none; width: 8px; height: 8px; border-radius: 50%; }
.qil-onDisk { background: var(--qil-green); }
.qil-missing { box-shadow: inset 0 0 0 2px var(--qil-amber); }
.qil-arriving { background: var(--qil-blue); }
.qil-file { flex: 1; min-width: 0; display: flex; flex-direction: column; gap: 0 10px; }
.qil-file .qil-name { display: flex; min-width: 0; font-weight: 500; }
.qil-name-start { flex: 0 1000 auto; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.qil-name-end { flex: 0 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: pre; }
.qil-role { display: flex; align-items: center; flex-wrap: wrap; gap: 0 6px; font-size: 10px; }
.qil-missing-word { color: var(--qil-amber-words); font-weight: 600; }
.qil-size { flex: none; white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums; }

.qil-section-memory:not([hidden]) { padding-top: 8px; border-top: 1px solid var(--qil-line); }
.qil-machine { display: flex; justify-content: space-between; gap: 10px; color: var(--qil-muted); margin-bottom: 4px; }
.qil-machine b { color: var(--qil-text); white-space: nowrap; font-weight: 600; }
.qil-bars { display: grid; grid-template-columns: minmax(48px, max-content) 1fr max-content; gap: 5px 8px; align-items: center; }
.qil-bar { display: flex; align-items: center; gap: 2px; height: 14px; min-width: 0; forced-color-adjust: none; }
.qil-card { position: relative; display: flex; height: 14px; border-radius: 3px; background: var(--qil-raised); box-shadow: inset 0 0 0 1px color-mix(in srgb, var(--qil-text) 38%, var(--qil-back)); flex: none; }
.qil-over { box-shadow: inset 0 0 0 1px var(--qil-red); }
.qil-card > i:first-child { border-radius: 3px 0 0 3px; }
.qil-resident { height: 100%; background: var(--qil-blue); }
.qil-working { height: 100%; background: radial-gradient(circle, var(--qil-back) 1px, transparent 1.4px) 0 0 / 5px 5px, var(--qil-teal); }
.qil-kept { height: 100%; background: color-mix(in srgb, var(--qil-text) 26%, var(--qil-back)); }
.qil-beyond { position: absolute; right: 0; height: 100%; border-radius: 0 3px 3px 0; border-left: 2px solid var(--qil-text); background: repeating-linear-gradient(45deg, var(--qil-line) 0 2px, transparent 2px 5px); }
.qil-streaming { height: 10px; border-radius: 0 3px 3px 0; flex: none; background: repeating-linear-gradient(135deg, var(--qil-amber) 0 3px, transparent 3px 6px); box-shadow: inset 0 0 0 1px var(--qil-amber); }
.qil-free-mark { position: absolute; top: -3px; width: 0; height: 20px; border-left: 2px dotted var(--qil-text); transform: translateX(-1px); }
.qil-measured-mark { position: absolute; top: 3px; width: 8px; height: 8px; transform: translateX(-4px) rotate(45deg); background: var(--qil-text); box-shadow: 0 0 0 1.5px var(--qil-back); }
.qil-ram { margin-top: 8px; }
.qil-ram .qil-bars { grid-template-columns: minmax(48px, max-content) 1fr max-content; }
.qil-ram-needed { height: 100%; border-radius: 3px 0 0 3px; background: color-mix(in srgb, var(--qil-text) 45%, var(--qil-back)); }
.qil-over > .qil-ram-needed { background: repeating-linear-gradient(90deg, var(--qil-red) 0 6px, color-mix(in srgb, var(--qil-red) 70%, var(--qil-back)) 6px 8px); }
.qil-rereads { margin-top: 3px; }
.qil-legend { display: flex; flex-wrap: wrap; gap: 2px 12px; margin-top: 6px; font-size: 10px; color: var(--qil-muted); }
.qil-legend span { display: inline-flex; align-items: center; gap: 5px; }
.qil-legend i { position: static; flex: none; width: 12px; height: 10px; border-radius: 2px; transform: none; }
.qil-machine > span { white-space: nowrap; }
.qil-machine b { margin-left: 6px; }
.qil-machine .qil-free-mark { position: relative; display: inline-block; top: 2px; height: 12px; margin-right: 5px; }
.qil-measured { margin-top: 5px; }

.qil-section-details:not([hidden]) { padding-top: 4px; border-top: 1px solid var(--qil-line); }
.qil-section-details .qil-row { padding-left: 0; }
.qil-refused { margin: 6px 0 2px; color: var(--qil-text); }
dl { display: grid; grid-template-columns: minmax(70px, max-content) 1fr; gap: 3px 10px; }
dt { color: var(--qil-text); max-width: 130px; }
.qil-stacked { display: block; }
.qil-stacked dt { max-width: none; overflow-wrap: anywhere; }
.qil-stacked dd { margin-bottom: 4px; }
.qil-section-details .qil-reason { padding-left: 0; }

@container (min-width: 520px) {
  .qil-file { flex-direction: row; align-items: center; justify-content: space-between; }
  .qil-role { flex: none; flex-wrap: nowrap; white-space: nowrap; }
}
@media (prefers-reduced-motion: reduce) {
  * { transition: none !important; }
}
`;
