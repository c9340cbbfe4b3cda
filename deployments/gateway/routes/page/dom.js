// Small tools for the page's elements. Text becomes text nodes, never markup.

export const byId = (id) => document.getElementById(id);

/** A new element: properties, then children (elements or text). */
export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Seconds as 1:02 or 1:02:03. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
}

/** Show an error, or none. */
export function tell(id, error) {
  byId(id).textContent = error ? error.words ?? String(error.message ?? error) : "";
}
