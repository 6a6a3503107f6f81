// Arrow keys move between the cards of the whiteboard: up and down in a column, left and right between columns.
document.addEventListener("keydown", (event) => {
  const card = event.target.closest?.(".board-card");
  const steps = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  if (!card || !steps[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
  const columns = [...document.querySelectorAll(".board-column")].map((one) => [...one.querySelectorAll(".board-card")]);
  const [across, down] = steps[event.key];
  let column = columns.findIndex((cards) => cards.includes(card));
  const row = columns[column].indexOf(card);
  if (across) do column += across; while (columns[column]?.length === 0);
  const next = columns[column]?.[across ? Math.min(row, columns[column].length - 1) : row + down];
  if (!next) return;
  next.focus();
  event.preventDefault();
});
