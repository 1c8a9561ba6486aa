// Copies an I420 frame of 1080p to RGBA and prints the milliseconds of each copy, as JSON.
//   copy.js [COPIES]
const copies = Number(Deno.args[0] ?? 200);
const width = 1920;
const height = 1080;
const size = (width * height * 3) / 2;
const data = new Uint8Array(size);
for (let i = 0; i < size; i++) data[i] = (i * 2654435761) >>> 24;
const frame = new VideoFrame(data, {
  format: "I420",
  codedWidth: width,
  codedHeight: height,
  timestamp: 0,
  transfer: [data.buffer],
});
const target = new Uint8Array(frame.allocationSize({ format: "RGBA" }));
const milliseconds = [];
for (let i = 0; i < copies; i++) {
  const began = performance.now();
  await frame.copyTo(target, { format: "RGBA" });
  milliseconds.push(performance.now() - began);
}
frame.close();
console.log(JSON.stringify({ milliseconds, bytes: target.byteLength }));
