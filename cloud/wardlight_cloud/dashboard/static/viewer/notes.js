// Key-image notes: what somebody wrote about an image, with what was drawn on it.

const when = (iso) => new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

function tag(name, className, words) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = words;
  return made;
}

export class Notes {
  // ``jump(note)`` shows the note's image as it was drawn on; ``correct(note)`` begins another one
  // in its place.
  constructor(root, address, jump, correct) {
    this.list = root.querySelector(".note-list");
    this.form = root.querySelector("form");
    this.error = root.querySelector(".error");
    this.address = address;
    this.jump = jump;
    this.correct = correct;
    this.replaces = null; // id of the note that the next one corrects
    this.found = [];
  }

  async load() {
    const answer = await fetch(this.address, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!answer?.ok) return this.#fail("The notes could not be loaded. Reload the page.");
    this.found = await answer.json();
    this.#show();
    return undefined;
  }

  // Write a note; true when the server has stored it.
  async write(sop, frame, words, drawing) {
    const note = { sop, frame, text: words, drawing, replaces: this.replaces };
    if (!await this.#post(this.address, JSON.stringify(note), "The note was not stored")) return false;
    this.replaces = null;
    return true;
  }

  // Say that a note was entered in error; it stays, struck out.
  withdraw(note) {
    return this.#post(`${this.address}/${note.id}/withdrawal`, "", "Nothing was changed");
  }

  async #post(address, body, failure) {
    this.#fail("");
    const answer = await fetch(address, {
      method: "POST", body, headers: { "Content-Type": "application/json" },
    }).catch(() => null);
    if (!answer?.ok) {
      const said = answer ? (await answer.json().catch(() => ({}))).error : "";
      this.#fail(said || `${failure}: the server does not answer. Try again.`);
      return false;
    }
    await this.load();
    return true;
  }

  // Shapes that notes have drawn on an image.
  shapesOn(sop, frame) {
    return this.found.filter((note) => note.sop === sop && note.frame === frame && !note.withdrawn)
      .flatMap((note) => note.drawing.shapes ?? []);
  }

  #fail(words) {
    this.error.textContent = words;
    this.error.hidden = !words;
  }

  #show() {
    if (!this.found.length) {
      this.list.replaceChildren(tag("li", "facts", "No notes on this study yet."));
      return;
    }
    this.list.replaceChildren(...this.found.map((note) => this.#line(note)));
  }

  #line(note) {
    const line = tag("li", note.withdrawn ? "note withdrawn" : "note", "");
    const go = tag("button", "", note.text);
    go.type = "button";
    go.title = "Show the image of this note";
    go.addEventListener("click", () => this.jump(note));
    line.append(go, tag("span", "facts", `${note.author}, ${when(note.written_at)}`));
    if (note.withdrawn) line.append(tag("strong", "in-error", this.#error(note)));
    else line.append(this.#changes(note));
    return line;
  }

  #error({ id, withdrawn }) {
    const what = this.found.some((other) => other.replaces === id) ? "Corrected by another note" : "Entered in error";
    return `${what}: ${withdrawn.by}, ${when(withdrawn.at)}`;
  }

  #changes(note) {
    const place = tag("span", "note-changes", "");
    const correct = tag("button", "", "Correct");
    const error = tag("button", "", "Entered in error");
    correct.type = error.type = "button";
    correct.addEventListener("click", () => this.correct(note));
    error.addEventListener("click", () => {
      if (confirm(`Strike out this note as entered in error? It stays to be seen.\n\n${note.text}`)) this.withdraw(note);
    });
    place.append(correct, error);
    return place;
  }
}
