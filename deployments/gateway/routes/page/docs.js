// The reference at /docs: an address that names a call or an object opens it.

function open() {
  const target = document.getElementById(location.hash.slice(1));
  if (!target) return;
  target.open = true;
  target.scrollIntoView();
}

addEventListener("hashchange", open);
open();
