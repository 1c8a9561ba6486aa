const empty = new VideoColorSpace();
assertEquals(empty.toJSON(), { primaries: null, transfer: null, matrix: null, fullRange: null });
const all = { primaries: "smpte432", transfer: "iec61966-2-1", matrix: "bt2020-ncl", fullRange: false };
const space = new VideoColorSpace(all);
assertEquals(space.toJSON(), all);
assertEquals(JSON.parse(JSON.stringify(space)), all);
assertEquals([space.primaries, space.transfer, space.matrix, space.fullRange], Object.values(all));
assertEquals(new VideoColorSpace({ fullRange: "yes" }).fullRange, true);
assertEquals(new VideoColorSpace({ primaries: null }).primaries, null);
for (const primaries of ["bt709", "bt470bg", "smpte170m", "bt2020", "smpte432"]) {
  assertEquals(new VideoColorSpace({ primaries }).primaries, primaries);
}
for (const transfer of ["bt709", "smpte170m", "iec61966-2-1", "linear", "pq", "hlg"]) {
  assertEquals(new VideoColorSpace({ transfer }).transfer, transfer);
}
for (const matrix of ["rgb", "bt709", "bt470bg", "smpte170m", "bt2020-ncl"]) {
  assertEquals(new VideoColorSpace({ matrix }).matrix, matrix);
}
assertThrows(() => new VideoColorSpace({ matrix: "bogus" }), TypeError, "'matrix' property from 'VideoColorSpaceInit'");
assertThrows(() => new VideoColorSpace(5), TypeError, "is not of type 'VideoColorSpaceInit'");
const log = [];
new VideoColorSpace(spy({}, log));
assertEquals(log, ["fullRange", "matrix", "primaries", "transfer"]);
