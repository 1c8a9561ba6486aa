//! AAC, MP3, FLAC and Vorbis decoding over Symphonia.
