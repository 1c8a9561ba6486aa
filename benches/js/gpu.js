// Frames on the GPU. Prints JSON.
//   gpu.js pipeline FILE FRAMES   decode, a compute pass, a frame from the texture: on the GPU, then over the CPU
//   gpu.js import FILE FRAMES     what importExternalTexture(), and close() after it, take of the JavaScript thread (us)
//   gpu.js upload FILE FRAMES     GB/s of copyExternalImageToTexture() with frames that are on the CPU
//   gpu.js read FILE FRAMES       how long copyTo() of a GPU frame takes, and how late a timer is meanwhile (ms); a fourth argument has it
//                                 name its phases for whoever measures turns of the event loop

const [mode, file, wanted, phases] = Deno.args;
const count = Number(wanted);
const enter = (phase) => phases && console.debug(phase);
const adapter = await navigator.gpu?.requestAdapter();
if (!adapter) throw new Error("no GPU adapter: install a Vulkan driver (Debian: mesa-vulkan-drivers)");
const device = await adapter.requestDevice();
const demuxer = new Reelcore.Demuxer(file);
const track = (await demuxer.tracks).find((track) => track.type === "video");
const chunks = [];
for await (const chunk of demuxer.chunks(track)) chunks.push(chunk);

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

/** Decodes up to `count` frames; `use` gets each and closes it. `between` is waited for after every eighth chunk. */
async function decode(use, between) {
  const used = [];
  const decoder = new VideoDecoder({
    output(frame) {
      if (used.length < count) used.push(use(frame, used.length));
      else frame.close();
    },
    error(error) {
      throw error;
    },
  });
  decoder.configure(track.decoderConfig);
  let fed = 0;
  for (const chunk of chunks) {
    if (used.length >= count) break;
    decoder.decode(chunk);
    if (between && ++fed % 8 === 0) {
      while (decoder.decodeQueueSize > 0) await new Promise((done) => decoder.addEventListener("dequeue", done, { once: true }));
      await between();
    }
    while (decoder.decodeQueueSize > 4) {
      await new Promise((done) => decoder.addEventListener("dequeue", done, { once: true }));
    }
  }
  await decoder.flush();
  decoder.close();
  await Promise.all(used);
  return used.length;
}

const module = device.createShaderModule({
  code: `
@group(0) @binding(0) var video: texture_external;
@group(0) @binding(1) var result: texture_storage_2d<rgba8unorm, write>;
@compute @workgroup_size(8, 8) fn invert(@builtin(global_invocation_id) id: vec3u) {
  if (any(id.xy >= textureDimensions(video))) { return; }
  textureStore(result, id.xy, vec4f(1 - textureLoad(video, id.xy).rgb, 1));
}`,
});
const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "invert" } });
const usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST |
  GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.RENDER_ATTACHMENT;
let result;
const prepare = ({ displayWidth, displayHeight }) =>
  result ??= device.createTexture({ size: [displayWidth, displayHeight], format: "rgba8unorm", usage });

function invert(source) {
  prepare(source);
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [
      { binding: 0, resource: device.importExternalTexture({ source }) },
      { binding: 1, resource: result.createView() },
    ],
  });
  const commands = device.createCommandEncoder();
  const pass = commands.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(Math.ceil(result.width / 8), Math.ceil(result.height / 8));
  pass.end();
  device.queue.submit([commands.finish()]);
}

/** Waits until the GPU has done all that was submitted: a read-back of one pixel comes after it. */
async function settled() {
  const frame = new VideoFrame(result, { timestamp: 0, visibleRect: { x: 0, y: 0, width: 1, height: 1 } });
  await frame.copyTo(new Uint8Array(4));
  frame.close();
}

const counters = () => Reelcore.counters();

async function pipelined(roundTrip) {
  const before = counters();
  const began = performance.now();
  const frames = await decode(async (frame) => {
    let source = frame;
    if (roundTrip) {
      // What a server without GPU frames does: pixels to JavaScript, and a new frame of them.
      const { timestamp, visibleRect: { width: codedWidth, height: codedHeight } } = frame;
      const data = new Uint8Array(frame.allocationSize({ format: "RGBA" }));
      await frame.copyTo(data, { format: "RGBA" });
      frame.close();
      source = new VideoFrame(data, { format: "RGBA", codedWidth, codedHeight, timestamp, transfer: [data.buffer] });
    }
    invert(source);
    const out = new VideoFrame(result, { timestamp: source.timestamp });
    if (roundTrip) await out.copyTo(new Uint8Array(out.allocationSize()));
    out.close();
    source.close();
  });
  await settled();
  const seconds = (performance.now() - began) / 1000;
  const after = counters();
  return {
    frames,
    rate: frames / seconds,
    uploads: after.uploads - before.uploads,
    downloads: after.downloads - before.downloads - 1,
  };
}

