// The server's rule for modules (crates/server/src/assets/lean.rs): comments that stand on lines of their own are not
// served, the lines stay. `browser/served.test.mjs` checks that the two agree and that the rule changes no module's meaning.

/** @param {string} source */
export function withoutComments(source) {
  const lines = source.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const text = lines[at].trimStart()
    if (text.startsWith('//')) lines[at] = ''
    else if (text.startsWith('/**')) at = skipBlock(lines, at)
  }
  return lines.join('\n')
}

/** Empties the lines of the block that begins at `first`, if it stands alone, and gives its last line. */
function skipBlock(lines, first) {
  let from = lines[first].indexOf('/**') + 2
  let last = first
  for (; last < lines.length; last++) {
    const end = lines[last].indexOf('*/', from)
    from = 0
    if (end < 0) continue
    if (lines[last].slice(end + 2).trim() === '') lines.fill('', first, last + 1)
    return last
  }
  return lines.length
}
