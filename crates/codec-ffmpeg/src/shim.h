/* What the files of the shim share. */
#ifndef REELCORE_SHIM_H
#define REELCORE_SHIM_H

#include <libavcodec/avcodec.h>
#include <pthread.h>
#include <stdatomic.h>

/* Added to the level of every message of a context of ours: callbacks of others, which filter by level, drop them. */
#define LOG_LEVEL_OFFSET 64

/* Pictures that are watched at once: more than the deepest decoded picture buffer and the frame threads hold. */
#define MAX_WATCHED 96

/* A piece of a packet. */
typedef struct {
    const uint8_t *data;
    size_t len;
} Piece;

/* A picture in work or held back, whose coverage is not verified yet. */
typedef struct {
    AVBufferRef *buffer;
    const uint8_t *luma;
    ptrdiff_t stride;
    int width, height, sample_bytes;
    /* Rows of each square that have a pattern. */
    int rows;
    /* The index of its packet: rising, and odd where the picture is not watched. */
    int64_t index;
} Watched;

/* One decoder: the context, the packet that it is fed with, and what is known of damage. */
typedef struct Decoder {
    AVCodecContext *context;
    AVPacket *packet;
    /* Blocks that no slice covers are to be found: H.264, HEVC. */
    int watch;
    /* Of several pictures that a packet allocates, its own is the last (H.264: gaps in frame_num come before it),
       else the first (HEVC: missing references come after it). */
    int own_is_last;
    /* Which messages tell damage. */
    enum { LISTEN_NOT, LISTEN_BLOCKS, LISTEN_ALL } listen;
    /* libavcodec's own, which runs slices on several threads. */
    int (*execute)(AVCodecContext *, int (*)(AVCodecContext *, void *), void *, int *, int, int);
    int (*execute2)(AVCodecContext *, int (*)(AVCodecContext *, void *, int, int), void *, int *, int);
    /* Pictures may consist of fields. */
    atomic_int has_fields;
    /* Guards all below: frame threads call back at the same time. */
    pthread_mutex_t lock;
    Watched watched[MAX_WATCHED];
    int watched_count;
    /* A picture had to leave the list before it was verified. */
    int overflowed;
    /* The first message that tells damage. */
    char complaint[160];
    atomic_int complained;
    atomic_int heard_probe;
} Decoder;

/* guard.c */
void reelcore_watch_slices(Decoder *decoder);
int reelcore_get_buffer(AVCodecContext *context, AVFrame *frame, int flags);
void reelcore_forget_watched(Decoder *decoder);
void reelcore_listen(void);
int reelcore_is_heard(Decoder *decoder);

#endif