const jobs = {
  async pipeline() {
    return { gpu: await pipelined(false), cpu: await pipelined(true) };
  },

  async import() {
    const imported = (frame, times) => {
      const began = performance.now();
      device.importExternalTexture({ source: frame });
      const done = performance.now();
      frame.close();
      times.took.push((done - began) * 1000);
      times.closed.push((performance.now() - done) * 1000);
    };
    // As frames come. A software GPU converts the next ones on the same cores meanwhile, and has emptied their caches.
    const busy = { took: [], closed: [] };
    await decode((frame, index) => {
      prepare(frame);
      // The first ones build pipelines, and tell the decoder to convert ahead.
      imported(frame, index < count / 4 ? { took: [], closed: [] } : busy);
    });
    // A few at once, with nothing else to do for the GPU.
    const idle = { took: [], closed: [] };
    let waiting = [];
    let began = false;
    await decode((frame) => {
      // One that nobody imports keeps frames from being converted ahead.
      if (!began) imported(frame, { took: [], closed: [] });
      else waiting.push(frame);
      began = true;
    }, async () => {
      let found;
      do {
        found = waiting.length;
        await new Promise((done) => setTimeout(done, 30));
        await settled();
      } while (waiting.length > found);
      for (const frame of waiting) imported(frame, idle);
      waiting = [];
    });
    waiting.forEach((frame) => frame.close());
    return {
      median: median(idle.took),
      worst: Math.max(...idle.took),
      close: median(idle.closed),
      busy: median(busy.took),
      busy_close: median(busy.closed),
      busy_close_worst: Math.max(...busy.closed),
      frames: idle.took.length,
    };
  },

  async upload() {
    const frames = [];
    await decode((frame) => frames.push(frame));
    prepare(frames[0]);
    const size = [result.width, result.height];
    // The first one builds a pipeline, which takes longer than all copies.
    const [first, ...rest] = frames;
    device.queue.copyExternalImageToTexture({ source: first }, { texture: result }, size);
    await settled();
    first.close();
    frames.splice(0, frames.length, ...rest);
    const bytes = frames.length * frames[0].codedWidth * frames[0].codedHeight * 1.5;
    const began = performance.now();
    for (const source of frames) device.queue.copyExternalImageToTexture({ source }, { texture: result }, size);
    const called = performance.now();
    await settled();
    const done = performance.now();
    // From other memory each time, as uploads are.
    const data = new Uint8Array(bytes / frames.length);
    const others = frames.map((_, index) => new Uint8Array(data.length).fill(index));
    const copying = performance.now();
    for (const other of others) data.set(other);
    const copied = performance.now();
    frames.forEach((frame) => frame.close());
    return {
      calls: bytes / 1e6 / (called - began),
      whole: bytes / 1e6 / (done - began),
      memcpy: bytes / 1e6 / (copied - copying),
    };
  },

  async read() {
    await decode((frame, index) => {
      if (index === 0) invert(frame);
      frame.close();
    });
    await settled();
    // A script has its memory before it begins: that of a new array is cleared on this thread.
    const arrays = [0, 1].map(() => new Uint8Array(result.width * result.height * 4).fill(1));
    /** How late a timer of 1 ms is at worst while `run` runs, the phase of that name. */
    const watched = async (phase, run) => {
      enter(phase);
      let stall = 0;
      let due = performance.now() + 1;
      let over = false;
      const tick = () => {
        stall = Math.max(stall, performance.now() - due);
        due = performance.now() + 1;
        if (!over) setTimeout(tick, 1);
      };
      setTimeout(tick, 1);
      await run();
      over = true;
      enter("over");
      return stall;
    };
    const pause = () => new Promise((done) => setTimeout(done, 4));
    const took = [];
    const calls = [];
    const read = async (count) => {
      for (let i = 0; i < count; i++) {
        const began = performance.now();
        const frame = new VideoFrame(result, { timestamp: i });
        const made = performance.now();
        const copied = frame.copyTo(arrays[i % 2]);
        const called = performance.now();
        await copied;
        took.push(performance.now() - made);
        frame.close();
        calls.push(called - began);
        await pause();
      }
    };
    // The first one allocates what the others reuse.
    const first = await watched("first", () => read(1));
    const stall = await watched("read", () => read(count));
    // What the machine does to a timer without any of that.
    const idle = await watched("idle", async () => {
      for (let i = 0; i < count; i++) await pause();
    });
    return { median: median(took), worst: Math.max(...took), stall, first, idle, calls: median(calls) };
  },
};

console.log(JSON.stringify(await jobs[mode]()));
