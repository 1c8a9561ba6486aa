// How often the pixels of frames move that are decoded, drawn and encoded.
import { equal, finish, test } from "./harness.js";
import { counted, decoded, device, fail, FRAMES, HEIGHT, render, usage, WIDTH } from "./gpu_1080p.js";

await test("with an encoder at the end each frame of 1080p is downloaded once, at 1.5 bytes a pixel", async () => {
  const texture = device.createTexture({ size: [WIDTH, HEIGHT], format: "rgba8unorm", usage });
  let encoded = 0;
  const encoder = new VideoEncoder({ output: () => encoded++, error: fail });
  encoder.configure({ codec: "vp8", width: WIDTH, height: HEIGHT, bitrate: 4_000_000, latencyMode: "realtime" });
  const moved = await counted(async () => {
    await decoded((frame) => {
      render(frame, texture);
      const out = new VideoFrame(texture, { timestamp: frame.timestamp });
      encoder.encode(out);
      out.close();
      frame.close();
      if (encoder.encodeQueueSize > 2) return new Promise((resolve) => encoder.addEventListener("dequeue", resolve, { once: true }));
    });
    await encoder.flush();
  });
  encoder.close();
  equal(encoded, FRAMES);
  equal([moved.uploads, moved.downloads].join(), [FRAMES, FRAMES].join());
  equal(moved.download_bytes, FRAMES * WIDTH * HEIGHT * 1.5);
});

finish();
