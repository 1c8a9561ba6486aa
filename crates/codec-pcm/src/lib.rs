//! PCM, A-law and mu-law decoding.
