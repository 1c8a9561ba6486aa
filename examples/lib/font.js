// Digits five pixels wide and seven high, for time stamps on pictures.

const GLYPHS = {
  0: "01110 10001 10011 10101 11001 10001 01110",
  1: "00100 01100 00100 00100 00100 00100 01110",
  2: "01110 10001 00001 00110 01000 10000 11111",
  3: "11110 00001 00001 01110 00001 00001 11110",
  4: "00010 00110 01010 10010 11111 00010 00010",
  5: "11111 10000 11110 00001 00001 10001 01110",
  6: "00110 01000 10000 11110 10001 10001 01110",
  7: "11111 00001 00010 00100 01000 01000 01000",
  8: "01110 10001 10001 01110 10001 10001 01110",
  9: "01110 10001 10001 01111 00001 00010 01100",
  ".": "00000 00000 00000 00000 00000 01100 01100",
  "-": "00000 00000 00000 11111 00000 00000 00000",
  s: "00000 00000 01111 10000 01110 00001 11110",
};
const SCALE = 2;

/** Draws `text` in white on a dark box at (`left`, `top`) of an RGBA image. */
export function drawText(image, left, top, text) {
  const width = (text.length * 6 + 3) * SCALE;
  const height = 11 * SCALE;
  const at = (x, y) => (y * image.width + x) * 4;
  const inside = (x, y) => x >= 0 && y >= 0 && x < image.width && y < image.height;
  for (let y = top - 2 * SCALE; y < top - 2 * SCALE + height; y++) {
    for (let x = left - 2 * SCALE; x < left - 2 * SCALE + width; x++) {
      if (!inside(x, y)) continue;
      for (let c = 0; c < 3; c++) image.data[at(x, y) + c] >>= 2;
    }
  }
  [...text].forEach((character, index) => {
    const rows = (GLYPHS[character] ?? GLYPHS["-"]).split(" ");
    for (let y = 0; y < 7 * SCALE; y++) {
      for (let x = 0; x < 5 * SCALE; x++) {
        const px = left + index * 6 * SCALE + x;
        const py = top + y;
        const lit = rows[Math.floor(y / SCALE)][Math.floor(x / SCALE)] === "1";
        if (lit && inside(px, py)) image.data.fill(255, at(px, py), at(px, py) + 4);
      }
    }
  });
}
