// What WebCodecs takes from other specifications.
//
// [ReelcoreExternal]: an interface that deno_web implements. It can be a result or the argument of a callback.

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

// https://html.spec.whatwg.org/#canvasimagesource: grows to a union as the other sources come to exist here.
typedef VideoFrame CanvasImageSource;

// https://w3c.github.io/mediacapture-record/#bitratemode
enum BitrateMode { "constant", "variable" };
