// Runs before the first paint, so that no page flashes in the wrong theme.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("tickmux.theme");
  } catch {}
  if (theme !== "dark" && theme !== "light")
    theme = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
})();
