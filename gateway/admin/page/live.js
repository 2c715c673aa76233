
(function () {
  "use strict";
  var live = document.querySelectorAll(".live"), when = document.getElementById("when"), pause = document.getElementById("pause");
  if (!live.length || !window.fetch || !window.DOMParser) return;
  var timer = 0, paused = false, asking = false;

  // What somebody reads, marks or walks through with the keyboard stays.
  function inUse() {
    var marked = window.getSelection();
    return (marked && !marked.isCollapsed) || Array.from(live).some(function (l) { return l.contains(document.activeElement); });
  }

  // Open tables stay open, and wide ones where they were scrolled to.
  function replace(old, fresh) {
    old.querySelectorAll("details[open]").forEach(function (d) {
      var same = fresh.querySelector("#" + d.id);
      if (same) same.open = true;
    });
    var before = old.querySelectorAll(".scroll"), after = fresh.querySelectorAll(".scroll"), at = [];
    before.forEach(function (s) { at.push(s.scrollLeft); });
    old.replaceWith(fresh);
    if (before.length === after.length) after.forEach(function (s, i) { s.scrollLeft = at[i]; });
  }

  function update() {
    if (asking || paused || document.hidden || inUse()) return;
    asking = true;
    fetch(location.origin + location.pathname, { // without what ?url= or a password in the URL adds
      cache: "no-store", signal: AbortSignal.timeout(8000) }).then(function (r) {
      if (!r.ok) throw new Error("the gateway responds " + r.status);
      return r.text();
    }).then(function (text) {
      var next = new DOMParser().parseFromString(text, "text/html"), fresh = next.querySelectorAll(".live");
      if (fresh.length !== live.length) throw new Error("the response is another page");
      if (inUse()) return;
      when.textContent = next.getElementById("when").textContent;
      when.className = "";
      live.forEach(function (old, i) { replace(old, document.adoptNode(fresh[i])); });
      live = document.querySelectorAll(".live");
    }).catch(function () {
      if (when.className) return;
      when.className = "bad";
      when.textContent += ", and no news since";
    }).finally(function () { asking = false; });
  }

  function schedule() {
    clearInterval(timer);
    if (!paused && !document.hidden) timer = setInterval(update, 10000);
  }

  document.addEventListener("visibilitychange", function () { schedule(); update(); });
  pause.hidden = false;
  pause.addEventListener("click", function () {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    schedule();
    update();
  });
  schedule();
})();
