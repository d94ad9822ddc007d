import { useState } from "react";
import { Button } from "../../ui/controls";
import { Icon } from "../../ui/icons";

/** Puts a text on the clipboard, and says so. */
export function CopyButton({ text, what }: { text: string; what: string }) {
  const [said, setSaid] = useState("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      // Without https, and off this machine, browsers keep the clipboard to themselves.
      setSaid("Select and copy it");
    }
  };
  return (
    <>
      <Button small onClick={() => void copy()} aria-label={`Copy ${what}`}>
        <Icon name="copy" />
        Copy
      </Button>
      <span className="soft" role="status">
        {said}
      </span>
    </>
  );
}
