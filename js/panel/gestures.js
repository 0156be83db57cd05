// @ts-check
/** Zooming and panning go on working while the pointer is over the panel. */

import { app } from "./host.js";

const MIDDLE_BUTTON = 1;
const MIDDLE_HELD = 4;

/**
 * @param {HTMLElement} element the widget's element
 * @param {HTMLElement} body its scrolling part
 */
export function forwardGestures(element, body) {
  element.addEventListener(
    "wheel",
    (event) => {
      if (element.closest(".lg-node")) return; // Nodes 2.0 looks after the wheel itself
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (body.scrollHeight > body.clientHeight && !event.ctrlKey && !sideways) return;
      event.preventDefault();
      app.canvas.processMouseWheel(event);
    },
    { passive: false },
  );
  element.addEventListener("pointerdown", (event) => {
    if (event.button === MIDDLE_BUTTON) app.canvas.processMouseDown(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (event.buttons & MIDDLE_HELD) app.canvas.processMouseMove(event);
  });
  element.addEventListener("pointerup", (event) => {
    if (event.button === MIDDLE_BUTTON) app.canvas.processMouseUp(event);
  });
}
