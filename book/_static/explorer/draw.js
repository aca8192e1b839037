// The explorer's five pictures, as SVG. Colors and fonts stand in explorer.css.
(ns => {
  const NS = "http://www.w3.org/2000/svg";
  const node = (name, attributes, ...children) => {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) {
      made.setAttribute(key, typeof value === "number" ? Number(value.toFixed(2)) : value);
    }
    made.append(...children);
    return made;
  };
  const text = (x, y, words, look = "", anchor = "middle") =>
    node("text", { x, y, class: `word ${look}`, "text-anchor": anchor }, words);
  const line = (x1, y1, x2, y2, look) => node("line", { x1, y1, x2, y2, class: look });
  const trail = (points, look) => node("polyline", {
    points: points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" "), class: `line ${look}`,
  });
  // Shapes differ, so that color is never the only sign.
  const mark = (shape, x, y, size, look) => {
    if (shape === "square") return node("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size, class: look });
    if (shape === "triangle") {
      const points = [[x, y - 1.2 * size], [x - 1.1 * size, y + 0.8 * size], [x + 1.1 * size, y + 0.8 * size]];
      return node("polygon", { points: points.map(p => p.map(v => v.toFixed(2)).join(",")).join(" "), class: look });
    }
    return node("circle", { cx: x, cy: y, r: size, class: look });
  };
  const fill = (svg, label, children) => {
    svg.setAttribute("aria-label", label);
    svg.replaceChildren(...children.flat());
  };

  // Axes of a picture 240 wide and 200 high.
  const LEFT = 34, RIGHT = 230, TOP = 12, BOTTOM = 164;
  const axes = (across, up, xmax, ymax, xticks, yticks) => {
    const x = v => LEFT + (RIGHT - LEFT) * v / xmax, y = v => BOTTOM - (BOTTOM - TOP) * v / ymax;
    const parts = [line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis"), line(LEFT, BOTTOM, LEFT, TOP, "axis")];
    for (const [value, name] of xticks) {
      parts.push(line(x(value), BOTTOM, x(value), BOTTOM + 3, "axis"), text(x(value), BOTTOM + 15, name));
    }
    for (const [value, name] of yticks) {
      parts.push(line(LEFT - 3, y(value), LEFT, y(value), "axis"), text(LEFT - 5, y(value) + 4, name, "", "end"));
    }
    parts.push(text((LEFT + RIGHT) / 2, 195, across));
    parts.push(node("text", {
      x: 0, y: 0, class: "word", "text-anchor": "middle",
      transform: `translate(10 ${(TOP + BOTTOM) / 2}) rotate(-90)`,
    }, up));
    return { x, y, parts };
  };
  const short = value => (value >= 10 ? value.toFixed(1) : value.toFixed(2));

  const MOST_BARS = 10;
  const softLabel = (svg, { state, target }, label) => {
    const k = state.k, shown = Math.min(k, MOST_BARS);
    const { y, parts } = axes(k > shown ? `classes 1 to ${shown} of ${k}` : "class", "soft label", 1, 1, [], [[0, "0"], [1, "1"]]);
    const step = (RIGHT - LEFT) / shown, width = 0.7 * step;
    for (let t = 0; t < shown; t++) {
      const top = y(target[t]), left = LEFT + (t + 0.15) * step;
      parts.push(node("rect", { x: left, y: top, width, height: Math.max(BOTTOM - top, 0), class: t ? "bar" : "bar own" }));
      parts.push(text(left + width / 2, BOTTOM + 15, String(t + 1)));
    }
    fill(svg, label, parts);
  };

  const informationPlane = (svg, { state, prior, hy, kept, mixed }, label) => {
    const top = hy > 0 ? hy : 1, limit = 1.2 * top;
    const ticks = [[0, "0"], [top, short(top)]];
    const { x, y, parts } = axes("I(X;T) [nats]", "I(T;Y) [nats]", limit, limit, ticks, ticks);
    parts.push(trail([[x(0), y(0)], [x(hy), y(hy)], [x(limit), y(hy)]], "bound"));
    for (let i = 0; i <= 10; i++) {
      const at = ns.information(i / 10, prior);
      parts.push(node("circle", { cx: x(at), cy: y(at), r: 2, class: "stop" }));
    }
    parts.push(mark("circle", x(kept), y(kept), 5.5, "ls"));
    if (state.mix) parts.push(node("circle", { cx: x(mixed), cy: y(mixed), r: 10, class: "ring" }));
    fill(svg, label, parts);
  };

  const share = (svg, { state, prior, hy, kept }, label) => {
    const { x, y, parts } = axes("smoothing α", "share of H(Y)", 1, 1.05, [[0, "0"], [0.5, "0.5"], [1, "1"]], [[0, "0"], [0.5, "½"], [1, "1"]]);
    parts.push(line(LEFT, y(0.5), RIGHT, y(0.5), "line bound"));
    if (hy > 0) {
      // Dense at first, where the slope is infinite.
      const points = Array.from({ length: 81 }, (_, i) => (i / 80) ** 2);
      parts.push(trail(points.map(a => [x(a), y(ns.information(a, prior) / hy)]), "ls"));
      parts.push(mark("circle", x(state.alpha), y(kept / hy), 5.5, "ls"));
    }
    fill(svg, label, parts);
  };

  // The simplex: class 1, the label, on top.
  const CORNERS = [[150, 26], [18, 254], [282, 254]];
  const place = p => [0, 1].map(i => ns.sum(p.map((v, t) => v * CORNERS[t][i])));
  const unplace = (x, y) => {
    const top = (254 - y) / 228;
    const right = (x - (top * 150 + (1 - top) * 18)) / 264;
    return [top, 1 - top - right, right];
  };
  const LOOKS = { ls: "circle", cp: "square", vib: "triangle" };
  const arrow = (from, move, look) => {
    const long = Math.hypot(...move);
    if (long < 0.5) return [];
    const [x, y] = [from[0] + move[0], from[1] + move[1]], [u, v] = move.map(m => m / long);
    const head = [[x, y], [x - 9 * u - 5 * v, y - 9 * v + 5 * u], [x - 9 * u + 5 * v, y - 9 * v - 5 * u]];
    return [
      line(...from, x - 5 * u, y - 5 * v, `arrow ${look}`),
      node("polygon", { points: head.map(p => p.map(c => c.toFixed(2)).join(",")).join(" "), class: look }),
    ];
  };
  const simplex = (svg, { state, point, pulls, best }, label) => {
    const parts = [
      node("polygon", { points: CORNERS.map(c => c.join(",")).join(" "), class: "ground" }),
      text(150, 17, "class 1: the label"), text(10, 274, "class 2", "", "start"), text(290, 274, "class 3", "", "end"),
    ];
    const here = place(point);
    for (const [name, shape] of Object.entries(LOOKS)) {
      parts.push(trail(ns.path(point, name, state.alpha, state.beta).map(place), name));
      const a = best[name];
      parts.push(mark(shape, ...place([1 - a + a / 3, a / 3, a / 3]), name === "ls" ? 6 : 5, `goal ${name}`));
    }
    for (const name of Object.keys(LOOKS)) {
      const there = place(point.map((v, t) => v + ns.motion(point, pulls[name].pull)[t]));
      const move = [there[0] - here[0], there[1] - here[1]].map(m => 1.6 * m);
      const long = Math.hypot(...move), most = 110;
      parts.push(...arrow(here, long > most ? move.map(m => m * most / long) : move, name));
    }
    parts.push(node("circle", { cx: here[0], cy: here[1], r: 22, class: "handle" }));
    parts.push(node("circle", { cx: here[0], cy: here[1], r: 5, class: "here" }));
    fill(svg, label, parts);
  };

  const contradiction = (svg, { votes }, label) => {
    const ceiling = votes.curve.at(-1)[1];
    const { x, y, parts } = axes(
      "I(X;T) [nats]", "I(T;Y) [nats]", 0.72, Math.max(1.12 * ceiling, 0.1),
      [[0, "0"], [Math.LN2 / 2, short(Math.LN2 / 2)], [Math.LN2, short(Math.LN2)]],
      [[0, "0"], [ceiling, short(ceiling)]],
    );
    const end = Math.min(1.12 * ceiling, 0.72);
    parts.push(trail([[x(0), y(0)], [x(end), y(end)]], "bound"));
    parts.push(trail(votes.curve.map(([rate, best]) => [x(rate), y(best)]), "ib"));
    parts.push(trail(votes.family.map(p => [x(p.ixt), y(p.ity)]), "ls dashed"));
    parts.push(mark("circle", x(votes.arithmetic.ixt), y(votes.arithmetic.ity), 5.5, "ls"));
    parts.push(mark("square", x(votes.geometric.ixt), y(votes.geometric.ity), 5, "geo"));
    fill(svg, label, parts);
  };

  Object.assign(ns, { softLabel, informationPlane, share, simplex, unplace, contradiction });
})(window.ibExplorer);
