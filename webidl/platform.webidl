// What WebCodecs takes from other specifications.
//
// [ReelcoreExternal]: an interface that another extension implements. It can be a result, the argument of a callback, or
// a member of a union.

// https://dom.spec.whatwg.org/#interface-eventtarget
[Exposed=*, ReelcoreExternal]
interface EventTarget {};

// https://webidl.spec.whatwg.org/#idl-DOMException
[Exposed=*, ReelcoreExternal]
interface DOMException {};

// https://streams.spec.whatwg.org/#rs-class
[Exposed=*, ReelcoreExternal]
interface ReadableStream {};

// https://drafts.fxtf.org/geometry/#DOMRect
[Exposed=(Window,Worker), ReelcoreExternal]
interface DOMRectReadOnly {};

dictionary DOMRectInit {
  unrestricted double x = 0;
  unrestricted double y = 0;
  unrestricted double width = 0;
  unrestricted double height = 0;
};

// https://html.spec.whatwg.org/#predefinedcolorspace
enum PredefinedColorSpace { "srgb", "display-p3" };

// https://html.spec.whatwg.org/#colorspaceconversion
enum ColorSpaceConversion { "none", "default" };

// https://www.w3.org/TR/webgpu/#gputexture
[Exposed=(Window,Worker), ReelcoreExternal]
interface GPUTexture {};

// https://html.spec.whatwg.org/#imagebitmap
[Exposed=(Window,Worker), ReelcoreExternal]
interface ImageBitmap {};

// https://html.spec.whatwg.org/#offscreencanvas
[Exposed=(Window,Worker), ReelcoreExternal]
interface OffscreenCanvas {};

// https://html.spec.whatwg.org/#canvasimagesource, without what only documents have. GPUTexture is an extension: a
// specification reaches the texture through the canvas that shows it.
typedef (VideoFrame or GPUTexture or ImageBitmap or OffscreenCanvas) CanvasImageSource;

// https://w3c.github.io/mediacapture-record/#bitratemode
enum BitrateMode { "constant", "variable" };
