// The error classes that ops throw by name, and that scripts see as Deno.errors.

(function () {
const { primordials } = __bootstrap;
const { Error, ObjectDefineProperty } = primordials;

const names = [
  "AddrInUse",
  "AddrNotAvailable",
  "AlreadyExists",
  "BrokenPipe",
  "Busy",
  "ConnectionAborted",
  "ConnectionRefused",
  "ConnectionReset",
  "FilesystemLoop",
  "Http",
  "InvalidData",
  "IsADirectory",
  "NetworkUnreachable",
  "NotADirectory",
  "NotConnected",
  "NotFound",
  "NotSupported",
  "PermissionDenied",
  "TimedOut",
  "UnexpectedEof",
  "WouldBlock",
  "WriteZero",
];

const classes = { __proto__: null };
for (let i = 0; i < names.length; i++) {
  const name = names[i];
  const errorClass = class extends Error {
    constructor(message, options) {
      super(message, options);
      this.name = name;
    }
  };
  ObjectDefineProperty(errorClass, "name", { __proto__: null, value: name, configurable: true });
  classes[name] = errorClass;
}

// The DOMException names that deno_web's ops throw, and those that file operations need.
const domExceptionNames = [
  "AbortError",
  "DataError",
  "IndexSizeError",
  "InvalidCharacterError",
  "InvalidStateError",
  "NetworkError",
  "NotSupportedError",
  "OperationError",
  "SyntaxError",
];

return { classes, domExceptionNames };
})();
