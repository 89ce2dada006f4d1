// Trends: one uPlot a series, loaded by range; live points are added while the range ends now.
"use strict";
(() => {
  const figures = [...document.querySelectorAll("figure.trend")];
  const buttons = [...document.querySelectorAll(".ranges button")];
  if (!figures.length) return;
  let hours = 1;
  const patient = document.querySelector("[data-live]").dataset.live;
  const charts = new Map(); // series -> {plot, data, usual}
  const skew = Date.parse(document.body.dataset.now) - Date.now(); // this computer's clock may be wrong
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();

  const serverNow = () => (Date.now() + skew) / 1000;
  const shown = (seconds, form) => new Date(seconds * 1000).toLocaleString(undefined, form);
  const tick = (seconds) => hours > 24 ? shown(seconds, { day: "numeric", month: "short" })
    : shown(seconds, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

  function span(newest) {
    const end = Math.max(serverNow(), Math.min(newest ?? 0, serverNow() + 300));
    return [end - hours * 3600, end];
  }

  function options(figure, width) {
    return {
      width, height: 190, legend: { show: true },
      cursor: { drag: { setScale: false } },
      // The range that was asked for, whatever is in it: an empty hour looks empty.
      // Up to a reading that is a little ahead: what lies outside would not count for the height.
      scales: { x: { time: true, range: (_, least, most) => span(most) } },
      axes: [
        { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, values: (_, splits) => splits.map(tick) },
        { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, size: 56 },
      ],
      series: [
        { label: "Time", value: (_, seconds) => seconds === null ? "--" : shown(seconds) },
        { label: figure.dataset.label, stroke: color("--accent"), width: 1.6, spanGaps: false, points: { size: 5 } },
        { label: "lowest", stroke: "transparent", points: { show: false } },
        { label: "highest", stroke: "transparent", points: { show: false } },
      ],
      hooks: { draw: [drawNotes] },
      bands: [{ series: [3, 2], fill: color("--accent") + "22" }],
    };
  }

  // Notes on images as dashed lines at their moments; their words are in the timeline below.
  const notes = JSON.parse(document.getElementById("trends")?.dataset.notes ?? "[]");
  function drawNotes(plot) {
    const { ctx, bbox } = plot;
    for (const note of notes) {
      const x = Math.round(plot.valToPos(note.time, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = color("--stale");
      ctx.lineWidth = 1.5 * devicePixelRatio;
      ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.textAlign = x > bbox.left + bbox.width / 2 ? "right" : "left";
      ctx.textBaseline = "top";
      ctx.fillText(" image note ", x, bbox.top + 2);
      ctx.restore();
    }
  }

  function usualStep(times) {
    const steps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
    return steps.length ? steps[Math.floor(steps.length / 2)] : 0;
  }

  // A gap longer than three usual steps is drawn as a gap, never as a line across it.
  function push(data, usual, time, mean, least, most) {
    const last = data[0][data[0].length - 1];
    const points = usual && last !== undefined && time - last > 3 * usual + 1
      ? [[last + usual, null, null, null], [time, mean, least, most]] : [[time, mean, least, most]];
    for (const point of points) data.forEach((column, i) => column.push(point[i]));
  }

  function columns(found) {
    const data = [[], [], [], []];
    const usual = usualStep(found.time);
    found.time.forEach((time, i) => push(data, usual, time, found.mean[i], found.minimum[i], found.maximum[i]));
    return { data, usual };
  }

  async function load(figure) {
    const place = figure.querySelector(".plot");
    const asked = hours;
    const start = new Date((serverNow() - asked * 3600) * 1000).toISOString();
    const series = figure.dataset.series;
    const answer = await fetch(`/api/v1/trend?patient=${patient}&series=${series}&start=${encodeURIComponent(start)}&points=1000`)
      .catch(() => ({ ok: false, status: "no answer" }));
    if (asked !== hours) return; // another range was chosen meanwhile
    if (!answer.ok && charts.has(series)) return; // what is drawn stays; the page says that it is old
    if (!answer.ok) { message(figure, `The trend could not be loaded (${answer.status}). Reload the page.`); return; }
    const { data, usual } = columns(await answer.json());
    charts.get(series)?.plot.destroy();
    charts.delete(series);
    if (!data[0].length) { message(figure, "No readings in this time range."); return; }
    place.replaceChildren();
    const plot = new uPlot(options(figure, place.clientWidth || 600), data, place);
    charts.set(series, { plot, data, usual });
    table(figure);
  }

  function message(figure, text) {
    const line = document.createElement("p");
    line.className = "empty";
    line.textContent = text;
    figure.querySelector(".plot").replaceChildren(line);
    figure.querySelector("details .scroll").replaceChildren();
  }

  function table(figure) {
    const details = figure.querySelector("details");
    const chart = charts.get(figure.dataset.series);
    if (!details.open || !chart) return;
    const body = document.createElement("table");
    const head = body.createTHead().insertRow();
    for (const name of ["Time", `${figure.dataset.label} (${figure.dataset.unit})`]) {
      const cell = document.createElement("th");
      cell.scope = "col"; cell.textContent = name; head.append(cell);
    }
    const rows = body.createTBody();
    for (let i = chart.data[0].length - 1; i >= Math.max(0, chart.data[0].length - 200); i--) {
      if (chart.data[1][i] === null) continue;
      const row = rows.insertRow();
      row.insertCell().textContent = shown(chart.data[0][i]);
      row.insertCell().textContent = Number(chart.data[1][i].toFixed(2));
    }
    details.querySelector(".scroll").replaceChildren(body);
  }

  function add(rows) {
    for (const row of rows) {
      const chart = charts.get(String(row.series));
      const figure = figures.find((f) => f.dataset.series === String(row.series));
      if (!figure || row.value === null) continue;
      if (!chart) { load(figure); continue; }
      const time = Date.parse(row.time) / 1000, value = Number(row.value), data = chart.data;
      if (time <= data[0][data[0].length - 1]) continue;
      if (hours > 1) continue; // buckets: the next reload of the range brings it
      push(data, chart.usual, time, value, value, value);
      while (data[0].length && data[0][0] < time - hours * 3600) for (const column of data) column.shift();
      chart.plot.setData(data);
    }
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      hours = Number(button.dataset.hours);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      figures.forEach(load);
    });
  }
  for (const figure of figures) {
    figure.querySelector("details").addEventListener("toggle", () => table(figure));
    load(figure);
  }
  document.addEventListener("wardlight:rows", (event) => add(event.detail));
  addEventListener("resize", () => {
    for (const figure of figures) {
      const chart = charts.get(figure.dataset.series);
      if (chart) chart.plot.setSize({ width: figure.querySelector(".plot").clientWidth, height: 190 });
    }
  });
  // While nobody streams, buckets and gaps still move on.
  setInterval(() => { if (!document.hidden) figures.forEach(load); }, 60000);
})();
