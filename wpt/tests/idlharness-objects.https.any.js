// META: global=dedicatedworker
// META: script=/resources/WebIDLParser.js
// META: script=/resources/idlharness.js
// META: timeout=long

'use strict';

// What /webcodecs/idlharness.https.any.js would check of objects. Its setup makes an ImageDecoder
// first, so where that interface is missing it never gets to its list of objects. This test makes
// objects of the interfaces that are exposed, and of no other.

const init = {
  output() {},
  error() {},
};

const audioChunkInit = {
  type: 'key',
  timestamp: 1234,
  duration: 9876,
  data: new Uint8Array([5, 6, 7, 8]),
};

const videoChunkInit = {
  type: 'key',
  timestamp: 1234,
  duration: 5678,
  data: new Uint8Array([9, 10, 11, 12]),
};

const audioDataInit = {
  format: 'f32-planar',
  sampleRate: 8000,
  numberOfFrames: 100,
  numberOfChannels: 2,
  timestamp: 1234,
  data: new Float32Array(200),
};

const videoFrameInit = {
  format: 'RGBA',
  codedWidth: 4,
  codedHeight: 2,
  timestamp: 100,
  duration: 33,
};

const objects = {
  EncodedAudioChunk: ['new EncodedAudioChunk(audioChunkInit)'],
  EncodedVideoChunk: ['new EncodedVideoChunk(videoChunkInit)'],
  AudioData: ['new AudioData(audioDataInit)'],
  VideoFrame: ['new VideoFrame(new Uint8Array(32), videoFrameInit)'],
  VideoColorSpace: [
    'new VideoColorSpace()',
    `new VideoColorSpace({primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: true})`,
  ],
  AudioDecoder: ['new AudioDecoder(init)'],
  VideoDecoder: ['new VideoDecoder(init)'],
};

promise_test(async () => {
  const [webcodecs, ...dependencies] =
      await Promise.all(['webcodecs', 'dom', 'html', 'webidl'].map(fetch_spec));
  const idlArray = new IdlArray();
  idlArray.add_idls(webcodecs.idl, {only: Object.keys(objects)});
  for (const {idl} of dependencies) {
    idlArray.add_dependency_idls(idl);
  }
  idlArray.add_dependency_idls(webcodecs.idl);
  idlArray.add_objects(objects);
  idlArray.test();
}, 'the interfaces are tested');
