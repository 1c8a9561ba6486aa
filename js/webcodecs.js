// The entry point of the extension: it defines the interfaces of WebCodecs on the global object.

import { primordials } from "ext:core/mod.js";
import {
  AudioData,
  EncodedAudioChunk,
  EncodedVideoChunk,
  exposeInterfaces,
  VideoFrame,
} from "ext:webcodecs/generated/interfaces.js";
import { extendImages } from "ext:webcodecs/canvas.js";
import { extendWebGPU } from "ext:webcodecs/gpu.js";
import { Reelcore } from "ext:webcodecs/reelcore.js";
import { makeSerializable, wrapTransfers } from "ext:webcodecs/serialization.js";

const { ObjectDefineProperty } = primordials;

makeSerializable(EncodedAudioChunk, false);
makeSerializable(EncodedVideoChunk, false);
makeSerializable(AudioData, true);
makeSerializable(VideoFrame, true);

exposeInterfaces(globalThis);
wrapTransfers(globalThis);
extendWebGPU();
extendImages(globalThis, VideoFrame);

ObjectDefineProperty(globalThis, "Reelcore", {
  __proto__: null,
  value: Reelcore,
  writable: true,
  enumerable: false,
  configurable: true,
});
