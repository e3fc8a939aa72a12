import { useId, useRef } from 'preact/hooks';

type Props = {
  /** The label of the button. */
  label: string;
  title: string;
  /** A warning about the data that the action deletes. */
  warning: string;
  /** The labels of the dialog's two buttons. */
  keep: string;
  proceed: string;
  disabled: boolean;
  onConfirm: () => void;
};

/** A button whose action runs once its user has confirmed it in a dialog, by pointer or keyboard. */
export function ConfirmButton({ label, title, warning, keep, proceed, disabled, onConfirm }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const confirm = () => {
    dialog.current?.close();
    onConfirm();
  };
  return (
    <>
      <button type="button" class="danger" disabled={disabled} onClick={() => dialog.current?.showModal()}>
        {label}
      </button>
      <dialog ref={dialog} class="panel" aria-labelledby={heading}>
        <h2 id={heading}>{title}</h2>
        <p>{warning}</p>
        <div class="line">
          <button type="button" autofocus onClick={() => dialog.current?.close()}>
            {keep}
          </button>
          <button type="button" class="primary danger" onClick={confirm}>
            {proceed}
          </button>
        </div>
      </dialog>
    </>
  );
}
