// The entry point of the extension: it defines the interfaces of WebCodecs on the global object.

import { core, primordials } from "ext:core/mod.js";
import { op_webcodecs_secure_context } from "ext:core/ops";
import {
  AudioData,
  AudioDecoder,
  AudioEncoder,
  EncodedAudioChunk,
  EncodedVideoChunk,
  exposeInterfaces,
  VideoColorSpace,
  VideoDecoder,
  VideoEncoder,
  VideoFrame,
} from "ext:webcodecs/generated/interfaces.js";
import { extendImages } from "ext:webcodecs/canvas.js";
import { extendWebGPU } from "ext:webcodecs/gpu.js";
import { Reelcore } from "ext:webcodecs/reelcore.js";
import {
  makeSerializable,
  makeTransferable,
  refuseSerialization,
  wrapSerializers,
} from "ext:webcodecs/serialization.js";

const { ObjectDefineProperty } = primordials;

makeSerializable(EncodedAudioChunk);
makeSerializable(EncodedVideoChunk);
makeTransferable(AudioData);
makeTransferable(VideoFrame);
for (const interface_ of [AudioDecoder, AudioEncoder, VideoColorSpace, VideoDecoder, VideoEncoder]) {
  refuseSerialization(interface_);
}
// What deno_image and deno_canvas can neither clone nor transfer, where they are there.
for (const interface_ of [core.ops.ImageBitmap, core.ops.OffscreenCanvas]) {
  if (interface_ !== undefined) refuseSerialization(interface_);
}

exposeInterfaces(globalThis, op_webcodecs_secure_context());
wrapSerializers(globalThis);
extendWebGPU(globalThis, VideoFrame);
extendImages(globalThis, VideoFrame);

ObjectDefineProperty(globalThis, "Reelcore", {
  __proto__: null,
  value: Reelcore,
  writable: true,
  enumerable: false,
  configurable: true,
});
