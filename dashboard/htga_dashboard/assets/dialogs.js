"use strict";
// Dialogs: whatever says `data-opens` opens one, `data-closes` and a click beside it close it.
(() => {
  addEventListener("click", ({ target }) => {
    const opener = target.closest("[data-opens]");
    const closer = target.closest("[data-closes]");
    if (opener) document.getElementById(opener.dataset.opens).showModal();
    else if (closer) document.getElementById(closer.dataset.closes).close();
    else if (target instanceof HTMLDialogElement) target.close();
  });
})();
