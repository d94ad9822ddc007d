/** The small parts that every page is made of. */

import { type ComponentProps, type ReactNode, useEffect, useId, useRef } from "react";

type ButtonProps = ComponentProps<"button"> & {
  look?: "plain" | "primary" | "danger" | "quiet";
  small?: boolean;
  icon?: boolean;
};

export function Button({ look = "plain", small, icon, className = "", type = "button", ...rest }: ButtonProps) {
  const names = ["button", look !== "plain" && look, small && "small", icon && "icon", className]
    .filter(Boolean)
    .join(" ");
  return <button type={type} className={names} {...rest} />;
}

type FieldProps = Omit<ComponentProps<"input">, "id"> & {
  label: string;
  help?: ReactNode;
  wrong?: string | undefined;
};

export function Field({ label, help, wrong, ...input }: FieldProps) {
  const id = useId();
  const about = [help && `${id}-help`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="input"
        aria-invalid={wrong ? true : undefined}
        aria-describedby={about || undefined}
        {...input}
      />
      {help && (
        <span className="help" id={`${id}-help`}>
          {help}
        </span>
      )}
      {wrong && (
        <span className="wrong" id={`${id}-wrong`}>
          {wrong}
        </span>
      )}
    </div>
  );
}

interface SegmentedProps<T extends string | number> {
  label: string;
  value: T;
  options: readonly { value: T; label: string; disabled?: boolean }[];
  onChange: (value: T) => void;
}

/** One of a few: radio buttons that look like one control. */
export function Segmented<T extends string | number>({ label, value, options, onChange }: SegmentedProps<T>) {
  const name = useId();
  return (
    <div className="segmented" role="radiogroup" aria-label={label}>
      {options.map((option) => (
        <label key={option.value}>
          <input
            type="radio"
            name={name}
            checked={option.value === value}
            disabled={option.disabled}
            onChange={() => onChange(option.value)}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </div>
  );
}

export type Tone = "good" | "bad" | "warn" | "info" | "plain";

export function Pill({ tone, children, title }: { tone: Tone; children: ReactNode; title?: string | undefined }) {
  return (
    <span className={tone === "plain" ? "pill" : `pill ${tone}`} title={title}>
      {children}
    </span>
  );
}

interface PanelProps {
  title: ReactNode;
  tools?: ReactNode;
  children: ReactNode;
  className?: string;
}

export function Panel({ title, tools, children, className = "" }: PanelProps) {
  const id = useId();
  return (
    <section className={`panel ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        <span className="spacer" />
        {tools}
      </header>
      {children}
    </section>
  );
}

/** A box for a wide table: it scrolls sideways, by keyboard too. */
export function Scroller({
  label,
  className = "",
  children,
}: {
  label: string;
  className?: string;
  children: ReactNode;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section className={`table-wrap ${className}`} aria-label={`${label}, table`} tabIndex={0}>
      {children}
    </section>
  );
}

/** A share of a capacity, as a bar; the numbers stand beside it in words. */
export function Meter({ value, max, label }: { value: number; max: number; label: string }) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  return (
    // biome-ignore lint/a11y/useSemanticElements: browsers let a <meter> be styled too little
    <span
      className="meter"
      role="meter"
      aria-label={label}
      aria-valuenow={value}
      aria-valuemin={0}
      aria-valuemax={max}
    >
      <span style={{ width: `${share * 100}%` }} />
    </span>
  );
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
}

/** A modal dialogue; the browser keeps the focus inside, and Escape closes it. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={ref} aria-labelledby={id} onClose={onClose}>
      <div className="dialog-body">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

export function Failure({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div className="notice bad" role="alert">
      <span>{children}</span>
      {action}
    </div>
  );
}
