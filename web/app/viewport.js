//! Keeps the page as tall as what can be seen of it where the browser does not: Safari lays its keyboard over the page
//! instead of resizing it.

export function followViewport() {
  const viewport = window.visualViewport
  if (!viewport) return
  const fit = () => {
    // A pinch-zoomed page keeps its layout; only a keyboard or a toolbar changes the height at scale 1.
    if (viewport.scale > 1.01) return
    const covered = window.innerHeight - viewport.height > 60
    document.documentElement.style.setProperty('--seen-height', covered ? `${viewport.height}px` : '100dvh')
    if (covered) window.scrollTo(0, 0)
  }
  viewport.addEventListener('resize', fit)
  fit()
}
