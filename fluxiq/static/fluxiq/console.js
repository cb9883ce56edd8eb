"use strict";
// Copies what stands in the element that a button names; says so on the button.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  if (!button) {
    return;
  }
  const source = document.getElementById(button.dataset.copies);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = label; }, 2000);
  } catch {
    // Without https a browser has no clipboard: what is selected can be copied by hand.
    window.getSelection().selectAllChildren(source);
  }
});
