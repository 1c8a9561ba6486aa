// js/reelcore.d.ts names what `Reelcore` has: every member and every option, and no other.
import { assert, equal, finish, test } from "./harness.js";

const declarations = await Deno.readTextFile(new URL("../../../../../js/reelcore.d.ts", import.meta.url));
const media = new URL("../../../../../examples/media/h264-aac.mp4", import.meta.url);

/** What stands between the braces of a class or an interface, without comments. */
function body(kind, name) {
  const text = declarations.replace(/\/\*\*.*?\*\//gs, "");
  const found = new RegExp(`\\b${kind} ${name}\\b[^{]*\\{(.*?)\\n  \\}`, "s").exec(text);
  assert(found, `${kind} ${name} is not declared`);
  return found[1];
}

/** The names of the members that stand there, once each, in order. */
function declared(kind, name) {
  const names = body(kind, name).matchAll(/^    (?:readonly )?(\[Symbol\.\w+\]|\w+)\??[:(]/gm);
  return [...new Set([...names].map((match) => match[1]))].sort();
}

/** The names of an object's own properties, symbols as they are declared. */
function own(object) {
  return Reflect.ownKeys(object).map((key) => (typeof key === "symbol" ? `[${key.description}]` : key)).sort();
}

/** Options that remember which of them somebody asked for. */
function spy(options = {}) {
  const asked = new Set();
  const proxy = new Proxy(options, {
    get(target, key) {
      asked.add(key);
      return target[key];
    },
  });
  return { proxy, asked: () => [...asked].sort() };
}

await test("the namespace has what is declared", () => {
  const names = declarations.matchAll(/^  (?:class|function) (\w+)/gm);
  equal([...names].map((match) => match[1]).sort(), own(Reelcore));
});

await test("the classes have the members that are declared", () => {
  equal(declared("class", "Demuxer"), own(Reelcore.Demuxer.prototype));
  equal(declared("class", "Muxer"), own(Reelcore.Muxer.prototype));
  const track = new Reelcore.Muxer("mp4").addVideoTrack();
  equal(declared("interface", "MuxerTrack"), own(Object.getPrototypeOf(track)).filter((name) => name !== "constructor"));
});

await test("tracks, what is known of a file, and counters have the members that are declared", async () => {
  const demuxer = new Reelcore.Demuxer(media);
  equal(declared("interface", "DemuxerInfo"), own(await demuxer.info));
  const common = declared("interface", "TrackBase");
  for (const track of await demuxer.tracks) {
    const kind = { video: "VideoTrack", audio: "AudioTrack" }[track.type];
    equal([...common, ...declared("interface", kind)].sort(), own(track));
  }
  demuxer.close();
  equal(declared("interface", "Counters"), own(Reelcore.counters()));
});

await test("the options that are looked at are those that are declared", async () => {
  const demuxing = spy();
  const demuxer = new Reelcore.Demuxer(media, demuxing.proxy);
  equal(declared("interface", "DemuxerOptions"), demuxing.asked());
  const chunks = spy();
  await demuxer.chunks(0, chunks.proxy).next();
  equal(declared("interface", "ChunksOptions"), chunks.asked());
  demuxer.close();

  const muxing = spy();
  const muxer = new Reelcore.Muxer("mp4", undefined, muxing.proxy);
  equal(declared("interface", "MuxerOptions"), muxing.asked());
  const track = spy();
  muxer.addVideoTrack({ codec: "vp8", codedWidth: 16, codedHeight: 16 }, track.proxy);
  await new Promise((done) => setTimeout(done, 0));
  equal(declared("interface", "TrackOptions"), track.asked());

  const scaling = spy({ width: 8, height: 8 });
  const frame = new VideoFrame(new Uint8Array(384), { format: "I420", codedWidth: 16, codedHeight: 16, timestamp: 0 });
  (await Reelcore.scale(frame, scaling.proxy)).close();
  frame.close();
  equal(declared("interface", "ScaleOptions"), scaling.asked());
});

await test("the names of containers are those that can be written", async () => {
  const names = /type MuxerFormat =(.*?);/s.exec(declarations)[1].match(/\w+/g);
  assert(names.length > 5);
  const refused = [];
  for (const name of [...names, "bogus"]) {
    const muxer = new Reelcore.Muxer(name);
    // Without a track nothing is written; a name that is not known is another error.
    await muxer.finish().catch((error) => {
      if (error.name === "NotSupportedError") refused.push(name);
    });
  }
  equal(refused, ["bogus"]);
});

finish();
