"use strict";
// A click on `data-opens` opens a dialog; `data-closes`, or a click outside it, closes it.
(() => {
  addEventListener("click", ({ target }) => {
    const opener = target.closest("[data-opens]");
    const closer = target.closest("[data-closes]");
    if (opener) document.getElementById(opener.dataset.opens).showModal();
    else if (closer) document.getElementById(closer.dataset.closes).close();
    else if (target instanceof HTMLDialogElement) target.close();
  });
})();
