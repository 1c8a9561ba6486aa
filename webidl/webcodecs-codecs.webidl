// Codec-specific members: the registrations of https://w3c.github.io/webcodecs/codec_registry.html

// AAC: https://w3c.github.io/webcodecs/aac_codec_registration.html

partial dictionary AudioEncoderConfig {
  AacEncoderConfig aac;
};

dictionary AacEncoderConfig {
  AacBitstreamFormat format = "aac";
};

enum AacBitstreamFormat {
  "aac",
  "adts",
};

// AV1: https://w3c.github.io/webcodecs/av1_codec_registration.html

partial dictionary VideoEncoderEncodeOptions {
  VideoEncoderEncodeOptionsForAv1 av1;
};

dictionary VideoEncoderEncodeOptionsForAv1 {
  unsigned short? quantizer;
};

// AVC (H.264): https://w3c.github.io/webcodecs/avc_codec_registration.html

partial dictionary VideoEncoderConfig {
  AvcEncoderConfig avc;
};

dictionary AvcEncoderConfig {
  AvcBitstreamFormat format = "avc";
};

enum AvcBitstreamFormat {
  "annexb",
  "avc",
};

partial dictionary VideoEncoderEncodeOptions {
  VideoEncoderEncodeOptionsForAvc avc;
};

dictionary VideoEncoderEncodeOptionsForAvc {
  unsigned short? quantizer;
};

// FLAC: https://w3c.github.io/webcodecs/flac_codec_registration.html

partial dictionary AudioEncoderConfig {
  FlacEncoderConfig flac;
};

dictionary FlacEncoderConfig {
  [EnforceRange] unsigned long blockSize = 0;
  [EnforceRange] unsigned long compressLevel = 5;
};

// HEVC (H.265): https://w3c.github.io/webcodecs/hevc_codec_registration.html

partial dictionary VideoEncoderConfig {
  HevcEncoderConfig hevc;
};

dictionary HevcEncoderConfig {
  HevcBitstreamFormat format = "hevc";
};

enum HevcBitstreamFormat {
  "annexb",
  "hevc",
};

partial dictionary VideoEncoderEncodeOptions {
  VideoEncoderEncodeOptionsForHevc hevc;
};

dictionary VideoEncoderEncodeOptionsForHevc {
  unsigned short? quantizer;
};

// Opus: https://w3c.github.io/webcodecs/opus_codec_registration.html

partial dictionary AudioEncoderConfig {
  OpusEncoderConfig opus;
};

dictionary OpusEncoderConfig {
  OpusBitstreamFormat format = "opus";
  OpusSignal signal = "auto";
  OpusApplication application = "audio";
  [EnforceRange] unsigned long long frameDuration = 20000;
  [EnforceRange] unsigned long complexity;
  [EnforceRange] unsigned long packetlossperc = 0;
  boolean useinbandfec = false;
  boolean usedtx = false;
};

enum OpusBitstreamFormat {
  "opus",
  "ogg",
};

enum OpusSignal {
  "auto",
  "music",
  "voice",
};

enum OpusApplication {
  "voip",
  "audio",
  "lowdelay",
};

// VP9: https://w3c.github.io/webcodecs/vp9_codec_registration.html

partial dictionary VideoEncoderEncodeOptions {
  VideoEncoderEncodeOptionsForVp9 vp9;
};

dictionary VideoEncoderEncodeOptionsForVp9 {
  unsigned short? quantizer;
};
