/* What Rust asks of libavcodec, compiled against the installed headers. */
#include <libavcodec/avcodec.h>

unsigned reelcore_avcodec_headers(void) { return LIBAVCODEC_VERSION_INT; }

unsigned reelcore_avcodec_version(void) { return avcodec_version(); }

int reelcore_avcodec_has_decoder(const char *name) {
    return avcodec_find_decoder_by_name(name) != NULL;
}
