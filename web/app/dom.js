//! Builds elements. Everything that people write reaches the page through text nodes here, never through markup.

/**
 * @typedef {Node | string | null | false | undefined} Child
 * @typedef {Record<string, string | boolean | number | null | undefined>} Attributes
 */

/**
 * Makes an element. Attributes that are null or false are left out; true stands alone.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes | null} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(tag, attributes, ...children) {
  const node = document.createElement(tag)
  setAttributes(node, attributes ?? {})
  node.append(...present(children))
  return node
}

const SVG = 'http://www.w3.org/2000/svg'

/**
 * Makes an SVG element.
 * @param {string} tag
 * @param {Attributes | null} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes, ...children) {
  const node = /** @type {SVGElement} */ (document.createElementNS(SVG, tag))
  setAttributes(node, attributes ?? {})
  node.append(...present(children))
  return node
}

/**
 * One of the page's icons, drawn from the sheet in index.html. It is decoration: the words beside it speak.
 * @param {string} name
 */
export function icon(name) {
  return svg('svg', { class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }))
}

/**
 * A button with words, and what it does.
 * @param {string} label
 * @param {() => void} act
 * @param {Attributes} [attributes]
 */
export function button(label, act, attributes = {}) {
  const node = el('button', { type: 'button', ...attributes }, label)
  node.addEventListener('click', act)
  return node
}

/** The way to the page that finds out what works and what does not; in a tab of its own, for a room does not outlive its page. */
export const diagnosticsLink = (label = 'Test the connection') => el('a', { class: 'link', href: '/diagnostics', target: '_blank', rel: 'noopener' }, label)

/**
 * The element with this id, which index.html is known to have.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const node = document.getElementById(id)
  if (!(node instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`)
  return node
}

/**
 * Sets text only when it differs, so that a live region or a selection is not disturbed for nothing.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/**
 * @param {Element} node
 * @param {Attributes} attributes
 */
function setAttributes(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue
    node.setAttribute(key, value === true ? '' : String(value))
  }
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
const present = children => /** @type {(Node | string)[]} */ (children.filter(c => c !== null && c !== undefined && c !== false))
