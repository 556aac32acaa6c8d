// The page's icons: strokes on a grid of 24 by 24.

const ICONS = {
  bubble: "M5 5h14a3 3 0 0 1 3 3v7a3 3 0 0 1-3 3h-7l-5 4v-4H5a3 3 0 0 1-3-3V8a3 3 0 0 1 3-3z",
  reset: "M4 4v5h5M4.5 9A8 8 0 1 1 4 13",
  send: "M12 19V5M5.5 11.5 12 5l6.5 6.5",
  clip: "M20 11.5 12 19.4a5 5 0 0 1-7-7L13.2 4a3.4 3.4 0 0 1 4.8 4.8L10 16.9a1.7 1.7 0 0 1-2.4-2.4l7.4-7.6",
  slash: "M4 6h16M4 12h16M4 18h9",
  plus: "M12 5v14M5 12h14",
  more: "M12 5.5v.01M12 12v.01M12 18.5v.01",
  back: "M15 5l-7 7 7 7",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  open: "M6 11h12v9H6zM8.5 11V7.5A3.5 3.5 0 0 1 15 6",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  check: "M5 12.5l4.5 4.5L19 7.5",
  like: "M7 11v9H4v-9zM7 11l4-7c1.8 0 2.6 1.2 2.3 2.8L12.7 10H18a2 2 0 0 1 2 2.4l-1.3 6A2 2 0 0 1 16.8 20H7",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9v.01",
  file: "M7 3h7l5 5v13H7zM14 3v5h5",
  pin: "M12 21s-6-5.5-6-10.5a6 6 0 0 1 12 0C18 15.5 12 21 12 21zM12 10.5v.01",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20c1-4 4-5.5 7.5-5.5s6.5 1.5 7.5 5.5",
  ban: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM5.8 5.8l12.4 12.4",
  hash: "M9.5 4 7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16",
  desk: "M4 13a8 8 0 0 1 16 0v4a2 2 0 0 1-2 2h-1v-6h3M4 13v4a2 2 0 0 0 2 2h1v-6H4",
  smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.5 14.5c1.8 2.3 5.2 2.3 7 0M9 9.5v.01M15 9.5v.01",
  edit: "M5 19l1-4L16.5 4.5l3 3L9 18z",
  reply: "M10 8V4L3 11l7 7v-4c5 0 8 1.5 10.5 5C20 13 16.5 8.5 10 8z",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", ICONS[name]);
  if (name === "more") svg.style.strokeWidth = "3";
  svg.append(path);
  return svg;
}

export function ticks() {
  const svg = icon("check");
  svg.setAttribute("viewBox", "0 0 24 18");
  svg.firstChild.setAttribute("d", "M2 9l4.5 5L16 3M10.5 13l1.5 1L22 3");
  svg.style.strokeWidth = "2.2";
  return svg;
}

export function battery() {
  const svg = icon("check");
  svg.setAttribute("viewBox", "0 0 26 14");
  svg.firstChild.setAttribute("d", "M3 2h16a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zM24 5.5v3M5 7h10");
  return svg;
}
