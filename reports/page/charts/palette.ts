// The colours of the style sheet, as the theme in force resolves them.

const names = [
  "text",
  "muted",
  "line",
  "surface",
  "cpu",
  "npu",
  "launch",
  "transfer",
  "compute",
  "idle",
  "bad",
  "accent",
] as const;
export type Palette = Record<(typeof names)[number], string>;

/** `element`: where the chart stands. */
export function paletteOf(element: HTMLElement): Palette {
  const probe = document.createElement("span");
  probe.hidden = true;
  element.append(probe);
  const colours = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(colours) as Palette;
}
