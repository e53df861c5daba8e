// The signature, drawn with a finger, a pen or a mouse. Everything else on the page works without this script.
"use strict";

(() => {
  const pad = document.getElementById("pad");
  const form = document.getElementById("signing");
  if (!pad || !form) return;

  const canvas = pad.querySelector("canvas");
  const drawn = form.elements.namedItem("signature");
  const file = form.elements.namedItem("signature_file");
  const missing = document.getElementById("signature-missing");
  const context = canvas.getContext("2d");
  let strokes = [];
  let stroke = null;

  pad.hidden = false;
  document.getElementById("with-file").open = false;
  document.getElementById("without-script").hidden = true;

  const draw = () => {
    // At most twice the pixels of the page: a signature needs no more, and stays small.
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    const { clientWidth: width, clientHeight: height } = canvas;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.scale(scale, scale);
    context.lineWidth = 2.6;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = "#000000";
    for (const points of strokes) {
      context.beginPath();
      points.forEach(([x, y], number) => (number ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (points.length === 1) context.lineTo(points[0][0] + 0.1, points[0][1]);
      context.stroke();
    }
  };

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button > 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    stroke = [place(event)];
    strokes.push(stroke);
    missing.hidden = true;
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke || !event.isPrimary) return;
    event.preventDefault();
    const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of all.length ? all : [event]) stroke.push(place(each));
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => { stroke = null; });
  }
  document.getElementById("again").addEventListener("click", () => {
    strokes = [];
    draw();
    canvas.focus();
  });
  window.addEventListener("resize", draw);

  form.addEventListener("submit", (event) => {
    const long = strokes.some((points) => points.length > 2);
    if (!long && !file.value) {
      event.preventDefault();
      missing.hidden = false;
      missing.scrollIntoView({ block: "center" });
      missing.focus();
      return;
    }
    drawn.value = long ? canvas.toDataURL("image/png") : "";
  });

  draw();
})();
