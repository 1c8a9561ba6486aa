// Prints whether this program encodes as a VideoEncoderConfig says, as JSON.
//   supported.js CONFIG

const { supported } = await VideoEncoder.isConfigSupported(JSON.parse(Deno.args[0]));
console.log(JSON.stringify({ supported }));
