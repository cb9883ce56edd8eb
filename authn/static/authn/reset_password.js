"use strict";
const form = document.getElementById("reset");
const outcome = document.getElementById("outcome");
const token = window.location.hash.slice(1);
history.replaceState(null, "", window.location.pathname); // out of the address bar and the history

function say(text) {
  outcome.textContent = text;
}

if (!token) {
  form.hidden = true;
  say("This link is not complete. Ask for a new one.");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const response = await fetch(form.dataset.endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token, new_password: document.getElementById("password").value }),
    });
    if (response.status === 204) {
      form.hidden = true;
      say("Your password was changed. You can sign in with it now.");
      return;
    }
    const { error } = await response.json();
    const details = error.details?.new_password?.join(" ");
    say(response.status === 401 ? "This link was used or has expired. Ask for a new one." : details || error.message);
  } catch {
    say("The service could not be reached. Try again.");
  }
  button.disabled = false;
});
