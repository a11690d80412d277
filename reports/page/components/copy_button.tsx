// A command to run, and a button that copies it.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";

export function Command({ text, label }: { text: string; label: string }): JSX.Element {
  const code = useRef<HTMLElement>(null);
  const [said, say] = useState("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      say("copied");
    } catch {
      // Pages from disk may not write to the clipboard: the text is selected for the user's own copy.
      if (code.current !== null) {
        getSelection()?.selectAllChildren(code.current);
      }
      say("selected: press Ctrl+C");
    }
    setTimeout(() => say(""), 2500);
  };
  return (
    <div class="command">
      <code ref={code}>{text}</code>
      <button type="button" onClick={() => void copy()} aria-label={`Copy the command: ${label}`}>
        Copy
      </button>
      <span role="status" class="said">
        {said}
      </span>
    </div>
  );
}
