/** A progress bar on standard error; silent where that is not a terminal. */
export class ProgressBar {
  #label;
  #total;
  #began = performance.now();
  #shown = Deno.stderr.isTerminal();

  constructor(label, total) {
    this.#label = label;
    this.#total = total;
    this.update(0);
  }

  update(value) {
    if (!this.#shown) return;
    const width = 30;
    const filled = Math.round((width * value) / this.#total);
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1);
    const bar = "█".repeat(filled) + "░".repeat(width - filled);
    this.#write(`\r${this.#label} ${bar} ${value}/${this.#total}  ${seconds}s`);
  }

  done() {
    if (this.#shown) this.#write("\r\x1b[2K");
  }

  #write(text) {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}
