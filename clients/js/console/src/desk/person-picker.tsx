import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { type People, usePeople } from "./use-people.ts";

/** Something that can be chosen: a person, or a word such as nobody. */
export interface Choice {
  /** Empty for the choice of nothing. */
  readonly id: string;
  readonly label: string;
}

interface PersonPickerProps {
  readonly label: string;
  readonly testId: string;
  /** What is chosen now, as it is called. */
  readonly chosen: Choice;
  /** Ahead of the people, such as oneself. */
  readonly first: readonly Choice[];
  /** People of whom the page knows, for a server that does not list them. */
  readonly known: readonly Choice[];
  readonly onChoose: (choice: Choice) => void;
}

/** A field in which somebody of the team is looked for, and chosen from a list. */
export function PersonPicker(props: PersonPickerProps) {
  const { label, testId, chosen } = props;
  const id = useId();
  const { isOpen, text, people, choices, at, open, close, type, choose, onKeyDown } =
    usePicker(props);
  return (
    <div className="picker">
      <input
        role="combobox"
        aria-label={label}
        aria-expanded={isOpen}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={isOpen && choices.length > 0 ? `${id}-${at}` : undefined}
        autoComplete="off"
        spellCheck={false}
        value={isOpen ? text : chosen.label}
        placeholder="Type a name"
        maxLength={TEXT_MAX}
        onClick={open}
        onChange={(event) => type(event.target.value)}
        onKeyDown={onKeyDown}
        onBlur={close}
        data-testid={testId}
        data-value={chosen.id}
        data-set={chosen.id !== ""}
      />
      {isOpen && (
        <div className="picker-list">
          <div id={`${id}-list`} role="listbox" aria-label={label}>
            {choices.map((choice, index) => (
              <Option
                key={`${choice.id} ${choice.label}`}
                id={`${id}-${index}`}
                choice={choice}
                isActive={index === at}
                isChosen={choice.id === chosen.id}
                onChoose={() => choose(choice)}
              />
            ))}
          </div>
          <p className="picker-note muted small" role="status">
            {noteOf(people, choices.length)}
          </p>
        </div>
      )}
    </div>
  );
}

const TEXT_MAX = 100;

/** What is typed, what can be chosen for it, and which of that the keys are at. */
function usePicker(props: PersonPickerProps) {
  const { chosen, onChoose } = props;
  const [isOpen, setOpen] = useState(false);
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const people = usePeople(isOpen ? text : null);
  const choices = choicesOf(props, people, text);
  const at = Math.min(active, choices.length - 1);
  const close = () => {
    setOpen(false);
    setText("");
  };
  const open = () => {
    if (isOpen) return;
    setActive(
      Math.max(
        0,
        choices.findIndex((choice) => choice.id === chosen.id),
      ),
    );
    setOpen(true);
  };
  const type = (value: string) => {
    setText(isOpen ? value : added(chosen.label, value));
    setActive(0);
    setOpen(true);
  };
  const choose = (choice: Choice | undefined) => {
    if (choice === undefined) return;
    close();
    if (choice.id !== chosen.id) onChoose(choice);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      if (!isOpen) open();
      else if (choices.length > 0) setActive((at + step + choices.length) % choices.length);
    } else if (event.key === "Enter") {
      if (isOpen) choose(choices[at]);
      else open();
    } else if (event.key === "Escape" && isOpen) {
      close();
    } else {
      return;
    }
    event.preventDefault();
  };
  return { isOpen, text, people, choices, at, open, close, type, choose, onKeyDown };
}

interface OptionProps {
  readonly id: string;
  readonly choice: Choice;
  readonly isActive: boolean;
  readonly isChosen: boolean;
  readonly onChoose: () => void;
}

/** The focus stays in the field, which says which of these is meant. */
function Option({ id, choice, isActive, isChosen, onChoose }: OptionProps) {
  const item = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (isActive) item.current?.scrollIntoView({ block: "nearest" });
  }, [isActive]);
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: the field has the focus
    // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys
    <div
      id={id}
      ref={item}
      role="option"
      className="picker-option"
      aria-selected={isChosen}
      data-active={isActive}
      onMouseDown={(event) => event.preventDefault()}
      onClick={onChoose}
      data-testid={`option-${choice.id}`}
    >
      {choice.label}
    </div>
  );
}

function choicesOf(
  { first, known, chosen }: PersonPickerProps,
  { found, state }: People,
  text: string,
): readonly Choice[] {
  const word = text.trim().toLowerCase();
  const has = ({ id, label }: Choice) =>
    label.toLowerCase().includes(word) || id.toLowerCase().includes(word);
  const choices = new Map(first.filter(has).map((choice) => [choice.id, choice]));
  // What was found for another text is not what is meant by this one.
  const people =
    found === null ? known.filter(has) : state === "asking" ? found.filter(has) : found;
  const rest = word === "" ? [chosen, ...people] : people;
  for (const choice of rest) if (!choices.has(choice.id)) choices.set(choice.id, choice);
  return [...choices.values()];
}

function noteOf({ state }: People, count: number): string {
  if (state === "asking") return "Looking…";
  if (state === "failed") return "The server does not list people now.";
  if (count === 0) return "Nobody of the team is called that.";
  return state === "more" ? "There are others: type to find them." : "";
}

/** What was typed into the name that stood in the field. */
function added(before: string, after: string): string {
  return after.startsWith(before) ? after.slice(before.length) : after;
}
