"use strict";
(() => {
  const root = document.documentElement;
  const articles = [...document.querySelectorAll("article")];
  const filters = [...document.querySelectorAll("[data-filter]")];
  const languages = [...document.querySelectorAll("[data-language]")];

  const say = (language) => {
    root.lang = language;
    languages.forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.language === language)));
  };
  const show = (filter) => {
    filters.forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.filter === filter)));
    articles.forEach((each) => { each.hidden = Boolean(filter) && !each.dataset.states.split(" ").includes(filter); });
  };
  const toggle = (name) => root.classList.toggle(name);
  const move = (step) => {
    const shown = articles.filter((each) => !each.hidden);
    let here = shown.indexOf(document.activeElement?.closest("article"));
    if (here < 0) here = step > 0 ? -1 : shown.length;
    const next = shown[Math.min(shown.length - 1, Math.max(0, here + step))];
    if (next) { next.focus({ preventScroll: true }); next.scrollIntoView(); }
  };

  languages.forEach((each) => each.addEventListener("click", () => say(each.dataset.language)));
  filters.forEach((each) => each.addEventListener("click", () => show(each.dataset.filter)));
  document.querySelectorAll("tr[data-box]").forEach((row) => {
    const box = row.closest("article").querySelector(`g[data-box="${row.dataset.box}"]`);
    for (const [event, on] of [["mouseenter", true], ["focus", true], ["mouseleave", false], ["blur", false]]) {
      row.addEventListener(event, () => box.classList.toggle("lit", on));
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      j: () => move(1),
      k: () => move(-1),
      b: () => toggle("bare"),
      z: () => toggle("large"),
      l: () => say(root.lang === "fr" ? "en" : "fr"),
      f: () => {
        const now = filters.findIndex((each) => each.getAttribute("aria-pressed") === "true");
        show(filters[(now + 1) % filters.length].dataset.filter);
      },
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  say(navigator.language.toLowerCase().startsWith("fr") ? "fr" : "en");
})();
