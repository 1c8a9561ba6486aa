// How often the pixels of frames move that are decoded, drawn and made frames again.
import { assert, equal, finish, test } from "./harness.js";
import { counted, decoded, device, FRAMES, HEIGHT, render, usage, WIDTH } from "./gpu_1080p.js";

await test("300 decoded frames of 1080p are imported, drawn and made frames again with one upload each and no download", async () => {
  const texture = device.createTexture({ size: [64, 36], format: "rgba8unorm", usage });
  const moved = await counted(() =>
    decoded((frame) => {
      equal([frame.codedWidth, frame.codedHeight].join(), `${WIDTH},${HEIGHT}`);
      render(frame, texture);
      new VideoFrame(texture, { timestamp: frame.timestamp }).close();
      frame.close();
    })
  );
  equal([moved.uploads, moved.downloads, moved.download_bytes].join(), [FRAMES, 0, 0].join());
  equal(moved.upload_bytes, FRAMES * WIDTH * HEIGHT * 1.5);
  // It was drawn: the pictures are grey.
  const last = new VideoFrame(texture, { timestamp: 0 });
  const data = new Uint8Array(last.allocationSize());
  await last.copyTo(data);
  last.close();
  assert(data[0] > 40 && data[3] === 255, `${data.subarray(0, 4)}`);
});

finish();
